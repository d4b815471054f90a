/* How a client follows: every pair of state and event, and what each sequence leads to. */
#include "check_main.h"
#include "follow.h"

static struct follow_state state_of(enum follow_state_kind kind, bool pinned, bool serves)
{
    return (struct follow_state){
        .kind = kind,
        .pinned = pinned,
        .poll_ms = 1000,
        .retry = {.attempts_max = UINT32_MAX, .first_wait_ms = 100, .wait_ms_max = 1600},
        .found = serves,
        .serves = serves,
        .counter = serves ? 7 : 0,
    };
}

static struct follow_step after(struct follow_state state, struct follow_event event)
{
    return follow_decide(&state, &event);
}

START_TEST(every_pair_is_decided)
{
    for (int kind = FOLLOW_STATE_WAITING; kind <= FOLLOW_STATE_LAST; kind++) {
        for (int what = FOLLOW_EVENT_DUE; what <= FOLLOW_EVENT_LAST; what++) {
            const struct follow_state state = state_of((enum follow_state_kind)kind, false, true);
            const struct follow_event event = {.kind = (enum follow_event_kind)what, .counter = 8};
            const struct follow_step step = follow_decide(&state, &event);
            const bool possible = (kind == FOLLOW_STATE_WAITING && what == FOLLOW_EVENT_DUE) ||
                                  (kind == FOLLOW_STATE_LOOKING && what == FOLLOW_EVENT_FOUND) ||
                                  (kind == FOLLOW_STATE_LOADING && what == FOLLOW_EVENT_LOADED) ||
                                  (kind != FOLLOW_STATE_WAITING && what == FOLLOW_EVENT_FAILED);
            ck_assert_int_eq(step.decision.kind == FOLLOW_DECISION_FAULT, !possible);
            if (!possible) {
                ck_assert_int_eq(step.next.kind, state.kind);
            }
        }
    }
}
END_TEST

START_TEST(what_is_new_is_loaded_and_what_is_older_refused)
{
    static const struct {
        uint64_t counter;
        bool same;
        enum follow_decision_kind decision;
        enum follow_refusal refusal;
    } rows[] = {
        {8, false, FOLLOW_DECISION_LOAD, 0},
        {900, false, FOLLOW_DECISION_LOAD, 0},
        {7, true, FOLLOW_DECISION_SETTLE, 0},
        {7, false, FOLLOW_DECISION_REFUSE, FOLLOW_REFUSAL_FORKED},
        {6, false, FOLLOW_DECISION_REFUSE, FOLLOW_REFUSAL_ROLLED_BACK},
        {0, false, FOLLOW_DECISION_REFUSE, FOLLOW_REFUSAL_ROLLED_BACK},
    };
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        const struct follow_step step = after(state_of(FOLLOW_STATE_LOOKING, false, true),
                                              (struct follow_event){FOLLOW_EVENT_FOUND, rows[i].counter, rows[i].same});
        ck_assert_int_eq(step.decision.kind, rows[i].decision);
        ck_assert_int_eq(step.decision.refusal, rows[i].refusal);
        ck_assert_uint_eq(step.next.counter, 7);
    }
    /* Nothing is served yet: whatever is found is loaded, genesis too. */
    const struct follow_step first =
        after(state_of(FOLLOW_STATE_LOOKING, false, false), (struct follow_event){.kind = FOLLOW_EVENT_FOUND});
    ck_assert_int_eq(first.decision.kind, FOLLOW_DECISION_LOAD);
    ck_assert(first.next.found && !first.next.serves);
}
END_TEST

START_TEST(it_never_stops_trying)
{
    struct follow_state state = state_of(FOLLOW_STATE_WAITING, false, true);
    uint32_t longest = 0;
    for (int i = 0; i < 100000; i++) {
        struct follow_step step = after(state, (struct follow_event){.kind = FOLLOW_EVENT_DUE});
        ck_assert_int_eq(step.decision.kind, FOLLOW_DECISION_LOOK);
        step = after(step.next, (struct follow_event){.kind = FOLLOW_EVENT_FAILED});
        ck_assert_int_eq(step.decision.kind, FOLLOW_DECISION_WAIT);
        ck_assert_uint_ge(step.decision.wait_ms, 80);
        ck_assert_uint_le(step.decision.wait_ms, 1920);
        longest = step.decision.wait_ms > longest ? step.decision.wait_ms : longest;
        state = step.next;
    }
    ck_assert_uint_ge(longest, 1600);
    ck_assert_uint_eq(state.failures, 100000);
    state.failures = UINT32_MAX - 2;
    state.kind = FOLLOW_STATE_LOOKING;
    const struct follow_step last = after(state, (struct follow_event){.kind = FOLLOW_EVENT_FAILED});
    ck_assert_int_eq(last.decision.kind, FOLLOW_DECISION_WAIT);
    ck_assert_uint_ge(last.decision.wait_ms, 1280);
    ck_assert_uint_eq(last.next.failures, UINT32_MAX - 2);
    ck_assert(last.next.serves && last.next.counter == 7);
}
END_TEST

START_TEST(a_pinned_version_is_looked_for_until_it_is_served)
{
    struct follow_step step =
        after(state_of(FOLLOW_STATE_LOOKING, true, false), (struct follow_event){.kind = FOLLOW_EVENT_FAILED});
    ck_assert_uint_gt(step.decision.wait_ms, 0);
    step = after(state_of(FOLLOW_STATE_LOADING, true, false), (struct follow_event){FOLLOW_EVENT_LOADED, 3, false});
    ck_assert_int_eq(step.decision.kind, FOLLOW_DECISION_SERVE);
    ck_assert_uint_eq(step.decision.wait_ms, FOLLOW_FOR_EVER);
    step = after(state_of(FOLLOW_STATE_LOADING, false, false), (struct follow_event){FOLLOW_EVENT_LOADED, 3, false});
    ck_assert_uint_eq(step.decision.wait_ms, 800);
    ck_assert_uint_eq(step.next.counter, 3);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, every_pair_is_decided);
    tcase_add_test(tcase, what_is_new_is_loaded_and_what_is_older_refused);
    tcase_add_test(tcase, it_never_stops_trying);
    tcase_add_test(tcase, a_pinned_version_is_looked_for_until_it_is_served);
}

int main(void)
{
    return check_main("client_follow", add);
}
