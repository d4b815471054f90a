#include "ingest_verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct words {
    char *text;
    size_t size;
};

static void say(struct words to, const char *format, ...) MR_PRINTF(2, 3);

static void say(struct words to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(to.text, to.size, format, arguments);
    va_end(arguments);
}

static void say_fault(struct words to, const struct ingest_record *record)
{
    const char *path = record->fault.path[0] == '\0' ? "value" : record->fault.path;
    say(to, "%.80s: expected %.100s", path, record->fault.expected);
}

static void say_conflict(struct words to, const struct ingest_record *record, const struct ingest_view *view)
{
    if (view->another_open) {
        say(to, "run_started.run_id: another run is open on model %s: stop it first", record->model_id);
    } else if (view->run == INGEST_RUN_OPEN) {
        say(to, "run_started.run_id: run %s is open already", record->run_id);
    } else {
        say(to, "run_started.run_id: run %s was closed: start a run with a new id", record->run_id);
    }
}

static const char *event_name(enum ingest_body body)
{
    return body == INGEST_BODY_BATCH ? "batch" : body == INGEST_BODY_RUN_STOPPED ? "run_stopped" : "run_started";
}

/* The field's path and what was expected there. */
static void say_reason(struct words to, enum ingest_reason reason, const struct ingest_record *record,
                       const struct ingest_view *view, const struct ingest_limits *limits)
{
    switch (reason) {
    case INGEST_REASON_EMPTY_VALUE: say(to, "value: expected a millrace.batch.v1.Submitted, found no bytes"); return;
    case INGEST_REASON_TOO_LARGE:
        say(to, "value: %" PRIu64 " bytes; expected at most %" PRIu64 ": send large tensors by claim check",
            record->record_bytes, limits->max_record_bytes);
        return;
    case INGEST_REASON_UNDECODABLE:
    case INGEST_REASON_NO_EVENT:
    case INGEST_REASON_BAD_ID:
    case INGEST_REASON_BAD_SPEC:
    case INGEST_REASON_NO_PAYLOAD:
    case INGEST_REASON_BAD_OUTCOME:
    case INGEST_REASON_UNKNOWN_FIELD: say_fault(to, record); return;
    case INGEST_REASON_KEY_MISMATCH:
        say(to, "key: expected the model id of the value, \"%s\"", record->model_id);
        return;
    case INGEST_REASON_WRONG_PARTITION:
        say(to, "partition: expected %" PRIu32 " of %" PRIu32 " for this key: partition by murmur2",
            record->partition_expected, limits->partitions);
        return;
    case INGEST_REASON_BAD_REPLAY:
        say(to, "header mr_replay_of: expected the id of a dead letter, 1 to 64 of A-Z a-z 0-9 . _ : -");
        return;
    case INGEST_REASON_INLINE_TOO_LARGE:
        say(to, "batch: %" PRIu64 " bytes of inline payload; expected at most %" PRIu64 ": use a claim check",
            record->inline_bytes, limits->max_inline_bytes);
        return;
    case INGEST_REASON_CONFLICT: say_conflict(to, record, view); return;
    case INGEST_REASON_UNKNOWN_RUN:
        say(to, "%s.run_id: run %s was never started on model %s", event_name(record->facts.body), record->run_id,
            record->model_id);
        return;
    case INGEST_REASON_RUN_CLOSED:
        say(to, "%s.run_id: run %s is closed", event_name(record->facts.body), record->run_id);
        return;
    case INGEST_REASON_JOB_MISMATCH:
        say(to, "batch.payload: expected %s",
            view->job == INGEST_JOB_LABELLED ? "labelled, for the run's job is labelled"
                                             : "contracts or sobol_range, for the run's job is pricing");
        return;
    case INGEST_REASON_TOO_MANY_MODELS:
        say(to, "model_id: the partition has %d models already", (int)INGEST_MODELS_MAX);
        return;
    case INGEST_REASON_TOO_MANY_RUNS:
        say(to, "run_started.run_id: the model has had %d runs already", (int)INGEST_RUNS_MAX);
        return;
    case INGEST_REASON_TOO_MANY_PRODUCERS:
        say(to, "batch.producer.producer_id: the model has %d producers already", (int)INGEST_PRODUCERS_MAX);
        return;
    case INGEST_REASON_TOO_MANY_REPLAYS:
        say(to, "header mr_replay_of: the model has had %d replays already", (int)INGEST_REPLAYS_MAX);
        return;
    case INGEST_REASON_OUT_OF_MEMORY:
        say(to, "ingest found no memory for a record of %" PRIu64 " bytes", record->record_bytes);
        return;
    }
    mr_unreachable(__func__);
}

static void say_duplicate(struct words to, enum ingest_duplicate why, const struct ingest_record *record,
                          const struct ingest_view *view)
{
    switch (why) {
    case INGEST_DUPLICATE_SEQUENCE:
    case INGEST_DUPLICATE_EPOCH:
        say(to, "%s: producer %s sent epoch %" PRIu32 " sequence %" PRIu64 " after epoch %" PRIu32 " sequence %" PRIu64,
            ingest_duplicate_text(why), record->producer_id, record->facts.of.batch.epoch,
            record->facts.of.batch.sequence, view->epoch, view->sequence);
        return;
    case INGEST_DUPLICATE_REPLAY: say(to, "%s: %s", ingest_duplicate_text(why), record->replay_of); return;
    }
    mr_unreachable(__func__);
}

struct mr_verdict ingest_verdict_of(const struct ingest_decision *decision, const struct ingest_record *record,
                                    const struct ingest_view *view, const struct ingest_limits *limits)
{
    struct mr_verdict verdict;
    memset(&verdict, 0, sizeof verdict);
    verdict.decision = ingest_decision_text(decision->kind);
    const struct words detail = {verdict.detail, sizeof verdict.detail};
    switch (decision->kind) {
    case INGEST_DECISION_ACCEPTED: verdict.kind = MR_VERDICT_EMIT; return verdict;
    case INGEST_DECISION_EMPTY_BATCH:
        verdict.kind = MR_VERDICT_DROP;
        say(detail, "the batch has no rows");
        return verdict;
    case INGEST_DECISION_DUPLICATE:
        verdict.kind = MR_VERDICT_DROP;
        say_duplicate(detail, decision->of.duplicate, record, view);
        return verdict;
    case INGEST_DECISION_REJECTED:
    case INGEST_DECISION_RETRY_EXHAUSTED:
        verdict.kind = MR_VERDICT_DEAD_LETTER;
        (void)snprintf(verdict.reason, sizeof verdict.reason, "%s", ingest_reason_text(decision->of.reason));
        say_reason(detail, decision->of.reason, record, view, limits);
        return verdict;
    case INGEST_DECISION_RETRY_SCHEDULED:
        verdict.kind = MR_VERDICT_RETRY;
        verdict.due_ms = decision->of.retry.at_ms;
        say(detail, "attempt %" PRIu32 " found no memory for a record of %" PRIu64 " bytes", decision->of.retry.attempt,
            record->record_bytes);
        return verdict;
    case INGEST_DECISION_DEAD_LETTERED: break;
    }
    mr_unreachable(__func__);
}
