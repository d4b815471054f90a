/*
 * The version that is served, and the earlier ones that readers still hold. Readers never wait and take no lock.
 *
 * One 64-bit word says which slot is served and how often it was acquired since it is served; to acquire is one atomic
 * addition, which gives the slot and takes the reference in the same instruction, so that no version can be freed in
 * between. To release is one subtraction from the slot's own balance, which is below zero while the slot is served. The
 * writer exchanges the word and adds the old one's acquisitions to that slot's balance, which from then on is the
 * number of references that are held; at zero the writer frees the version, at its next look. Readers never free.
 */
#ifndef CLIENT_VIEWS_H
#define CLIENT_VIEWS_H

#include "millrace/base.h"
#include "millrace/client.h"

#include <stdatomic.h>

struct view_slot {
    _Atomic int64_t balance;
    struct mr_view *view; /* NULL: free */
    bool retired;         /* the writer's: acquisitions are in the balance */
};

struct views {
    _Atomic uint64_t served;                         /* slot in the low 8 bits (0: none), acquisitions above */
    struct view_slot slots[MR_CLIENT_VIEWS_MAX + 2]; /* [0] is none; one is served, MR_CLIENT_VIEWS_MAX are held */
};

/* Any thread. */
const struct mr_view *views_acquire(struct views *views);
/* Any thread. `slot` is where the view stands. */
void views_release(struct view_slot *slot);

/* The writer's, which is one thread. `free_view` frees a view that nobody holds. */
typedef void views_free(struct mr_view *view);
/* A slot that can be filled, or NULL: readers hold all. */
MR_MUST_USE struct view_slot *views_find_slot(struct views *views);
/* Serves it from now on; the slot is one of views_find_slot. */
void views_serve(struct views *views, struct view_slot *slot, struct mr_view *view);
/* Frees what is neither served nor held. */
void views_reclaim(struct views *views, views_free *free_view);
/* Serves none. False: views are still held. */
MR_MUST_USE bool views_deinit(struct views *views, views_free *free_view);

#endif
