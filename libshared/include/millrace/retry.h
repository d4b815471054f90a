/* When a record is tried again. Pure. */
#ifndef MR_RETRY_H
#define MR_RETRY_H

#include "millrace/base.h"

struct mr_retry_policy {
    uint32_t attempts_max; /* from 1 on */
    uint32_t first_wait_ms, wait_ms_max;
};
/* Five attempts, 1, 2, 4 and 8 s apart. */
#define MR_RETRY_DEFAULT ((struct mr_retry_policy){.attempts_max = 5, .first_wait_ms = 1000, .wait_ms_max = 300000})

enum mr_retry_kind { MR_RETRY_SCHEDULED = 1, MR_RETRY_EXHAUSTED, MR_RETRY_LAST = MR_RETRY_EXHAUSTED };
struct mr_retry {
    enum mr_retry_kind kind;
    uint32_t attempt; /* failed attempts, this one included */
    uint32_t wait_ms; /* SCHEDULED: min(first * 2^(attempt - 1), max) +- 20 %, the jitter from the event id */
};
/* `failed`: failed attempts before this one. */
MR_MUST_USE struct mr_retry mr_retry_decide(struct mr_retry_policy policy, uint32_t failed, uint64_t event_hash);
/* The event's hash of a record: whoever asks about one gets the same waits. */
uint64_t mr_retry_event(uint32_t partition, uint64_t origin);

#endif
