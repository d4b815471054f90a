#include "millrace/retry.h"

static const uint32_t first_wait_ms = 1000;
enum { WAIT_MS_MAX = 300 * 1000 };
/* So few attempts never reach the rule's cap, so there is no branch for it. */
_Static_assert((1000U << (MR_RETRY_ATTEMPTS_MAX - 2)) <= WAIT_MS_MAX, "more attempts need the cap on the wait");

struct mr_retry mr_retry_decide(uint32_t failed, uint64_t event_hash)
{
    if (failed >= MR_RETRY_ATTEMPTS_MAX - 1) {
        const uint32_t attempt = failed == UINT32_MAX ? failed : failed + 1;
        return (struct mr_retry){.kind = MR_RETRY_EXHAUSTED, .attempt = attempt, .wait_ms = 0};
    }
    const uint32_t base_ms = first_wait_ms << failed;
    const uint32_t jitter_ms_max = base_ms / 5;
    const uint64_t draw = mr_mix64(event_hash ^ mr_mix64(failed)) % (2 * jitter_ms_max + 1);
    return (struct mr_retry){
        .kind = MR_RETRY_SCHEDULED,
        .attempt = failed + 1,
        .wait_ms = base_ms - jitter_ms_max + (uint32_t)draw,
    };
}

uint64_t mr_retry_event(uint32_t partition, uint64_t origin)
{
    return mr_mix64(mr_mix64(partition) ^ origin);
}
