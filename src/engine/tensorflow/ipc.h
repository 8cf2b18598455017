/*
 * ipc.h - packets, futexes and the moment of looking before sleeping, for both sides of protocol.h
 *
 * Functions in a header, because server and host are two programs that share no library for them.
 */
#ifndef SL_ENGINE_TENSORFLOW_IPC_H
#define SL_ENGINE_TENSORFLOW_IPC_H

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "engine/tensorflow/protocol.h"

enum { SL_TF_MAX_FDS = 4 };

/* Sets the text, cut to what fits. */
static inline void sl_tf_msg_text(sl_tf_msg *m, const char *text)
{
    size_t n = strlen(text);
    m->text_n = (uint32_t)(n < SL_TF_TEXT ? n : SL_TF_TEXT - 1);
    memcpy(m->text, text, m->text_n);
    m->text[m->text_n] = '\0';
}

/* 0, or an errno. Waits while the socket is full, unless it is one that does not block. */
static inline int sl_tf_send(int socket, const sl_tf_msg *m, const int *fds, int n)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)m,
                         .iov_len = offsetof(sl_tf_msg, text) + m->text_n};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * SL_TF_MAX_FDS)];
    } control;
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
    if (n > 0) {
        memset(&control, 0, sizeof control);
        h.msg_control = &control;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
    }
    ssize_t sent;
    if (sl_fault_hit(SL_FAULT_WRITE))
        return ENOBUFS;
    do
        sent = sendmsg(socket, &h, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

/*
 * Reads one packet: 1 there was one, 0 the other side is gone, -1 none now (EAGAIN) or it is none
 * of ours. Text is terminated. With fds NULL, descriptors that somebody sends are dropped by the
 * kernel; it also drops those for which this process has no room left.
 */
static inline int sl_tf_receive(int socket, sl_tf_msg *m, int *fds, int max, int *n_fds)
{
    struct iovec part = {.iov_base = m, .iov_len = sizeof *m};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * SL_TF_MAX_FDS)];
    } control;
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
    if (fds != NULL) {
        h.msg_control = &control;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)max);
        *n_fds = 0;
    }
    ssize_t got;
    if (sl_fault_hit(SL_FAULT_READ))
        return -1; /* the packet waits for the next call, as when memory has run out */
    do
        got = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return 0;
    if (got < 0)
        return -1;
    for (struct cmsghdr *c = fds ? CMSG_FIRSTHDR(&h) : NULL; c != NULL; c = CMSG_NXTHDR(&h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(fds, CMSG_DATA(c), sizeof(int) * (size_t)n);
            *n_fds = n;
        }
    if ((size_t)got < offsetof(sl_tf_msg, text) ||
        (size_t)got != offsetof(sl_tf_msg, text) + m->text_n || m->text_n >= SL_TF_TEXT)
        return -1;
    m->text[m->text_n] = '\0';
    return 1;
}

static inline uint64_t sl_tf_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Sleeps while *word is `value`, at most until the monotonic time `until_ns` (0: no limit). */
static inline void sl_tf_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
    struct timespec t = {.tv_sec = (time_t)(until_ns / 1000000000u),
                         .tv_nsec = (long)(until_ns % 1000000000u)};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, until_ns ? &t : NULL, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

static inline void sl_tf_futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0);
}

static inline void sl_tf_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Looks for at most `ns` whether *word is `wanted`; true: it is. */
static inline bool sl_tf_look(_Atomic uint32_t *word, uint32_t wanted, uint64_t ns)
{
    uint64_t until = ns ? sl_tf_now_ns() + ns : 0;
    do {
        for (int i = 0; i < 16; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) == wanted)
                return true;
            sl_tf_pause();
        }
    } while (ns && sl_tf_now_ns() < until);
    return false;
}

/* Hands the slot over: the other side may be asleep on it, having said so before it looked again.
 */
static inline void sl_tf_hand_over(_Atomic uint32_t *word, uint32_t value,
                                   _Atomic uint32_t *other_sleeps)
{
    atomic_store(word, value);
    if (atomic_load(other_sleeps))
        sl_tf_futex_wake(word);
}

#endif
