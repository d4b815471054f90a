/* One row per reason and per decision: a good record, and the one thing that is wrong with it. */
#include "check_main.h"
#include "validate.h"

#include <string.h>

struct row {
    const char *name;
    struct validate_facts facts;
    enum validate_decision_kind decision;
    enum validate_reason reason; /* of what ends in a dead letter */
};

#define BATCH(run_) .body = VALIDATE_BODY_BATCH, .run = VALIDATE_RUN_##run_
#define CONTENT(shape, policy, dtype, claims, checksums, values) \
    .of.batch = {VALIDATE_SHAPE_##shape,                         \
                 VALIDATE_POLICY_##policy,                       \
                 VALIDATE_DTYPE_##dtype,                         \
                 VALIDATE_CLAIMS_##claims,                       \
                 (checksums),                                    \
                 VALIDATE_VALUES_##values,                       \
                 {7, "K"}}
#define START(valid) .body = VALIDATE_BODY_RUN_STARTED, .run = VALIDATE_RUN_UNKNOWN, .of.run_started = {(valid)}
#define STOP(run_) .body = VALIDATE_BODY_RUN_STOPPED, .run = VALIDATE_RUN_##run_
#define DEAD(decision_, reason_) VALIDATE_DECISION_##decision_, VALIDATE_REASON_##reason_

static const struct row rows[] = {
    {"start", {START(true)}, VALIDATE_DECISION_VALIDATED, 0},
    {"bad start", {START(false)}, DEAD(REJECTED, BAD_SPEC)},
    {"stop", {STOP(OPEN)}, VALIDATE_DECISION_VALIDATED, 0},
    {"stop of no run", {STOP(UNKNOWN)}, DEAD(UNKNOWN_RUN, UNKNOWN_RUN)},
    {"stop again", {STOP(CLOSED)}, DEAD(RUN_CLOSED, RUN_CLOSED)},
    {"range", {BATCH(OPEN), CONTENT(FITS, KEEP, NONE, NONE, true, GOOD)}, VALIDATE_DECISION_VALIDATED, 0},
    {"tensors", {BATCH(OPEN), CONTENT(FITS, KEEP, FLOAT32, NONE, true, GOOD)}, VALIDATE_DECISION_VALIDATED, 0},
    {"claims", {BATCH(OPEN), CONTENT(FITS, KEEP, FLOAT32, FETCHABLE, true, GOOD)}, VALIDATE_DECISION_FETCH, 0},
    {"batch of no run",
     {BATCH(UNKNOWN), CONTENT(FITS, KEEP, FLOAT32, NONE, true, GOOD)},
     DEAD(UNKNOWN_RUN, UNKNOWN_RUN)},
    {"batch after stop", {BATCH(CLOSED), CONTENT(FITS, KEEP, FLOAT32, NONE, true, GOOD)}, DEAD(RUN_CLOSED, RUN_CLOSED)},
    {"other job", {BATCH(OPEN), CONTENT(OTHER_JOB, KEEP, FLOAT32, NONE, true, GOOD)}, DEAD(REJECTED, JOB_MISMATCH)},
    {"float64",
     {BATCH(OPEN), CONTENT(MISMATCH, KEEP, OTHER, NONE, true, GOOD)},
     DEAD(DTYPE_INCOMPATIBLE, DTYPE_INCOMPATIBLE)},
    {"dtype of the future",
     {BATCH(OPEN), CONTENT(DTYPE, CAST_TO_BFLOAT16, UNKNOWN, NONE, true, GOOD)},
     DEAD(DTYPE_INCOMPATIBLE, DTYPE_INCOMPATIBLE)},
    {"shape", {BATCH(OPEN), CONTENT(MISMATCH, KEEP, FLOAT32, NONE, true, GOOD)}, DEAD(SHAPE_MISMATCH, SHAPE_MISMATCH)},
    {"limit", {BATCH(OPEN), CONTENT(OVER_LIMIT, KEEP, FLOAT32, NONE, true, GOOD)}, DEAD(REJECTED, TOO_LARGE)},
    {"end of the sequence",
     {BATCH(OPEN), CONTENT(BEYOND_SEQUENCE, KEEP, NONE, NONE, true, GOOD)},
     DEAD(REJECTED, SOBOL_OUT_OF_RANGE)},
    {"s3 claim",
     {BATCH(OPEN), CONTENT(FITS, KEEP, FLOAT32, UNSUPPORTED, true, GOOD)},
     DEAD(REJECTED, UNSUPPORTED_CLAIM)},
    {"inline checksum",
     {BATCH(OPEN), CONTENT(FITS, KEEP, FLOAT32, NONE, false, GOOD)},
     DEAD(CHECKSUM_MISMATCH, CHECKSUM_MISMATCH)},
    {"nan", {BATCH(OPEN), CONTENT(FITS, KEEP, FLOAT32, NONE, true, NON_FINITE)}, DEAD(NON_FINITE, NON_FINITE)},
    {"domain",
     {BATCH(OPEN), CONTENT(FITS, KEEP, FLOAT32, NONE, true, OUT_OF_DOMAIN)},
     DEAD(OUT_OF_DOMAIN, OUT_OF_DOMAIN)},
};

START_TEST(row_holds)
{
    const struct row *row = &rows[_i];
    const struct validate_state ready = {.kind = VALIDATE_STATE_READY};
    const struct validate_event event = {.kind = VALIDATE_EVENT_RECORD, .of = {.record = row->facts}};
    const struct validate_step step = validate_decide(&ready, &event);
    ck_assert_msg(step.decision.kind == row->decision, "%s: %s", row->name, validate_decision_text(step.decision.kind));
    if (row->reason != 0) {
        ck_assert_str_eq(validate_reason_text(step.decision.reason), validate_reason_text(row->reason));
        ck_assert_int_eq(step.next.kind, VALIDATE_STATE_BURYING);
        ck_assert_int_eq(step.next.reason, row->reason);
    }
    if (row->decision == VALIDATE_DECISION_OUT_OF_DOMAIN || row->decision == VALIDATE_DECISION_NON_FINITE) {
        ck_assert_uint_eq(step.decision.of.place.row, 7);
        ck_assert_str_eq(step.decision.of.place.field, "K");
    }
}
END_TEST

struct answer {
    enum validate_fetched outcome;
    enum validate_decision_kind decision;
    enum validate_reason reason;
};

static const struct answer answers[] = {
    {VALIDATE_FETCHED_COPIED, VALIDATE_DECISION_VALIDATED, 0},
    {VALIDATE_FETCHED_STORE_DOWN, VALIDATE_DECISION_STORE_DOWN, 0},
    {VALIDATE_FETCHED_MISSING, DEAD(REJECTED, CLAIM_MISSING)},
    {VALIDATE_FETCHED_NOT_A_FILE, DEAD(REJECTED, UNSUPPORTED_CLAIM)},
    {VALIDATE_FETCHED_SIZE_MISMATCH, DEAD(REJECTED, CLAIM_SIZE_MISMATCH)},
    {VALIDATE_FETCHED_CHECKSUM_MISMATCH, DEAD(CHECKSUM_MISMATCH, CHECKSUM_MISMATCH)},
    {VALIDATE_FETCHED_NON_FINITE, DEAD(NON_FINITE, NON_FINITE)},
    {VALIDATE_FETCHED_OUT_OF_DOMAIN, DEAD(OUT_OF_DOMAIN, OUT_OF_DOMAIN)},
    {VALIDATE_FETCHED_UNREADABLE, DEAD(RETRY_EXHAUSTED, CLAIM_UNREADABLE)},
    {VALIDATE_FETCHED_COPY_CORRUPT, DEAD(RETRY_EXHAUSTED, COPY_CORRUPT)},
    {VALIDATE_FETCHED_OUT_OF_MEMORY, DEAD(RETRY_EXHAUSTED, OUT_OF_MEMORY)},
};

/* After four failed attempts, so that the fifth is the last. */
START_TEST(answer_holds)
{
    const struct answer *row = &answers[_i];
    const struct validate_state fetching = {.kind = VALIDATE_STATE_FETCHING};
    struct validate_event event = {
        .kind = VALIDATE_EVENT_FETCHED,
        .of = {.fetched = {.outcome = row->outcome, .attempt = {MR_RETRY_DEFAULT, 4, 1, 1000}}}};
    const struct validate_step step = validate_decide(&fetching, &event);
    ck_assert_str_eq(validate_decision_text(step.decision.kind), validate_decision_text(row->decision));
    if (row->reason != 0) {
        ck_assert_str_eq(validate_reason_text(step.decision.reason), validate_reason_text(row->reason));
    }
    event.of.fetched.attempt.failed_before = 0;
    const struct validate_step first = validate_decide(&fetching, &event);
    if (row->decision == VALIDATE_DECISION_RETRY_EXHAUSTED) {
        ck_assert_int_eq(first.decision.kind, VALIDATE_DECISION_RETRY_SCHEDULED);
        ck_assert_uint_eq(first.decision.of.retry.attempt, 1);
        ck_assert_int_gt(first.decision.of.retry.at_ms, 1000);
    } else {
        ck_assert_int_eq(first.decision.kind, row->decision);
    }
}
END_TEST

START_TEST(every_reason_has_a_row)
{
    for (int reason = 1; reason <= VALIDATE_REASON_LAST; reason++) {
        bool found = false;
        for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
            found = found || (int)rows[i].reason == reason;
        }
        for (size_t i = 0; i < MR_COUNT_OF(answers); i++) {
            found = found || (int)answers[i].reason == reason;
        }
        ck_assert_msg(found, "no row for %s", validate_reason_text((enum validate_reason)reason));
    }
}
END_TEST

/* The store may be away for as long as it likes: no attempt is spent, and the precision is not forgotten. */
START_TEST(a_store_that_is_down_is_waited_for)
{
    const struct validate_precision cast = {VALIDATE_PRECISION_CAST_TO_BFLOAT16,
                                            VALIDATE_PRECISION_REASON_DTYPE_POLICY};
    const struct validate_event probed = {.kind = VALIDATE_EVENT_PROBED};
    const struct validate_event down = {
        .kind = VALIDATE_EVENT_FETCHED,
        .of = {.fetched = {.outcome = VALIDATE_FETCHED_STORE_DOWN, .attempt = {MR_RETRY_DEFAULT, 4, 1, 1000}}}};
    const struct validate_event copied = {.kind = VALIDATE_EVENT_FETCHED,
                                          .of = {.fetched = {.outcome = VALIDATE_FETCHED_COPIED}}};
    struct validate_state state = {.kind = VALIDATE_STATE_FETCHING, .precision = cast};
    for (int i = 0; i < 20; i++) {
        struct validate_step step = validate_decide(&state, &down);
        ck_assert_int_eq(step.decision.kind, VALIDATE_DECISION_STORE_DOWN);
        step = validate_decide(&step.next, &probed);
        ck_assert_int_eq(step.decision.kind, VALIDATE_DECISION_FETCH);
        state = step.next;
    }
    const struct validate_step step = validate_decide(&state, &copied);
    ck_assert_int_eq(step.decision.kind, VALIDATE_DECISION_VALIDATED);
    ck_assert_int_eq(step.decision.of.precision.kind, VALIDATE_PRECISION_CAST_TO_BFLOAT16);
}
END_TEST

START_TEST(precision_is_never_changed_unasked)
{
    struct validate_precision p = validate_precision_decide(VALIDATE_POLICY_KEEP, VALIDATE_DTYPE_FLOAT32);
    ck_assert_int_eq(p.kind, VALIDATE_PRECISION_KEEP);
    p = validate_precision_decide(VALIDATE_POLICY_CAST_TO_BFLOAT16, VALIDATE_DTYPE_FLOAT32);
    ck_assert_int_eq(p.kind, VALIDATE_PRECISION_CAST_TO_BFLOAT16);
    ck_assert_int_eq(p.reason, VALIDATE_PRECISION_REASON_DTYPE_POLICY);
    p = validate_precision_decide(VALIDATE_POLICY_CAST_TO_BFLOAT16, VALIDATE_DTYPE_NONE);
    ck_assert_int_eq(p.kind, VALIDATE_PRECISION_KEEP);
    p = validate_precision_decide(VALIDATE_POLICY_CAST_TO_BFLOAT16, VALIDATE_DTYPE_OTHER);
    ck_assert_int_eq(p.reason, VALIDATE_PRECISION_REASON_NOT_FLOAT32);
    p = validate_precision_decide(VALIDATE_POLICY_KEEP, VALIDATE_DTYPE_UNKNOWN);
    ck_assert_int_eq(p.kind, VALIDATE_PRECISION_REJECT_DTYPE);
    ck_assert_int_eq(p.reason, VALIDATE_PRECISION_REASON_UNKNOWN_DTYPE);
}
END_TEST

/* Only what is certain is called stored or corrupt; everything else is looked at, or asked again later. */
START_TEST(copies_are_settled_by_reading_back)
{
    ck_assert_int_eq(validate_copy_after_put(MR_STORE_DONE), VALIDATE_COPY_STORED);
    ck_assert_int_eq(validate_copy_after_put(MR_STORE_UNKNOWN), VALIDATE_COPY_READ_BACK);
    ck_assert_int_eq(validate_copy_after_put(MR_STORE_CONFLICT), VALIDATE_COPY_READ_BACK);
    ck_assert_int_eq(validate_copy_after_put(MR_STORE_PRECONDITION_FAILED), VALIDATE_COPY_READ_BACK);
    for (int outcome = 1; outcome <= MR_STORE_LAST; outcome++) {
        const enum validate_copy equal = validate_copy_after_head((enum mr_store_outcome)outcome, true);
        const enum validate_copy differs = validate_copy_after_head((enum mr_store_outcome)outcome, false);
        ck_assert_int_eq(equal, outcome == MR_STORE_DONE ? VALIDATE_COPY_STORED : VALIDATE_COPY_DOWN);
        ck_assert_int_eq(differs, outcome == MR_STORE_DONE ? VALIDATE_COPY_CORRUPT : VALIDATE_COPY_DOWN);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_loop_test(tcase, row_holds, 0, (int)MR_COUNT_OF(rows));
    tcase_add_loop_test(tcase, answer_holds, 0, (int)MR_COUNT_OF(answers));
    tcase_add_test(tcase, every_reason_has_a_row);
    tcase_add_test(tcase, a_store_that_is_down_is_waited_for);
    tcase_add_test(tcase, precision_is_never_changed_unasked);
    tcase_add_test(tcase, copies_are_settled_by_reading_back);
}

int main(void)
{
    return check_main("validate_decide", add);
}
