/*
 * notify.h - telling the service manager how far the server is
 *
 * What systemd's Type=notify waits for: a datagram to the socket that $NOTIFY_SOCKET names. READY=1
 * when models answer, so that what is ordered after the unit, and `systemctl start`, wait for that;
 * STOPPING=1 when it drains. Without that variable all of this does nothing.
 *
 * Source: sd_notify(3), which describes the protocol for those who do without its library.
 */
#ifndef SL_SERVER_NOTIFY_H
#define SL_SERVER_NOTIFY_H

/* Opens the socket while that is allowed (the server locks itself up), and forgets the variable, so
 * that no child speaks for the server. Main thread, before there are others. */
void sl_notify_open(void);

/* Sends lines ("READY=1\nSTATUS=..."). Never waits; a manager that does not listen does not matter.
 * Any thread. */
void sl_notify(const char *lines);

void sl_notify_close(void);

#endif
