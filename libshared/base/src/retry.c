#include "millrace/retry.h"

static uint32_t wait_ms_of(struct mr_retry_policy policy, uint32_t failed)
{
    uint64_t wait_ms = policy.first_wait_ms;
    for (uint32_t i = 0; i < failed && wait_ms < policy.wait_ms_max; i++) {
        wait_ms *= 2;
    }
    return wait_ms < policy.wait_ms_max ? (uint32_t)wait_ms : policy.wait_ms_max;
}

struct mr_retry mr_retry_decide(struct mr_retry_policy policy, uint32_t failed, uint64_t event_hash)
{
    const uint32_t attempt = failed == UINT32_MAX ? failed : failed + 1;
    if (attempt >= policy.attempts_max) {
        return (struct mr_retry){.kind = MR_RETRY_EXHAUSTED, .attempt = attempt, .wait_ms = 0};
    }
    const uint32_t base_ms = wait_ms_of(policy, failed);
    const uint32_t jitter_ms_max = base_ms / 5;
    const uint64_t draw = mr_mix64(event_hash ^ mr_mix64(failed)) % (2 * (uint64_t)jitter_ms_max + 1);
    return (struct mr_retry){
        .kind = MR_RETRY_SCHEDULED,
        .attempt = attempt,
        .wait_ms = base_ms - jitter_ms_max + (uint32_t)draw,
    };
}

uint64_t mr_retry_event(uint32_t partition, uint64_t origin)
{
    return mr_mix64(mr_mix64(partition) ^ origin);
}
