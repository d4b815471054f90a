/*
 * An object store in memory with faults: answers that are lost after or before the write was applied, and refusals.
 * Its ETag is the SHA-256 of the content, as in the file:/// back end. One thread.
 */
#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include "millrace/store.h"

/* Chances in 1,000 of an operation. */
struct memory_store_faults {
    uint32_t lost_after;  /* a write is applied and answered by UNKNOWN */
    uint32_t lost_before; /* a write is not applied and answered by UNKNOWN */
    uint32_t refused;     /* a write is not applied: CONFLICT, THROTTLED or UNAVAILABLE */
    uint32_t unread;      /* a read is THROTTLED or UNAVAILABLE */
};

/* Never NULL. */
struct mr_store *memory_store_new(uint64_t seed);
void memory_store_set_faults(struct mr_store *store, struct memory_store_faults faults);
/* The next operation whose key ends in `suffix` gives this outcome; `applied` says whether a write takes place. */
void memory_store_answer_next(struct mr_store *store, const char *suffix, enum mr_store_outcome outcome, bool applied);
/* As by somebody else's hand: no condition, no fault. NULL removes it. */
void memory_store_set(struct mr_store *store, const char *key, const char *text);
/* The bytes, or an empty view when there is no such object; until the object changes. */
struct mr_bytes memory_store_peek(const struct mr_store *store, const char *key);
size_t memory_store_count(const struct mr_store *store);
const char *memory_store_key(const struct mr_store *store, size_t index);       /* in byte order */
uint64_t memory_store_removals(const struct mr_store *store, const char *part); /* of keys that contain it */

#endif
