#include "check_main.h"
#include "millrace/retry.h"

#include "prng.h"

START_TEST(waits_double_within_a_fifth)
{
    static const uint32_t base_ms[] = {1000, 2000, 4000, 8000};
    struct prng random = {.state = 1};
    for (uint32_t failed = 0; failed < MR_COUNT_OF(base_ms); failed++) {
        uint32_t least = UINT32_MAX;
        uint32_t most = 0;
        for (int i = 0; i < 2000; i++) {
            const struct mr_retry retry = mr_retry_decide(MR_RETRY_DEFAULT, failed, prng_next(&random));
            ck_assert_int_eq(retry.kind, MR_RETRY_SCHEDULED);
            ck_assert_uint_eq(retry.attempt, failed + 1);
            least = retry.wait_ms < least ? retry.wait_ms : least;
            most = retry.wait_ms > most ? retry.wait_ms : most;
        }
        const uint32_t base = base_ms[failed];
        ck_assert_uint_ge(least, base - base / 5);
        ck_assert_uint_le(most, base + base / 5);
        /* The draws fill the range, or records that failed together would come back together. */
        ck_assert_uint_lt(least, base - base / 6);
        ck_assert_uint_gt(most, base + base / 6);
    }
}
END_TEST

START_TEST(the_fifth_failure_is_the_last)
{
    static const uint32_t failed[] = {4, 5, 1000, UINT32_MAX - 1, UINT32_MAX};
    ck_assert_int_eq(mr_retry_decide(MR_RETRY_DEFAULT, 3, 9).kind, MR_RETRY_SCHEDULED);
    for (size_t i = 0; i < MR_COUNT_OF(failed); i++) {
        const struct mr_retry retry = mr_retry_decide(MR_RETRY_DEFAULT, failed[i], 9);
        ck_assert_int_eq(retry.kind, MR_RETRY_EXHAUSTED);
        ck_assert_uint_ge(retry.attempt, 5);
        ck_assert_uint_eq(retry.wait_ms, 0);
    }
    ck_assert_uint_eq(mr_retry_decide(MR_RETRY_DEFAULT, 4, 9).attempt, 5);
}
END_TEST

START_TEST(the_jitter_comes_from_the_event_alone)
{
    bool differs_by_event = false;
    bool differs_by_attempt = false;
    for (uint64_t event = 0; event < 100; event++) {
        const uint32_t wait_ms = mr_retry_decide(MR_RETRY_DEFAULT, 0, event).wait_ms;
        ck_assert_uint_eq(mr_retry_decide(MR_RETRY_DEFAULT, 0, event).wait_ms, wait_ms);
        differs_by_event = differs_by_event || mr_retry_decide(MR_RETRY_DEFAULT, 0, event + 1).wait_ms != wait_ms;
        differs_by_attempt = differs_by_attempt || mr_retry_decide(MR_RETRY_DEFAULT, 1, event).wait_ms != 2 * wait_ms;
    }
    ck_assert(differs_by_event);
    ck_assert(differs_by_attempt);
}
END_TEST

START_TEST(a_policy_bounds_attempts_and_waits)
{
    const struct mr_retry_policy policy = {.attempts_max = 40, .first_wait_ms = 100, .wait_ms_max = 350};
    static const uint32_t base_ms[] = {100, 200, 350, 350};
    for (uint32_t failed = 0; failed < 39; failed++) {
        const uint32_t base = base_ms[failed < 3 ? failed : 3];
        const struct mr_retry retry = mr_retry_decide(policy, failed, failed);
        ck_assert_int_eq(retry.kind, MR_RETRY_SCHEDULED);
        ck_assert_uint_ge(retry.wait_ms, base - base / 5);
        ck_assert_uint_le(retry.wait_ms, base + base / 5);
    }
    ck_assert_int_eq(mr_retry_decide(policy, 39, 1).kind, MR_RETRY_EXHAUSTED);
    const struct mr_retry_policy once = {.attempts_max = 1, .first_wait_ms = 100, .wait_ms_max = 350};
    ck_assert_int_eq(mr_retry_decide(once, 0, 1).kind, MR_RETRY_EXHAUSTED);
    const struct mr_retry_policy largest = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    ck_assert_int_eq(mr_retry_decide(largest, 1000, 1).kind, MR_RETRY_SCHEDULED);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, waits_double_within_a_fifth);
    tcase_add_test(tests, the_fifth_failure_is_the_last);
    tcase_add_test(tests, the_jitter_comes_from_the_event_alone);
    tcase_add_test(tests, a_policy_bounds_attempts_and_waits);
}

int main(void)
{
    return check_main("base_retry", add);
}
