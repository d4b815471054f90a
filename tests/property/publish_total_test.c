/* Every state x event of publish has one answer, and no state of the sink ever holds a record back. */
#include "check_main.h"
#include "exhaust.h"
#include "publish.h"

#include <string.h>

static const int64_t times_ms[] = {0, 999, 1000, 1001, INT64_C(1) << 50};

static struct publish_state any_state(struct exhaust *e)
{
    struct publish_state state = {.kind = (enum publish_state_kind)(1 + exhaust_pick(e, PUBLISH_STATE_LAST - 1)),
                                  .pace = {.interval_ms = 100, .probe_ms = 1000}};
    switch (state.kind) {
    case PUBLISH_STATE_READY:
    case PUBLISH_STATE_DOWN: state.of.next_ms = times_ms[exhaust_pick(e, MR_COUNT_OF(times_ms) - 1)]; return state;
    case PUBLISH_STATE_WRITING: state.of.was_down = exhaust_pick(e, 1) == 1; return state;
    case PUBLISH_STATE_OFF: return state;
    }
    mr_unreachable(__func__);
}

static struct publish_event any_event(struct exhaust *e)
{
    struct publish_event event = {.kind = (enum publish_event_kind)(1 + exhaust_pick(e, PUBLISH_EVENT_LAST - 1))};
    switch (event.kind) {
    case PUBLISH_EVENT_TICKED:
        event.of.ticked.now_ms = times_ms[exhaust_pick(e, MR_COUNT_OF(times_ms) - 1)];
        event.of.ticked.pending = exhaust_pick(e, 1) == 1;
        return event;
    case PUBLISH_EVENT_VIEW_WRITTEN:
    case PUBLISH_EVENT_VIEW_FAILED:
        event.of.answered.now_ms = times_ms[exhaust_pick(e, MR_COUNT_OF(times_ms) - 1)];
        return event;
    case PUBLISH_EVENT_STEP_READ:
    case PUBLISH_EVENT_VERSION_READ:
    case PUBLISH_EVENT_UNREADABLE: return event;
    }
    mr_unreachable(__func__);
}

static bool sink_is_down(const struct publish_state *state)
{
    return state->kind == PUBLISH_STATE_DOWN || (state->kind == PUBLISH_STATE_WRITING && state->of.was_down);
}

static void check_record(const struct publish_state *state, const struct publish_event *event,
                         const struct publish_step *step)
{
    const bool metric = event->kind == PUBLISH_EVENT_STEP_READ;
    const enum publish_decision_kind published =
        metric ? PUBLISH_DECISION_PUBLISH_METRIC : PUBLISH_DECISION_PUBLISH_VERSION;
    const enum publish_decision_kind deferred = metric ? PUBLISH_DECISION_DEFER_METRIC : PUBLISH_DECISION_DEFER_VERSION;
    ck_assert_int_eq(step->decision.kind, sink_is_down(state) ? deferred : published);
    ck_assert_int_eq(step->next.kind, state->kind);
}

static void check_tick(const struct publish_state *state, const struct publish_event *event,
                       const struct publish_step *step)
{
    const bool may_write = state->kind == PUBLISH_STATE_READY || state->kind == PUBLISH_STATE_DOWN;
    const bool due = may_write && event->of.ticked.pending && event->of.ticked.now_ms >= state->of.next_ms;
    ck_assert_int_eq(step->decision.kind, due ? PUBLISH_DECISION_WRITE_VIEW : PUBLISH_DECISION_WAIT);
    if (due) {
        ck_assert_int_eq(step->next.kind, PUBLISH_STATE_WRITING);
        ck_assert_int_eq(step->next.of.was_down, state->kind == PUBLISH_STATE_DOWN);
    } else {
        ck_assert_int_eq(step->next.kind, state->kind);
    }
}

static void check_answer(const struct publish_state *state, const struct publish_event *event,
                         const struct publish_step *step)
{
    if (state->kind != PUBLISH_STATE_WRITING) {
        ck_assert_int_eq(step->decision.kind, PUBLISH_DECISION_FAULT);
        return;
    }
    const bool written = event->kind == PUBLISH_EVENT_VIEW_WRITTEN;
    ck_assert_int_eq(step->decision.kind, written ? PUBLISH_DECISION_SETTLE : PUBLISH_DECISION_KEEP);
    ck_assert_int_eq(step->next.kind, written ? PUBLISH_STATE_READY : PUBLISH_STATE_DOWN);
    ck_assert_int_eq(step->next.of.next_ms, event->of.answered.now_ms + (written ? 100 : 1000));
}

START_TEST(every_pair_is_answered)
{
    struct exhaust e = {0};
    unsigned pairs = 0;
    while (exhaust_next(&e)) {
        const struct publish_state state = any_state(&e);
        const struct publish_event event = any_event(&e);
        const struct publish_step step = publish_decide(&state, &event);
        switch (event.kind) {
        case PUBLISH_EVENT_STEP_READ:
        case PUBLISH_EVENT_VERSION_READ: check_record(&state, &event, &step); break;
        case PUBLISH_EVENT_UNREADABLE: ck_assert_int_eq(step.decision.kind, PUBLISH_DECISION_STOP_MODEL); break;
        case PUBLISH_EVENT_TICKED: check_tick(&state, &event, &step); break;
        case PUBLISH_EVENT_VIEW_WRITTEN:
        case PUBLISH_EVENT_VIEW_FAILED: check_answer(&state, &event, &step); break;
        }
        ck_assert_uint_eq(step.next.pace.interval_ms, 100);
        ck_assert_uint_eq(step.next.pace.probe_ms, 1000);
        pairs++;
    }
    ck_assert_uint_eq(pairs, (1 + 5 + 2 + 5) * (3 + 10 + 5 + 5));
}
END_TEST

START_TEST(every_tag_has_a_text)
{
    for (int kind = 1; kind <= PUBLISH_STATE_LAST; kind++) {
        ck_assert_uint_gt(strlen(publish_state_text((enum publish_state_kind)kind)), 0);
    }
    for (int kind = 1; kind <= PUBLISH_EVENT_LAST; kind++) {
        ck_assert_uint_gt(strlen(publish_event_text((enum publish_event_kind)kind)), 0);
    }
    for (int kind = 1; kind <= PUBLISH_DECISION_LAST; kind++) {
        ck_assert_uint_gt(strlen(publish_decision_text((enum publish_decision_kind)kind)), 0);
    }
    for (int sink = 1; sink <= PUBLISH_SINK_LAST; sink++) {
        ck_assert_uint_gt(strlen(publish_sink_text((enum publish_sink)sink)), 0);
    }
}
END_TEST

static void add(TCase *total)
{
    tcase_add_test(total, every_pair_is_answered);
    tcase_add_test(total, every_tag_has_a_text);
}

int main(void)
{
    return check_main("publish_total", add);
}
