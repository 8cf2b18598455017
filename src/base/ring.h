/*
 * ring.h - a list whose members can leave from anywhere: a ring of links, one of which is its head
 *
 *     sl_ring head;  sl_ring_init(&head);
 *     sl_ring_join(&head, &thing->link);     at the end
 *     sl_ring_leave(&thing->link);           nothing if it is in none
 *     for (sl_ring *r = head.next; r != &head; r = r->next) ... SL_OF(thing, link, r)
 *
 * A link of zeros is in no ring. Nothing is allocated, nothing is locked.
 */
#ifndef SL_BASE_RING_H
#define SL_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

typedef struct sl_ring {
    struct sl_ring *next, *prev;
} sl_ring;

/* The thing of which *r is the member `link`. */
#define SL_OF(type, link, r) ((type *)((char *)(r)-offsetof(type, link)))

static inline void sl_ring_init(sl_ring *head)
{
    head->next = head->prev = head;
}

static inline bool sl_ring_is_in(const sl_ring *r)
{
    return r->next != NULL;
}

static inline sl_ring *sl_ring_first(const sl_ring *head) /* NULL: nobody is in it */
{
    return head->next != head ? head->next : NULL;
}

static inline void sl_ring_leave(sl_ring *r)
{
    if (r->next == NULL)
        return;
    r->next->prev = r->prev;
    r->prev->next = r->next;
    r->next = r->prev = NULL;
}

static inline void sl_ring_join(sl_ring *head, sl_ring *r)
{
    sl_ring_leave(r);
    r->prev = head->prev;
    r->next = head;
    head->prev->next = r;
    head->prev = r;
}

#endif
