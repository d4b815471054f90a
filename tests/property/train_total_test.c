/* Every state x event of train's decisions has one answer, and what must hold of all answers does. */
#include "check_main.h"
#include "exhaust.h"
#include "train.h"

#include <string.h>

static struct train_plan any_plan(struct exhaust *e)
{
    return (struct train_plan){.final = exhaust_pick(e, 1) == 1, .every_steps = 2 * (uint64_t)exhaust_pick(e, 1)};
}

static struct train_state any_state(struct exhaust *e)
{
    struct train_state state = {.run = (enum train_run)(1 + exhaust_pick(e, TRAIN_RUN_LAST - 1)),
                                .plan = any_plan(e),
                                .step = 3 + exhaust_pick(e, 1),
                                .applied = 9,
                                .checkpointed = exhaust_pick(e, 1) == 1,
                                .checkpoint_step = 3};
    memcpy(state.run_id, "r1", 3);
    return state;
}

static struct train_event any_event(struct exhaust *e)
{
    struct train_event event = {.kind = (enum train_event_kind)(1 + exhaust_pick(e, TRAIN_EVENT_LAST - 1)),
                                .completed = exhaust_pick(e, 1) == 1};
    memcpy(event.run_id, exhaust_pick(e, 1) == 1 ? "r1" : "r2", 3);
    return event;
}

static bool is_record(enum train_event_kind kind)
{
    return kind == TRAIN_EVENT_RUN_STARTED || kind == TRAIN_EVENT_BATCH || kind == TRAIN_EVENT_RUN_STOPPED;
}

/* The events that a state may meet. */
static bool may_happen(const struct train_state *state, enum train_event_kind kind)
{
    switch (state->run) {
    case TRAIN_RUN_OPENING: return kind == TRAIN_EVENT_OPENED || kind == TRAIN_EVENT_REFUSED;
    case TRAIN_RUN_STEPPING: return kind == TRAIN_EVENT_STEPPED || kind == TRAIN_EVENT_DIVERGED;
    case TRAIN_RUN_NONE:
    case TRAIN_RUN_OPEN:
    case TRAIN_RUN_FAILED:
    case TRAIN_RUN_CLOSED: return is_record(kind);
    }
    mr_unreachable(__func__);
}

static void check_same(const struct train_state *a, const struct train_state *b)
{
    ck_assert_int_eq(a->run, b->run);
    ck_assert_str_eq(a->run_id, b->run_id);
    ck_assert_int_eq(a->plan.final, b->plan.final);
    ck_assert_uint_eq(a->plan.every_steps, b->plan.every_steps);
    ck_assert_uint_eq(a->step, b->step);
    ck_assert_uint_eq(a->applied, b->applied);
    ck_assert_int_eq(a->checkpointed, b->checkpointed);
    ck_assert_uint_eq(a->checkpoint_step, b->checkpoint_step);
}

static void check_checkpoint(const struct train_state *state, const struct train_step *step)
{
    if (!step->decision.checkpoint_due) {
        return;
    }
    const bool stepped = step->decision.kind == TRAIN_DECISION_STEPPED;
    ck_assert(stepped || step->decision.kind == TRAIN_DECISION_RUN_CLOSED);
    ck_assert(stepped ? step->next.step % state->plan.every_steps == 0 : state->plan.final);
    ck_assert(step->next.checkpointed);
    ck_assert_uint_eq(step->next.checkpoint_step, step->next.step);
    /* Rule C13: never two of the same step of a run. */
    ck_assert(!state->checkpointed || state->checkpoint_step != step->next.step);
}

START_TEST(every_pair_is_answered)
{
    struct exhaust e = {0};
    while (exhaust_next(&e)) {
        struct train_state state = any_state(&e);
        const struct train_event event = any_event(&e);
        const struct train_step step = train_decide(&state, &event);
        const bool fault = step.decision.kind == TRAIN_DECISION_FAULT;
        ck_assert_int_eq(fault, !may_happen(&state, event.kind));
        if (fault) {
            check_same(&step.next, &state);
            continue;
        }
        /* Every record of the log counts, whatever it does; outcomes of effects do not. */
        ck_assert_uint_eq(step.next.applied, state.applied + (is_record(event.kind) ? 1 : 0));
        check_checkpoint(&state, &step);
        if (event.kind == TRAIN_EVENT_STEPPED) {
            ck_assert_uint_eq(step.next.step, state.step + 1);
        } else if (event.kind != TRAIN_EVENT_RUN_STARTED) {
            ck_assert_uint_eq(step.next.step, state.step);
        }
    }
}
END_TEST

/* A failed or closed run, and another run's records, change nothing but the count. */
START_TEST(what_is_not_of_the_open_run_is_skipped)
{
    struct exhaust e = {0};
    while (exhaust_next(&e)) {
        struct train_state state = any_state(&e);
        const struct train_event event = any_event(&e);
        const bool own = state.run == TRAIN_RUN_OPEN && strcmp(event.run_id, state.run_id) == 0;
        if (!may_happen(&state, event.kind) || !is_record(event.kind) || own || event.kind == TRAIN_EVENT_RUN_STARTED) {
            continue;
        }
        const struct train_step step = train_decide(&state, &event);
        ck_assert_int_eq(step.decision.kind, TRAIN_DECISION_SKIPPED);
        state.applied++;
        check_same(&step.next, &state);
    }
}
END_TEST

START_TEST(a_start_begins_anew)
{
    struct exhaust e = {0};
    while (exhaust_next(&e)) {
        const struct train_state state = any_state(&e);
        struct train_event event = {.kind = TRAIN_EVENT_RUN_STARTED, .plan = {.every_steps = 5}};
        memcpy(event.run_id, "r9", 3);
        if (!may_happen(&state, event.kind)) {
            continue;
        }
        const struct train_step step = train_decide(&state, &event);
        ck_assert_int_eq(step.decision.kind, TRAIN_DECISION_OPEN_RUN);
        ck_assert_int_eq(step.next.run, TRAIN_RUN_OPENING);
        ck_assert_str_eq(step.next.run_id, "r9");
        ck_assert_uint_eq(step.next.step, 0);
        ck_assert(!step.next.checkpointed);
        ck_assert_uint_eq(step.next.plan.every_steps, 5);
    }
}
END_TEST

START_TEST(the_gate_bounds_what_runs_ahead)
{
    struct exhaust e = {0};
    while (exhaust_next(&e)) {
        const struct train_load load = {.uncommitted = exhaust_pick(&e, 3),
                                        .run_ahead = 1 + exhaust_pick(&e, 2),
                                        .opens_run = exhaust_pick(&e, 1) == 1,
                                        .restarts = exhaust_pick(&e, 1) == 1,
                                        .resident = exhaust_pick(&e, 1) == 1,
                                        .models = exhaust_pick(&e, 2),
                                        .models_max = 1 + exhaust_pick(&e, 1)};
        const enum train_gate gate = train_gate_decide(&load);
        const bool behind = load.uncommitted >= load.run_ahead;
        const bool needs_chain = load.opens_run && load.restarts && load.uncommitted > 0;
        const bool crowded = load.opens_run && !load.resident && load.models >= load.models_max;
        ck_assert_int_eq(gate == TRAIN_GATE_AWAIT_COMMIT, behind || needs_chain);
        ck_assert_int_eq(gate == TRAIN_GATE_GO, !behind && !needs_chain && !crowded);
    }
}
END_TEST

START_TEST(only_an_own_head_is_gone_on_with)
{
    struct exhaust e = {0};
    while (exhaust_next(&e)) {
        const struct train_sighting seen = {.some = exhaust_pick(&e, 1) == 1,
                                            .known_before = exhaust_pick(&e, 1) == 1,
                                            .is_known = exhaust_pick(&e, 1) == 1,
                                            .is_produced = exhaust_pick(&e, 1) == 1,
                                            .place_taken = exhaust_pick(&e, 1) == 1,
                                            .is_overtaken = exhaust_pick(&e, 1) == 1};
        const enum train_head head = train_head_decide(&seen);
        const bool goes_on = head == TRAIN_HEAD_STAYS || head == TRAIN_HEAD_ADVANCED;
        ck_assert_int_eq(goes_on, seen.some ? seen.is_known || seen.is_produced : !seen.known_before);
        ck_assert_int_eq(head == TRAIN_HEAD_MISSING, !seen.some && seen.known_before);
        const bool fenced = seen.some && !goes_on && seen.place_taken;
        ck_assert_int_eq(head == TRAIN_HEAD_FENCED, fenced);
        ck_assert_int_eq(head == TRAIN_HEAD_LOOK_AGAIN, seen.some && !goes_on && !fenced && seen.is_overtaken);
    }
}
END_TEST

START_TEST(a_head_of_another_log_is_refused)
{
    ck_assert_int_eq(train_hydrate_decide(TRAIN_FOUND_NOTHING), TRAIN_START_BOOTSTRAPPING);
    ck_assert_int_eq(train_hydrate_decide(TRAIN_FOUND_HEAD), TRAIN_START_READY);
    ck_assert_int_eq(train_hydrate_decide(TRAIN_FOUND_EARLIER_LOG), TRAIN_START_READY_IN_NEW_LOG);
    ck_assert_int_eq(train_hydrate_decide(TRAIN_FOUND_OTHER_LOG), TRAIN_START_LOG_DISCONTINUITY);
    ck_assert_int_eq(train_hydrate_decide(TRAIN_FOUND_BEYOND_END), TRAIN_START_LOG_DISCONTINUITY);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, every_pair_is_answered);
    tcase_add_test(tcase, what_is_not_of_the_open_run_is_skipped);
    tcase_add_test(tcase, a_start_begins_anew);
    tcase_add_test(tcase, the_gate_bounds_what_runs_ahead);
    tcase_add_test(tcase, only_an_own_head_is_gone_on_with);
    tcase_add_test(tcase, a_head_of_another_log_is_refused);
}

int main(void)
{
    return check_main("train_total", add);
}
