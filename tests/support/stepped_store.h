/*
 * Another store, an operation at a time: something may be done before each, replies may be lost, and from some
 * operation on nothing may come through, as when the process is killed before it.
 */
#ifndef STEPPED_STORE_H
#define STEPPED_STORE_H

#include "millrace/store.h"

struct stepped_store {
    struct mr_store base;
    struct mr_store *real; /* the caller's */
    uint64_t operations;   /* so far; the first is 1 */
    uint64_t stop_at;      /* this one and all later ones do nothing; 0: never */
    uint64_t lose_at;      /* if it is a write: its reply is lost; 0: never */
    bool lost_is_applied;
    void (*before)(void *self, uint64_t operation); /* or NULL; not within itself */
    void *self;
    bool within;
};
void stepped_store_init(struct stepped_store *store, struct mr_store *real);

#endif
