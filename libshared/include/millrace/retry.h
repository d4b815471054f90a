/* When a record is tried again. Pure. */
#ifndef MR_RETRY_H
#define MR_RETRY_H

#include "millrace/base.h"

enum { MR_RETRY_ATTEMPTS_MAX = 5 };

enum mr_retry_kind { MR_RETRY_SCHEDULED = 1, MR_RETRY_EXHAUSTED, MR_RETRY_LAST = MR_RETRY_EXHAUSTED };
struct mr_retry {
    enum mr_retry_kind kind;
    uint32_t attempt; /* failed attempts, this one included */
    uint32_t wait_ms; /* SCHEDULED: min(1 s * 2^(attempt - 1), 300 s) +- 20 %, the jitter from the event id */
};
/* `failed`: failed attempts before this one. */
MR_MUST_USE struct mr_retry mr_retry_decide(uint32_t failed, uint64_t event_hash);
/* The event's hash of a record: whoever asks about one gets the same waits. */
uint64_t mr_retry_event(uint32_t partition, uint64_t origin);

#endif
