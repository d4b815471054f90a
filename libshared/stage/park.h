/*
 * The records of one model that wait in the stage's retry topic (rule R3): where each stands there, when its next
 * attempt is due. Of the first of them, the values of their entries there can be kept.
 */
#ifndef MR_PARK_H
#define MR_PARK_H

#include "millrace/base.h"

struct mr_parked {
    uint64_t origin;
    bool written; /* its entry in the retry topic is acknowledged, at retry_offset */
    uint64_t retry_offset;
    uint32_t attempt;     /* failed ones so far */
    int64_t due_ticks_ms; /* of the clock that never goes back */
    bool active;          /* handed to the service */
    uint8_t *value;       /* NULL: not kept */
    size_t value_size;
    bool resolved; /* what it produced is acknowledged; it goes when all before it are resolved too */
};

/* In the order of origins. Zeroed memory is a valid empty list. */
struct mr_park {
    struct mr_parked *entries;
    size_t first, count, capacity; /* entries[first .. first + count) */
    size_t active;                 /* how many at the front are active */
    size_t kept;                   /* how many at the front have their values */
    uint64_t kept_bytes;
};

/* The origin must be larger than all before. FATAL when memory is out. */
MR_MUST_USE struct mr_error mr_park_add(struct mr_park *park, struct mr_parked entry);
/* NULL: not there. Valid until the next call that is not const. */
struct mr_parked *mr_park_find(struct mr_park *park, uint64_t origin);
/* The first that is not active: the model's head; NULL: none. */
struct mr_parked *mr_park_head(struct mr_park *park);
/* The head becomes active. */
void mr_park_begin(struct mr_park *park);
/* The last active one waits again. */
void mr_park_again(struct mr_park *park, uint32_t attempt, int64_t due_ticks_ms);
/* An active one is resolved; they may be in any order. An origin that is not there is ignored. */
void mr_park_resolve(struct mr_park *park, uint64_t origin);
/* The first whose value is not kept; NULL: none. */
const struct mr_parked *mr_park_unkept(const struct mr_park *park);
/* Keeps a copy of that one's value. FATAL when memory is out. */
MR_MUST_USE struct mr_error mr_park_keep(struct mr_park *park, struct mr_bytes value);
/* Forgets the last value that is kept: there must be one. */
void mr_park_forget(struct mr_park *park);
void mr_park_deinit(struct mr_park *park);

#endif
