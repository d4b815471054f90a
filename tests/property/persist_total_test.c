/* Every state, event, outcome and finding has one answer, and no answer breaks what commits promise. */
#include "check_main.h"
#include "exhaust.h"
#include "persist.h"

#include <stdio.h>
#include <string.h>

/* Millions of times: an assertion of Check's is a write to a pipe each time, even when it holds. */
#define HOLDS(condition) ((condition) ? (void)0 : ck_abort_msg("%s", #condition))

static struct mr_sha256 hash(uint32_t fill)
{
    struct mr_sha256 value;
    memset(value.bytes, (int)fill, sizeof value.bytes);
    return value;
}

static struct persist_checkpoint any_checkpoint(struct exhaust *e)
{
    struct persist_checkpoint ours = {.content_hash = hash(1), .previous = hash(2), .position = {1, 20}};
    ours.has_previous = exhaust_pick(e, 1) == 1;
    ours.has_prev_origin = exhaust_pick(e, 1) == 1;
    ours.prev_origin = 15;
    return ours;
}

static struct persist_state any_state(struct exhaust *e)
{
    struct persist_state state = {.kind = (enum persist_state_kind)(1 + exhaust_pick(e, PERSIST_STATE_LAST - 1))};
    const bool storing = state.kind == PERSIST_STATE_STORING;
    state.suspicion =
        storing ? PERSIST_SUSPICION_NONE : (enum persist_suspicion)(1 + exhaust_pick(e, PERSIST_SUSPICION_LAST - 1));
    state.genesis = exhaust_pick(e, 1) == 1;
    state.base_counter = 6;
    state.base_record_hash = hash(3);
    state.counter = state.genesis ? 0 : 7;
    state.record_hash = hash(4);
    state.cursor_counter = storing ? 0 : 7 + exhaust_pick(e, 1);
    state.cursor_record_hash = hash(5);
    if (!storing) {
        state.ours = any_checkpoint(e);
        return state;
    }
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        state.tasks[i] = (enum persist_task)(1 + exhaust_pick(e, PERSIST_TASK_LAST - 1));
    }
    return state;
}

/* Positions and hashes on each side of every comparison. */
static struct persist_record any_record(struct exhaust *e)
{
    static const struct persist_place places[] = {{0, 99}, {1, 15}, {1, 20}, {1, 25}, {2, 0}};
    static const uint32_t counters[] = {0, 6, 7, 8};
    struct persist_record record = {
        .counter = counters[exhaust_pick(e, MR_COUNT_OF(counters) - 1)],
        .content_hash = hash(1 + exhaust_pick(e, 2)),
        .record_hash = hash(3 + exhaust_pick(e, 2)),
        .position = places[exhaust_pick(e, MR_COUNT_OF(places) - 1)],
        .has_parent = exhaust_pick(e, 1) == 1,
    };
    return record;
}

/* Every answer of one object, beside three others that are all as they must be. */
static void any_answers(struct exhaust *e, struct persist_answer ret_answers[PERSIST_OBJECTS])
{
    const uint32_t which = exhaust_pick(e, PERSIST_OBJECTS - 1);
    for (uint32_t i = 0; i < PERSIST_OBJECTS; i++) {
        ret_answers[i] = (struct persist_answer){MR_STORE_DONE, PERSIST_FINDING_SAME};
    }
    ret_answers[which].outcome = (enum mr_store_outcome)(1 + exhaust_pick(e, MR_STORE_LAST - 1));
    ret_answers[which].finding = (enum persist_finding)(1 + exhaust_pick(e, PERSIST_FINDING_LAST - 1));
}

static struct persist_event any_event(struct exhaust *e, const struct persist_state *state)
{
    struct persist_event event = {.kind = (enum persist_event_kind)(1 + exhaust_pick(e, PERSIST_EVENT_LAST - 1))};
    switch (event.kind) {
    case PERSIST_EVENT_BEGAN:
        event.of.began = any_checkpoint(e);
        event.of.began.foreign_log = exhaust_pick(e, 1) == 1;
        return event;
    case PERSIST_EVENT_ANSWERED:
        event.of.answered.answer.outcome = (enum mr_store_outcome)(1 + exhaust_pick(e, MR_STORE_LAST - 1));
        event.of.answered.answer.finding = (enum persist_finding)(1 + exhaust_pick(e, PERSIST_FINDING_LAST - 1));
        if (event.of.answered.answer.outcome == MR_STORE_DONE) {
            event.of.answered.record = any_record(e);
        }
        return event;
    case PERSIST_EVENT_STORED:
        if (state->kind == PERSIST_STATE_STORING) { /* elsewhere it cannot come, whatever it says */
            any_answers(e, event.of.stored.answers);
            event.of.stored.adopted = hash(6);
        }
        return event;
    case PERSIST_EVENT_UNREADABLE:
    case PERSIST_EVENT_ELAPSED: return event;
    }
    mr_unreachable(__func__);
}

static bool same(struct mr_sha256 a, struct mr_sha256 b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/* "Committed" is said after a yes to the swap, or after a record with our hash was read where ours must stand. */
static void check_committed(const struct persist_state *s, const struct persist_event *v)
{
    const bool yes = s->kind == PERSIST_STATE_SWAPPING_HEAD && v->of.answered.answer.outcome == MR_STORE_DONE;
    const bool seen = (s->kind == PERSIST_STATE_SETTLING || s->kind == PERSIST_STATE_WALKING_BACK) &&
                      v->of.answered.answer.finding == PERSIST_FINDING_RECORD &&
                      same(v->of.answered.record.record_hash, s->record_hash);
    HOLDS(v->kind == PERSIST_EVENT_ANSWERED && v->of.answered.answer.outcome == MR_STORE_DONE && (yes || seen));
}

static void check_already(const struct persist_state *s, const struct persist_event *v)
{
    const struct persist_record *record = &v->of.answered.record;
    HOLDS(s->kind == PERSIST_STATE_WALKING && v->kind == PERSIST_EVENT_ANSWERED);
    HOLDS(v->of.answered.answer.outcome == MR_STORE_DONE && v->of.answered.answer.finding == PERSIST_FINDING_RECORD);
    HOLDS(same(record->content_hash, s->ours.content_hash));
    HOLDS(record->position.epoch == s->ours.position.epoch && record->position.offset == s->ours.position.offset);
}

/* Building begins on the head that is our previous, or on none after an empty listing. */
static void check_read_spool(const struct persist_state *s, const struct persist_event *v,
                             const struct persist_state *n)
{
    if (v->kind == PERSIST_EVENT_ELAPSED) {
        HOLDS(s->kind == PERSIST_STATE_READING_SPOOL);
        return;
    }
    HOLDS(v->of.answered.answer.outcome == MR_STORE_DONE);
    if (s->kind == PERSIST_STATE_LISTING) {
        HOLDS(v->of.answered.answer.finding == PERSIST_FINDING_NO_VERSIONS && n->genesis && n->counter == 0);
        return;
    }
    const struct persist_record *head = &v->of.answered.record;
    HOLDS(s->ours.has_previous && same(head->content_hash, s->ours.previous));
    HOLDS(!n->genesis && n->counter == head->counter + 1);
    HOLDS(head->position.epoch < s->ours.position.epoch || head->position.offset < s->ours.position.offset);
}

/* What is known to be there after one answer: it was put, or read and found to be ours. */
static bool is_there(enum persist_task task, const struct persist_answer *answer)
{
    const bool done = answer->outcome == MR_STORE_DONE;
    const bool ours = answer->finding == PERSIST_FINDING_SAME || answer->finding == PERSIST_FINDING_ADOPTED;
    return task == PERSIST_TASK_NONE || (done && (task == PERSIST_TASK_PUT || ours));
}

static bool is_adopted(const struct persist_state *s, const struct persist_event *v)
{
    const struct persist_answer *answer = &v->of.stored.answers[PERSIST_METADATA];
    return s->tasks[PERSIST_METADATA] == PERSIST_TASK_COMPARE && answer->outcome == MR_STORE_DONE &&
           answer->finding == PERSIST_FINDING_ADOPTED;
}

/* Head is swapped when every object is known to be there, with an audit entry of the record hash that head will name;
 * nothing that is there is put again, and nothing is left out. */
static void check_stored(const struct persist_state *s, const struct persist_event *v, const struct persist_step *step)
{
    const enum persist_decision_kind kind = step->decision.kind;
    const bool adopted = is_adopted(s, v);
    if (kind == PERSIST_DECISION_SWAP_HEAD) {
        HOLDS(!adopted && same(step->next.record_hash, s->record_hash));
    } else if (kind != PERSIST_DECISION_STORE && kind != PERSIST_DECISION_WAIT) {
        HOLDS(kind == PERSIST_DECISION_STOP || kind == PERSIST_DECISION_REFUSE || kind == PERSIST_DECISION_FAULT);
        return;
    }
    HOLDS(same(step->next.record_hash, adopted ? v->of.stored.adopted : s->record_hash));
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        const bool audited_again = i == PERSIST_AUDIT && adopted;
        const bool there = is_there(s->tasks[i], &v->of.stored.answers[i]) && !audited_again;
        HOLDS(there == (step->next.tasks[i] == PERSIST_TASK_NONE));
        HOLDS(kind != PERSIST_DECISION_SWAP_HEAD || there);
        HOLDS(kind != PERSIST_DECISION_STORE || step->decision.of.store.tasks[i] == step->next.tasks[i]);
    }
}

/* One object's answer alone may hold back or end the commit, and says how. */
static void check_outcomes(const struct persist_state *s, const struct persist_event *v,
                           enum persist_decision_kind decision)
{
    for (size_t i = 0; i < PERSIST_OBJECTS; i++) {
        const enum mr_store_outcome outcome = v->of.stored.answers[i].outcome;
        const bool asked = s->tasks[i] != PERSIST_TASK_NONE;
        if (!asked || outcome == MR_STORE_DONE) {
            continue;
        }
        const bool is_compared =
            s->tasks[i] == PERSIST_TASK_PUT && (outcome == MR_STORE_UNKNOWN || outcome == MR_STORE_PRECONDITION_FAILED);
        HOLDS(outcome == MR_STORE_DENIED ? decision == PERSIST_DECISION_REFUSE
              : is_compared              ? decision == PERSIST_DECISION_STORE
                                         : decision == PERSIST_DECISION_WAIT);
    }
}

/* Head is swapped after the objects were stored, or again. */
static void check_order(const struct persist_state *s, const struct persist_event *v, const struct persist_step *step)
{
    const enum persist_decision_kind kind = step->decision.kind;
    const bool elapsed = v->kind == PERSIST_EVENT_ELAPSED, stored = v->kind == PERSIST_EVENT_STORED;
    if (s->kind == PERSIST_STATE_STORING && stored) {
        check_stored(s, v, step);
        check_outcomes(s, v, kind);
    } else if (kind == PERSIST_DECISION_SWAP_HEAD) {
        HOLDS(s->kind == PERSIST_STATE_SWAPPING_HEAD && elapsed);
    } else if (kind == PERSIST_DECISION_STORE && s->kind == PERSIST_STATE_STORING) {
        HOLDS(elapsed && memcmp(step->decision.of.store.tasks, s->tasks, sizeof s->tasks) == 0);
    } else if (kind == PERSIST_DECISION_STORE) {
        HOLDS(s->kind == PERSIST_STATE_READING_SPOOL && v->kind == PERSIST_EVENT_ANSWERED);
        HOLDS(v->of.answered.answer.outcome == MR_STORE_DONE);
        HOLDS(v->of.answered.answer.finding == PERSIST_FINDING_SAME);
        HOLDS(step->decision.of.store.tasks[PERSIST_AUDIT] == PERSIST_TASK_PUT);
    }
}

static void check_step(const struct persist_state *s, const struct persist_event *v, const struct persist_step *step)
{
    const enum persist_decision_kind kind = step->decision.kind;
    HOLDS(kind >= 1 && kind <= PERSIST_DECISION_LAST);
    HOLDS(step->next.kind >= 1 && step->next.kind <= PERSIST_STATE_LAST);
    HOLDS((persist_decision_text(&step->decision)) != NULL);
    const bool ends = kind == PERSIST_DECISION_EMIT || kind == PERSIST_DECISION_ABANDON ||
                      kind == PERSIST_DECISION_STOP || kind == PERSIST_DECISION_REFUSE;
    if (kind == PERSIST_DECISION_FAULT) {
        HOLDS(step->next.kind == s->kind);
    } else {
        HOLDS(ends == (step->next.kind == PERSIST_STATE_ENDED));
    }
    if (kind == PERSIST_DECISION_EMIT && step->decision.of.emit == PERSIST_EMIT_COMMITTED) {
        check_committed(s, v);
    } else if (kind == PERSIST_DECISION_EMIT) {
        check_already(s, v);
    }
    if (kind == PERSIST_DECISION_READ_SPOOL) {
        check_read_spool(s, v, &step->next);
    }
    HOLDS(kind != PERSIST_DECISION_READ_HEAD || !step->decision.of.read_head.and_spool ||
          v->kind == PERSIST_EVENT_BEGAN);
    if (kind == PERSIST_DECISION_LIST_VERSIONS && v->kind == PERSIST_EVENT_ANSWERED) {
        HOLDS(v->of.answered.answer.outcome == MR_STORE_MISSING && !s->ours.has_previous);
        HOLDS(s->kind == PERSIST_STATE_READING_HEAD); /* a swap's "missing" never leads to genesis */
    }
    check_order(s, v, step);
    /* What the store could not tell ends nothing: it is asked again, or the process leaves it to the next. */
    if (v->kind == PERSIST_EVENT_ANSWERED && s->kind != PERSIST_STATE_IDLE && s->kind != PERSIST_STATE_ENDED &&
        (v->of.answered.answer.outcome == MR_STORE_UNKNOWN || v->of.answered.answer.outcome == MR_STORE_UNAVAILABLE ||
         v->of.answered.answer.outcome == MR_STORE_THROTTLED || v->of.answered.answer.outcome == MR_STORE_CONFLICT)) {
        HOLDS(kind == PERSIST_DECISION_WAIT ||
              (s->kind == PERSIST_STATE_SWAPPING_HEAD && kind == PERSIST_DECISION_READ_HEAD) ||
              (s->kind == PERSIST_STATE_STORING && kind == PERSIST_DECISION_FAULT));
    }
    if (v->kind == PERSIST_EVENT_ANSWERED && v->of.answered.answer.outcome == MR_STORE_DENIED &&
        s->kind != PERSIST_STATE_IDLE && s->kind != PERSIST_STATE_ENDED && s->kind != PERSIST_STATE_STORING) {
        HOLDS(kind == PERSIST_DECISION_REFUSE);
    }
}

START_TEST(every_pair_is_answered)
{
    struct exhaust e = {0};
    unsigned pairs = 0, faults = 0;
    while (exhaust_next(&e)) {
        const struct persist_state s = any_state(&e);
        const struct persist_event v = any_event(&e, &s);
        const struct persist_step step = persist_decide(&s, &v);
        check_step(&s, &v, &step);
        faults += step.decision.kind == PERSIST_DECISION_FAULT;
        pairs++;
    }
    printf("pairs=%u faults=%u\n", pairs, faults);
    ck_assert_uint_gt(pairs, 100000);
    ck_assert_uint_lt(faults, pairs);
}
END_TEST

/* From any state but the two ends, a wait that is over does the state's own effect again. */
START_TEST(waits_go_on)
{
    struct exhaust e = {0};
    while (exhaust_next(&e)) {
        const struct persist_state s = any_state(&e);
        const struct persist_step step = persist_decide(&s, &(struct persist_event){.kind = PERSIST_EVENT_ELAPSED});
        const bool end = s.kind == PERSIST_STATE_IDLE || s.kind == PERSIST_STATE_ENDED;
        HOLDS(end == (step.decision.kind == PERSIST_DECISION_FAULT));
        HOLDS(end || step.decision.kind < PERSIST_DECISION_WAIT);
        HOLDS(step.next.kind == s.kind);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, every_pair_is_answered);
    tcase_add_test(tcase, waits_go_on);
}

int main(void)
{
    return check_main("persist_total", add);
}
