/* Every view and event: one known answer, and what is accepted had every right to be. */
#include "check_main.h"
#include "exhaust.h"
#include "ingest.h"

#include <stdio.h>
#include <string.h>

static bool flag(struct exhaust *e)
{
    return exhaust_pick(e, 1) == 1;
}

static void choose_body(struct exhaust *e, struct ingest_facts *facts)
{
    switch (facts->body) {
    case INGEST_BODY_RUN_STARTED:
        facts->of.run_started.spec_valid = flag(e);
        facts->of.run_started.job = (enum ingest_job)(1 + exhaust_pick(e, INGEST_JOB_LAST - 1));
        return;
    case INGEST_BODY_BATCH:
        facts->of.batch.payload = (enum ingest_payload)(1 + exhaust_pick(e, INGEST_PAYLOAD_LAST - 1));
        facts->of.batch.inline_fits = flag(e);
        facts->of.batch.empty = flag(e);
        facts->of.batch.has_producer = flag(e);
        if (facts->of.batch.has_producer) {
            facts->of.batch.epoch = 1 + exhaust_pick(e, 2);
            facts->of.batch.sequence = 1 + exhaust_pick(e, 2);
        }
        return;
    case INGEST_BODY_RUN_STOPPED: facts->of.run_stopped.outcome_valid = flag(e); return;
    case INGEST_BODY_NONE:
    case INGEST_BODY_TOO_LARGE:
    case INGEST_BODY_UNDECODABLE:
    case INGEST_BODY_UNKNOWN_FIELD:
    case INGEST_BODY_NO_EVENT: return;
    }
    mr_unreachable(__func__);
}

static struct ingest_event any_event(struct exhaust *e)
{
    struct ingest_event event;
    memset(&event, 0, sizeof event);
    event.kind = (enum ingest_event_kind)(1 + exhaust_pick(e, INGEST_EVENT_LAST - 1));
    switch (event.kind) {
    case INGEST_EVENT_SUBMITTED:
        event.of.submitted.body = (enum ingest_body)(1 + exhaust_pick(e, INGEST_BODY_LAST - 1));
        /* The envelope's flags are looked at before everything else: one of them wrong, or none. */
        event.of.submitted.ids_valid = event.of.submitted.key_matches = event.of.submitted.partition_matches = true;
        switch (exhaust_pick(e, 3)) {
        case 1: event.of.submitted.ids_valid = false; break;
        case 2: event.of.submitted.key_matches = false; break;
        case 3: event.of.submitted.partition_matches = false; break;
        default: break;
        }
        event.of.submitted.replay = (enum ingest_replay)(1 + exhaust_pick(e, INGEST_REPLAY_LAST - 1));
        choose_body(e, &event.of.submitted);
        return event;
    case INGEST_EVENT_FAILED:
        event.of.failed.policy = MR_RETRY_DEFAULT;
        event.of.failed.failed_before = exhaust_pick(e, 6);
        event.of.failed.now_ms = 1000;
        return event;
    case INGEST_EVENT_BURIED:
        event.of.buried.reason = (enum ingest_reason)(1 + exhaust_pick(e, INGEST_REASON_LAST - 1));
        return event;
    }
    mr_unreachable(__func__);
}

static struct ingest_view any_view(struct exhaust *e)
{
    struct ingest_view view;
    memset(&view, 0, sizeof view);
    view.run = (enum ingest_run)(1 + exhaust_pick(e, INGEST_RUN_LAST - 1));
    view.job = (enum ingest_job)(1 + exhaust_pick(e, INGEST_JOB_LAST - 1));
    view.another_open = view.run != INGEST_RUN_OPEN && flag(e);
    view.producer = (enum ingest_producer)(1 + exhaust_pick(e, INGEST_PRODUCER_LAST - 1));
    view.epoch = 2;
    view.sequence = 2;
    view.replayed = flag(e);
    switch (exhaust_pick(e, 3)) {
    case 1: view.models_full = true; break;
    case 2: view.runs_full = true; break;
    case 3: view.replays_full = true; break;
    default: break;
    }
    return view;
}

static void check_accepted(const struct ingest_view *view, const struct ingest_facts *facts)
{
    ck_assert(facts->ids_valid && facts->key_matches && facts->partition_matches);
    ck_assert_int_ne(facts->replay, INGEST_REPLAY_MALFORMED);
    ck_assert(facts->replay != INGEST_REPLAY_NAMED || (!view->replayed && !view->replays_full));
    if (facts->body == INGEST_BODY_RUN_STARTED) {
        ck_assert(facts->of.run_started.spec_valid && view->run == INGEST_RUN_UNKNOWN && !view->another_open);
        ck_assert(!view->models_full && !view->runs_full);
        return;
    }
    ck_assert_int_eq(view->run, INGEST_RUN_OPEN);
    if (facts->body == INGEST_BODY_RUN_STOPPED) {
        ck_assert(facts->of.run_stopped.outcome_valid);
        return;
    }
    ck_assert_int_eq(facts->body, INGEST_BODY_BATCH);
    ck_assert(facts->of.batch.inline_fits && !facts->of.batch.empty);
    ck_assert((facts->of.batch.payload == INGEST_PAYLOAD_LABELLED) == (view->job == INGEST_JOB_LABELLED));
    if (facts->of.batch.has_producer && facts->replay == INGEST_REPLAY_NONE &&
        view->producer == INGEST_PRODUCER_KNOWN) {
        ck_assert(facts->of.batch.epoch > view->epoch ||
                  (facts->of.batch.epoch == view->epoch && facts->of.batch.sequence > view->sequence));
    }
}

static void check(const struct ingest_view *view, const struct ingest_event *event)
{
    const struct ingest_decision decision = ingest_decide(view, event);
    ck_assert_int_ge(decision.kind, 1);
    ck_assert_int_le(decision.kind, INGEST_DECISION_LAST);
    ck_assert_str_ne(ingest_decision_text(decision.kind), "");
    /* Each event has answers of its own. */
    ck_assert((event->kind == INGEST_EVENT_BURIED) == (decision.kind == INGEST_DECISION_DEAD_LETTERED));
    ck_assert((event->kind == INGEST_EVENT_FAILED) ==
              (decision.kind == INGEST_DECISION_RETRY_SCHEDULED || decision.kind == INGEST_DECISION_RETRY_EXHAUSTED));
    if (decision.kind == INGEST_DECISION_REJECTED || decision.kind == INGEST_DECISION_DEAD_LETTERED) {
        ck_assert_int_ge(decision.of.reason, 1);
        ck_assert_int_le(decision.of.reason, INGEST_REASON_LAST);
    }
    if (decision.kind == INGEST_DECISION_ACCEPTED) {
        check_accepted(view, &event->of.submitted);
    }
    if (decision.kind == INGEST_DECISION_DUPLICATE) {
        ck_assert(event->of.submitted.replay == INGEST_REPLAY_NAMED ? view->replayed
                                                                    : event->of.submitted.of.batch.has_producer);
    }
}

START_TEST(every_pair_is_answered)
{
    struct exhaust e = {.started = false};
    uint64_t pairs = 0;
    while (exhaust_next(&e)) {
        const struct ingest_event event = any_event(&e);
        const struct ingest_view view = any_view(&e);
        check(&view, &event);
        pairs++;
    }
    printf("pairs=%llu\n", (unsigned long long)pairs);
    ck_assert_uint_gt(pairs, 100000);
}
END_TEST

START_TEST(every_reason_has_a_name_of_its_own)
{
    for (int a = 1; a <= INGEST_REASON_LAST; a++) {
        for (int b = 1; b < a; b++) {
            ck_assert_str_ne(ingest_reason_text((enum ingest_reason)a), ingest_reason_text((enum ingest_reason)b));
        }
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, every_pair_is_answered);
    tcase_add_test(tcase, every_reason_has_a_name_of_its_own);
}

int main(void)
{
    return check_main("ingest_total", add);
}
