/* give_back.c - see give_back.h */
#include "engine/tensorflow/host/give_back.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

enum {
    AT_ONCE = 2 << 20,   /* in one piece, if nobody waits: a large page, which is not to be split */
    GENTLY = 512 << 10,  /* up to 50 us in small pages */
    MOST_PIECES = 2000,  /* for all of it, about */
    REST_NS = 1000000,   /* after each */
    LARGE = 16 << 20,    /* no stack of a thread is */
    AROUND = 1024 * 1024 /* of what the calling thread needs: its stack, and what errno is in */
};
/* Who reserves more than that hardly uses it: a sanitizer. */
static const uint64_t LARGEST = UINT64_C(1) << 40;

/* A line of maps: "55d0-55e0 rw-p 00000000 00:00 0      [heap]". */
typedef struct mapping {
    uint64_t begin, end, inode;
    char rights[4];
    const char *name;
} mapping;

static uint64_t number(const char **at, unsigned base)
{
    uint64_t n = 0;
    for (;; (*at)++) {
        char c = **at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 16;
        if (digit >= base)
            return n;
        n = n * base + digit;
    }
}

static void skip(const char **at, char c)
{
    while (**at == c)
        (*at)++;
}

/* The line ends with a zero. */
static bool parse(const char *at, mapping *m)
{
    m->begin = number(&at, 16);
    skip(&at, '-');
    m->end = number(&at, 16);
    skip(&at, ' ');
    if (strlen(at) < sizeof m->rights || m->end <= m->begin)
        return false;
    memcpy(m->rights, at, sizeof m->rights);
    at += sizeof m->rights;
    skip(&at, ' ');
    number(&at, 16); /* offset */
    skip(&at, ' ');
    number(&at, 16); /* device */
    skip(&at, ':');
    number(&at, 16);
    skip(&at, ' ');
    m->inode = number(&at, 10);
    skip(&at, ' ');
    m->name = at;
    return true;
}

static bool is_wanted(const mapping *m)
{
    uint64_t size = m->end - m->begin;
    if (m->rights[3] != 'p' || size > LARGEST)
        return false;
    if (m->inode != 0) /* its code can be had again; data could not */
        return memcmp(m->rights, "r-x", 3) == 0;
    return memcmp(m->rights, "rw", 2) == 0 &&
           (strcmp(m->name, "[heap]") == 0 || (m->name[0] == '\0' && size >= LARGE));
}

static bool is_near(uint64_t at, size_t size, const void *what)
{
    uint64_t p = (uintptr_t)what;
    return p + AROUND >= at && p < at + size + AROUND;
}

static uint64_t worked_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Between two pieces: where next to nothing was there, nobody has to recover from it yet. */
static void rest(uint64_t *since_ns)
{
    const uint64_t least_ns = 10000;
    uint64_t now = worked_ns();
    if (now - *since_ns < least_ns)
        return;
    nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
    *since_ns = now;
}

static size_t give_back(const mapping *m, size_t piece, bool gently)
{
    uint64_t since = gently ? worked_ns() : 0;
    size_t done = 0;
    size_t n;
    for (uint64_t at = m->begin; at < m->end; at += n) {
        n = (size_t)SL_MIN(m->end - at, piece - at % piece);
        if (is_near(at, n, &errno) || is_near(at, n, &n) ||
            madvise((void *)(uintptr_t)at, n, MADV_DONTNEED))
            continue;
        done += n;
        if (gently)
            rest(&since);
    }
    return done;
}

/* The more there is the larger, so that it comes to an end in time. How much there is now costs
 * milliseconds to ask. */
static size_t gentle_piece(void)
{
    struct rusage most = {0};
    getrusage(RUSAGE_SELF, &most);
    return SL_MAX((size_t)GENTLY, (size_t)(most.ru_maxrss / MOST_PIECES / 64) * (64 << 10));
}

size_t tf_give_back(int maps, bool gently)
{
    size_t piece = gently ? gentle_piece() : AT_ONCE;
#ifdef __SANITIZE_THREAD__
    (void)maps, (void)piece;
    (void)parse, (void)is_wanted, (void)give_back;
    return 0; /* what the sanitizer remembers lies in such memory, too */
#else
    char text[8192]; /* a line has at most a path, of which no more is needed than that it is one */
    size_t have = 0, done = 0;
    for (;;) {
        ssize_t got =
            sl_fault_hit(SL_FAULT_READ) ? -1 : read(maps, text + have, sizeof text - have);
        if (got <= 0)
            return done;
        have += (size_t)got;
        char *line = text, *end;
        for (; (end = memchr(line, '\n', have)) != NULL; line = end + 1) {
            mapping m;
            *end = '\0';
            have -= (size_t)(end + 1 - line);
            if (parse(line, &m) && is_wanted(&m))
                done += give_back(&m, piece, gently);
        }
        if (have == sizeof text)
            have = 0; /* longer than any line: not one of these */
        memmove(text, line, have);
    }
#endif
}
