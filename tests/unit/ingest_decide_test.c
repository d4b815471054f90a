/* One row per reason and per decision: a good record, and the one thing that is wrong with it. */
#include "check_main.h"
#include "ingest.h"

#include <string.h>

struct row {
    const char *name;
    struct ingest_facts facts;
    struct ingest_view view;
    enum ingest_decision_kind decision;
    enum ingest_reason reason;       /* REJECTED */
    enum ingest_duplicate duplicate; /* DUPLICATE */
};

#define ENVELOPE(ids, key, partition, replay_) \
    .ids_valid = (ids), .key_matches = (key), .partition_matches = (partition), .replay = INGEST_REPLAY_##replay_
#define GOOD ENVELOPE(true, true, true, NONE)
#define REPLAY ENVELOPE(true, true, true, NAMED)
#define START .body = INGEST_BODY_RUN_STARTED, GOOD
#define BATCH .body = INGEST_BODY_BATCH
#define STOP .body = INGEST_BODY_RUN_STOPPED, GOOD
#define SPEC(valid) .of.run_started = {(valid), INGEST_JOB_PRICING}
#define PAYLOAD(kind, fits, empty_) .of.batch = {INGEST_PAYLOAD_##kind, (fits), (empty_), false, 0, 0}
#define SOBOL PAYLOAD(SOBOL_RANGE, true, false)
#define NUMBERED(epoch_, sequence_) .of.batch = {INGEST_PAYLOAD_SOBOL_RANGE, true, false, true, (epoch_), (sequence_)}
#define OUTCOME(valid) .of.run_stopped = {(valid)}

/* Views: what the memory says of the run, and then what is special about it. */
#define VIEW(run_, job_, producer_) \
    .run = INGEST_RUN_##run_, .job = INGEST_JOB_##job_, .producer = INGEST_PRODUCER_##producer_
#define IDLE VIEW(UNKNOWN, PRICING, NEW)
#define OPEN VIEW(OPEN, PRICING, NEW)
#define CLOSED VIEW(CLOSED, PRICING, NEW)
#define AFTER(epoch_, sequence_) VIEW(OPEN, PRICING, KNOWN), .epoch = (epoch_), .sequence = (sequence_)
#define ACCEPTED .decision = INGEST_DECISION_ACCEPTED
#define REJECTED(reason_) .decision = INGEST_DECISION_REJECTED, .reason = INGEST_REASON_##reason_
#define DUPLICATE(why) .decision = INGEST_DECISION_DUPLICATE, .duplicate = INGEST_DUPLICATE_##why

static const struct row rows[] = {
    {"start", {START, SPEC(true)}, {IDLE}, ACCEPTED},
    {"batch", {BATCH, GOOD, SOBOL}, {OPEN}, ACCEPTED},
    {"stop", {STOP, OUTCOME(true)}, {OPEN}, ACCEPTED},
    {"no bytes", {.body = INGEST_BODY_NONE}, {IDLE}, REJECTED(EMPTY_VALUE)},
    {"too many bytes", {.body = INGEST_BODY_TOO_LARGE}, {IDLE}, REJECTED(TOO_LARGE)},
    {"garbage", {.body = INGEST_BODY_UNDECODABLE}, {IDLE}, REJECTED(UNDECODABLE)},
    {"unknown field", {.body = INGEST_BODY_UNKNOWN_FIELD}, {IDLE}, REJECTED(UNKNOWN_FIELD)},
    {"no event", {.body = INGEST_BODY_NO_EVENT}, {IDLE}, REJECTED(NO_EVENT)},
    {"bad id", {BATCH, ENVELOPE(false, true, true, NONE), SOBOL}, {OPEN}, REJECTED(BAD_ID)},
    {"other key", {BATCH, ENVELOPE(true, false, true, NONE), SOBOL}, {OPEN}, REJECTED(KEY_MISMATCH)},
    {"other partition", {BATCH, ENVELOPE(true, true, false, NONE), SOBOL}, {OPEN}, REJECTED(WRONG_PARTITION)},
    {"bad replay", {BATCH, ENVELOPE(true, true, true, MALFORMED), SOBOL}, {OPEN}, REJECTED(BAD_REPLAY)},
    {"bad spec", {START, SPEC(false)}, {IDLE}, REJECTED(BAD_SPEC)},
    {"no payload", {BATCH, GOOD, PAYLOAD(NONE, true, false)}, {OPEN}, REJECTED(NO_PAYLOAD)},
    {"much inline", {BATCH, GOOD, PAYLOAD(CONTRACTS, false, false)}, {OPEN}, REJECTED(INLINE_TOO_LARGE)},
    {"bad outcome", {STOP, OUTCOME(false)}, {OPEN}, REJECTED(BAD_OUTCOME)},
    {"second start", {START, SPEC(true)}, {IDLE, .another_open = true}, REJECTED(CONFLICT)},
    {"same start again", {START, SPEC(true)}, {OPEN}, REJECTED(CONFLICT)},
    {"id of a closed run", {START, SPEC(true)}, {CLOSED}, REJECTED(CONFLICT)},
    {"batch of no run", {BATCH, GOOD, SOBOL}, {IDLE}, REJECTED(UNKNOWN_RUN)},
    {"stop of no run", {STOP, OUTCOME(true)}, {IDLE}, REJECTED(UNKNOWN_RUN)},
    {"batch after stop", {BATCH, GOOD, SOBOL}, {CLOSED}, REJECTED(RUN_CLOSED)},
    {"stop after stop", {STOP, OUTCOME(true)}, {CLOSED}, REJECTED(RUN_CLOSED)},
    {"tensors for pricing", {BATCH, GOOD, PAYLOAD(LABELLED, true, false)}, {OPEN}, REJECTED(JOB_MISMATCH)},
    {"range for labelled", {BATCH, GOOD, SOBOL}, {VIEW(OPEN, LABELLED, NEW)}, REJECTED(JOB_MISMATCH)},
    {"too many models", {START, SPEC(true)}, {IDLE, .models_full = true}, REJECTED(TOO_MANY_MODELS)},
    {"too many runs", {START, SPEC(true)}, {IDLE, .runs_full = true}, REJECTED(TOO_MANY_RUNS)},
    {"too many producers", {BATCH, GOOD, NUMBERED(0, 1)}, {VIEW(OPEN, PRICING, NO_ROOM)}, REJECTED(TOO_MANY_PRODUCERS)},
    {"too many replays", {BATCH, REPLAY, SOBOL}, {OPEN, .replays_full = true}, REJECTED(TOO_MANY_REPLAYS)},
    {"no rows", {BATCH, GOOD, PAYLOAD(SOBOL_RANGE, true, true)}, {OPEN}, .decision = INGEST_DECISION_EMPTY_BATCH},
    {"no rows, of no run", {BATCH, GOOD, PAYLOAD(SOBOL_RANGE, true, true)}, {IDLE}, REJECTED(UNKNOWN_RUN)},
    {"first of a producer", {BATCH, GOOD, NUMBERED(0, 0)}, {OPEN}, ACCEPTED},
    {"next of a producer", {BATCH, GOOD, NUMBERED(1, 8)}, {AFTER(1, 7)}, ACCEPTED},
    {"a later one", {BATCH, GOOD, NUMBERED(1, 70)}, {AFTER(1, 7)}, ACCEPTED},
    {"repeated", {BATCH, GOOD, NUMBERED(1, 7)}, {AFTER(1, 7)}, DUPLICATE(SEQUENCE)},
    {"reordered", {BATCH, GOOD, NUMBERED(1, 3)}, {AFTER(1, 7)}, DUPLICATE(SEQUENCE)},
    {"later epoch", {BATCH, GOOD, NUMBERED(2, 0)}, {AFTER(1, 7)}, ACCEPTED},
    {"earlier epoch", {BATCH, GOOD, NUMBERED(0, 9)}, {AFTER(1, 7)}, DUPLICATE(EPOCH)},
    {"replay skips the sequence", {BATCH, REPLAY, NUMBERED(1, 3)}, {AFTER(1, 7)}, ACCEPTED},
    {"replay is accepted once", {BATCH, REPLAY, SOBOL}, {OPEN, .replayed = true}, DUPLICATE(REPLAY)},
};

START_TEST(row_holds)
{
    const struct row *row = &rows[_i];
    const struct ingest_event event = {.kind = INGEST_EVENT_SUBMITTED, .of = {.submitted = row->facts}};
    const struct ingest_decision decision = ingest_decide(&row->view, &event);
    ck_assert_msg(decision.kind == row->decision, "%s: %s", row->name, ingest_decision_text(decision.kind));
    if (row->decision == INGEST_DECISION_REJECTED) {
        ck_assert_msg(decision.of.reason == row->reason, "%s: %s", row->name, ingest_reason_text(decision.of.reason));
    }
    if (row->decision == INGEST_DECISION_DUPLICATE) {
        ck_assert_msg(decision.of.duplicate == row->duplicate, "%s: %s", row->name,
                      ingest_duplicate_text(decision.of.duplicate));
    }
}
END_TEST

/* Every reason has a row, but the one of the last attempt. */
START_TEST(every_reason_has_a_row)
{
    for (int reason = 1; reason < INGEST_REASON_OUT_OF_MEMORY; reason++) {
        bool found = false;
        for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
            found = found || (int)rows[i].reason == reason;
        }
        ck_assert_msg(found, "no row for %s", ingest_reason_text((enum ingest_reason)reason));
    }
}
END_TEST

START_TEST(accepted_records_say_what_they_change)
{
    const struct ingest_facts start = {START, SPEC(true)};
    const struct ingest_facts stop = {STOP, OUTCOME(true)};
    const struct ingest_facts numbered = {BATCH, GOOD, NUMBERED(1, 1)};
    const struct ingest_facts replay = {BATCH, REPLAY, NUMBERED(1, 1)};
    ck_assert(ingest_change_of(&start).opens_run);
    ck_assert(ingest_change_of(&stop).closes_run);
    ck_assert(ingest_change_of(&numbered).advances_producer);
    ck_assert(!ingest_change_of(&replay).advances_producer);
    ck_assert(ingest_change_of(&replay).remembers_replay);
}
END_TEST

START_TEST(a_failure_is_tried_five_times)
{
    const struct ingest_view view = {IDLE};
    int64_t due_ms = 0;
    for (uint32_t failed = 0; failed < 4; failed++) {
        const struct ingest_event event = {.kind = INGEST_EVENT_FAILED,
                                           .of = {.failed = {MR_RETRY_DEFAULT, failed, 9, 1000}}};
        const struct ingest_decision decision = ingest_decide(&view, &event);
        ck_assert_int_eq(decision.kind, INGEST_DECISION_RETRY_SCHEDULED);
        ck_assert_uint_eq(decision.of.retry.attempt, failed + 1);
        ck_assert_int_gt(decision.of.retry.at_ms, due_ms);
        due_ms = decision.of.retry.at_ms;
    }
    const struct ingest_event last = {.kind = INGEST_EVENT_FAILED, .of = {.failed = {MR_RETRY_DEFAULT, 4, 9, 1000}}};
    const struct ingest_decision decision = ingest_decide(&view, &last);
    ck_assert_int_eq(decision.kind, INGEST_DECISION_RETRY_EXHAUSTED);
    ck_assert_int_eq(decision.of.reason, INGEST_REASON_OUT_OF_MEMORY);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_loop_test(tcase, row_holds, 0, (int)MR_COUNT_OF(rows));
    tcase_add_test(tcase, every_reason_has_a_row);
    tcase_add_test(tcase, accepted_records_say_what_they_change);
    tcase_add_test(tcase, a_failure_is_tried_five_times);
}

int main(void)
{
    return check_main("ingest_decide", add);
}
