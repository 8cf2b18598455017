/*
 * fault_listen.c - faults of a running program, for tests of the whole
 *
 * A real-time signal carries a number, and arming is two atomic stores: all that a handler may do.
 */
#include "base/fault.h"

#ifdef SLUICE_FAULTS

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[SL_FAULT_KINDS] = {"alloc",  "read",   "write",
                                                  "accept", "thread", "arena"};

/* printf is not for signal handlers. */
static size_t line_of(char line[64], const char *name, int count)
{
    char digits[12];
    size_t n = 0, k = 0;
    do
        digits[k++] = (char)('0' + count % 10);
    while ((count /= 10) > 0);
    for (const char *p = "faults: "; *p; p++)
        line[n++] = *p;
    for (const char *p = name; *p; p++)
        line[n++] = *p;
    line[n++] = ' ';
    while (k > 0)
        line[n++] = digits[--k];
    line[n++] = '\n';
    return n;
}

static void arm(sl_fault kind, int nth)
{
    if (nth < 0)
        sl_fault_arm_from(kind, nth == INT_MIN ? INT_MAX : -nth);
    else
        sl_fault_arm(kind, nth);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    int kept = errno;
    sl_fault kind = (sl_fault)(number - SIGRTMIN);
    char line[64];
    size_t n = line_of(line, names[kind], sl_fault_count(kind));
    arm(kind, info->si_value.sival_int);
    if (write(STDERR_FILENO, line, n) < 0) {
        /* whoever armed us waits for the line, and will say so */
    }
    errno = kept;
}

static void arm_from(const char *text)
{
    for (int k = 0; k < SL_FAULT_KINDS; k++) {
        size_t n = strlen(names[k]);
        if (strncmp(text, names[k], n) == 0 && text[n] == ' ')
            arm((sl_fault)k, (int)strtol(text + n, NULL, 10));
    }
}

void sl_fault_listen(const char *variable)
{
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    for (int k = 0; k < SL_FAULT_KINDS; k++)
        sigaction(SIGRTMIN + k, &act, NULL);
    const char *text = getenv(variable);
    if (text != NULL)
        arm_from(text);
}

#else

void sl_fault_listen(const char *variable)
{
    (void)variable;
}

#endif
