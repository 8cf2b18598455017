/* notify.c - see notify.h */
#include "server/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

static int notify_socket = -1;

/* "/run/systemd/notify", or "@name" for an abstract one. 0: neither. */
static socklen_t address_of(const char *name, struct sockaddr_un *to)
{
    size_t n = strlen(name);
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof to->sun_path)
        return 0;
    memcpy(to->sun_path, name, n);
    if (name[0] == '@')
        to->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
}

void sl_notify_open(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to;
    if (name == NULL || *name == '\0')
        return;
    socklen_t n = address_of(name, &to);
    int fd = n ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, n) != 0) {
        sl_log(SL_WARNING, "cannot tell the service manager anything at NOTIFY_SOCKET=%s: %s", name,
               n ? strerror(errno) : "neither a path nor an abstract address of 107 bytes at most");
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    notify_socket = fd;
    unsetenv("NOTIFY_SOCKET");
}

void sl_notify(const char *lines)
{
    if (notify_socket >= 0 &&
        send(notify_socket, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* it has gone, or does not listen */
}

void sl_notify_close(void)
{
    if (notify_socket >= 0)
        close(notify_socket);
    notify_socket = -1;
}
