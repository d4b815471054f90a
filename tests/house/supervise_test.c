/* The supervisor's pure parts: what becomes of a process that ended, and what a plan may say. */
#include "check_main.h"
#include "exhaust.h"
#include "plan.h"

#include <string.h>

static struct supervise_end ended(enum supervise_end_kind kind, int number, uint64_t life_ms)
{
    return (struct supervise_end){.kind = kind, .number = number, .life_ms = life_ms};
}

START_TEST(a_killed_service_is_started_again_at_once)
{
    const struct supervise_fate fate =
        supervise_fate_of(SUPERVISE_RESTART_ALWAYS, ended(SUPERVISE_END_KILLED, 9, 60000), 7);
    ck_assert_int_eq(fate.kind, SUPERVISE_FATE_RESTART);
    ck_assert_uint_eq(fate.wait_ms, 0);
    ck_assert_uint_eq(fate.quick_ends, 0);
}
END_TEST

START_TEST(the_wait_grows_while_it_keeps_dying_and_is_bounded)
{
    static const uint64_t expected_ms[] = {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    uint32_t quick_ends = 0;
    for (size_t i = 0; i < MR_COUNT_OF(expected_ms); i++) {
        const struct supervise_fate fate =
            supervise_fate_of(SUPERVISE_RESTART_ALWAYS, ended(SUPERVISE_END_EXITED, 1, 10), quick_ends);
        ck_assert_int_eq(fate.kind, SUPERVISE_FATE_RESTART);
        ck_assert_uint_eq(fate.wait_ms, expected_ms[i]);
        quick_ends = fate.quick_ends;
    }
    const struct supervise_fate last =
        supervise_fate_of(SUPERVISE_RESTART_ALWAYS, ended(SUPERVISE_END_EXITED, 1, 10), UINT32_MAX);
    ck_assert_uint_eq(last.wait_ms, SUPERVISE_WAIT_MAX_MS);
}
END_TEST

START_TEST(every_end_of_every_kind_has_its_fate)
{
    static const int lasting[] = {64, 66, 69, 70, 76, 77};
    struct exhaust choices = {.started = false};
    while (exhaust_next(&choices)) {
        const bool never = exhaust_pick(&choices, 1) == 1;
        const bool killed = exhaust_pick(&choices, 1) == 1;
        const int number = (int)exhaust_pick(&choices, 255);
        bool lasts = false;
        for (size_t i = 0; i < MR_COUNT_OF(lasting); i++) {
            lasts = lasts || (!killed && lasting[i] == number);
        }
        const enum supervise_fate_kind expected = never   ? SUPERVISE_FATE_STOP_STACK
                                                  : lasts ? SUPERVISE_FATE_GIVE_UP
                                                          : SUPERVISE_FATE_RESTART;
        const struct supervise_fate fate = supervise_fate_of(
            never ? SUPERVISE_RESTART_NEVER : SUPERVISE_RESTART_ALWAYS,
            ended(killed ? SUPERVISE_END_KILLED : SUPERVISE_END_EXITED, number, SUPERVISE_QUICK_MS), 0);
        ck_assert_int_eq(fate.kind, expected);
    }
}
END_TEST

START_TEST(a_plan_is_read_whole)
{
    char text[] = "process broker\nlevel 1\nrestart never\nready file bootstrap\narg /bin/broker\n\n"
                  "process train\nlevel 2\nrestart always\nready http\narg /bin/train\narg --a b c\n";
    struct supervise_plan plan;
    const struct mr_error error = supervise_plan_parse(text, &plan);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    ck_assert_uint_eq(plan.count, 2);
    ck_assert_str_eq(plan.entries[0].name, "broker");
    ck_assert_int_eq(plan.entries[0].restart, SUPERVISE_RESTART_NEVER);
    ck_assert_int_eq(plan.entries[0].ready, SUPERVISE_READY_FILE);
    ck_assert_str_eq(plan.entries[0].ready_name, "bootstrap");
    ck_assert_int_eq(plan.entries[1].level, 2);
    ck_assert_uint_eq(plan.entries[1].arg_count, 2);
    ck_assert_str_eq(plan.entries[1].args[1], "--a b c");
    ck_assert_ptr_null(plan.entries[1].args[2]);
}
END_TEST

START_TEST(a_bad_plan_is_refused_with_its_line)
{
    static const char *const bad[] = {
        "",
        "level 1\n",
        "process a\nlevel 1\nrestart always\narg /bin/a\n",
        "process a\nrestart always\nready http\n",
        "process a b\n",
        "process ../a\n",
        "process a\nlevel 10\n",
        "process a\nrestart sometimes\n",
        "process a\nready file ../x\n",
        "process a\nready file \n",
        "process a\ncolour red\n",
        "process a\nrestart always\nready http\narg /bin/a\nprocess a\n",
        "process abcdefghijklmnopqrstuvwxyzabcdefghijkl\n",
    };
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        char text[128];
        struct supervise_plan plan = {.count = 99};
        memcpy(text, bad[i], strlen(bad[i]) + 1);
        const struct mr_error error = supervise_plan_parse(text, &plan);
        ck_assert_msg(error.kind == MR_ERROR_REJECT, "accepted: %s", bad[i]);
        ck_assert_str_eq(error.code, "bad_plan");
        ck_assert_uint_eq(plan.count, 99);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_killed_service_is_started_again_at_once);
    tcase_add_test(tests, the_wait_grows_while_it_keeps_dying_and_is_bounded);
    tcase_add_test(tests, every_end_of_every_kind_has_its_fate);
    tcase_add_test(tests, a_plan_is_read_whole);
    tcase_add_test(tests, a_bad_plan_is_refused_with_its_line);
}

int main(void)
{
    return check_main("supervise", add);
}
