#include "validate_effects.h"

#include <stdlib.h>
#include <string.h>

#include "validate_fetch.h"
#include "validate_memory.h"
#include "validate_verdict.h"

#include "millrace/retry.h"

/* A fetch on its way. The list is of all of them, so that none is lost when the workers end before it is collected. */
struct fetch_job {
    struct mr_stage_job base;
    struct validate_fetch fetch;
    struct fetch_job *before, *after;
};

enum { FOLD_VERSION = 1 }; /* of the states that are cached: another one is folded anew */

struct validate_effects {
    struct mr_service *service;
    struct mr_batch_limits limits;
    struct mr_arena fold_arena;        /* a fold has no turns */
    struct validate_memory **memories; /* by partition; NULL: not assigned */
    uint32_t partitions;
    struct fetch_job jobs; /* head of a ring */
};

/* What a record carries through the loop. */
struct item_state {
    struct validate_state state;
    struct validate_fetch_result fetched;
};

/* A turn of the machine: what was read, what it was judged by, what was decided. */
struct turn {
    struct validate_effects *effects;
    struct mr_item *item;
    struct validate_memory *memory;
    struct validate_record record;
    const struct mr_run_spec *spec;  /* of the open run */
    struct mr_run_spec started_spec; /* of a start */
    struct validate_inspection inspection;
    struct mr_field_fault fault;
    char cause[MR_ERROR_DETAIL_MAX];
};

/* ---- State ------------------------------------------------------------------------------------------------------- */

static void partition_close(void *self, uint32_t partition)
{
    struct validate_effects *effects = self;
    if (partition < effects->partitions) {
        validate_memory_free(effects->memories[partition]);
        effects->memories[partition] = NULL;
    }
}

static struct mr_error partition_open(void *self, uint32_t partition)
{
    struct validate_effects *effects = self;
    const uint32_t count = effects->service->deployment.partitions;
    if (effects->memories == NULL) {
        effects->memories = calloc(count, sizeof(struct validate_memory *));
        effects->partitions = effects->memories == NULL ? 0 : count;
    }
    partition_close(self, partition);
    struct validate_memory *memory = partition < effects->partitions ? validate_memory_new() : NULL;
    if (memory == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of partition %u", (unsigned)partition);
    }
    effects->memories[partition] = memory;
    return mr_ok();
}

static struct mr_error fold(void *self, const struct mr_log_record *output)
{
    struct validate_effects *effects = self;
    struct validate_record record;
    struct mr_run_spec spec;
    struct mr_field_fault fault;
    mr_arena_reset(&effects->fold_arena);
    MR_TRY(validate_codec_fold(output, &effects->fold_arena, &record));
    if (record.body == VALIDATE_BODY_RUN_STARTED) {
        MR_TRY(mr_run_spec_decode(record.start->spec, &spec, &fault));
    }
    return validate_memory_accept(effects->memories[output->partition], &record, &spec);
}

static struct mr_error fold_save(void *self, const struct mr_lane *lane, struct mr_buffer *state)
{
    const struct validate_effects *effects = self;
    return validate_memory_save(effects->memories[lane->partition], lane->model_id, state);
}

static struct mr_error fold_load(void *self, const struct mr_lane *lane, struct mr_bytes state)
{
    struct validate_effects *effects = self;
    return validate_memory_load(effects->memories[lane->partition], lane->model_id, state);
}

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

static void job_free(struct fetch_job *job)
{
    job->before->after = job->after;
    job->after->before = job->before;
    validate_fetch_deinit(&job->fetch);
    free(job);
}

static struct fetch_job *job_of(struct mr_stage_job *base)
{
    return (struct fetch_job *)(void *)((unsigned char *)base - offsetof(struct fetch_job, base));
}

static void fetch_run(struct mr_job *job)
{
    struct mr_stage_job *base =
        (struct mr_stage_job *)(void *)((unsigned char *)job - offsetof(struct mr_stage_job, job));
    validate_fetch_run(&job_of(base)->fetch);
}

static void fetch_done(void *self, struct mr_stage_job *base, struct mr_item *item)
{
    struct validate_effects *effects = self;
    struct fetch_job *job = job_of(base);
    if (item != NULL) {
        struct item_state *state = item->state;
        state->fetched = job->fetch.result;
    }
    job_free(job);
    if (item != NULL) {
        mr_stage_resume(effects->service->stage, item);
    }
}

static struct mr_error start_fetch(struct turn *turn, struct validate_precision precision)
{
    struct validate_effects *effects = turn->effects;
    struct fetch_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return mr_error_make(MR_ERROR_TRANSIENT, "out_of_memory", 0, "a fetch");
    }
    const struct mr_error error = validate_fetch_init(&job->fetch, effects->service->store, turn->record.model_id,
                                                      turn->spec, &turn->inspection, precision);
    if (mr_failed(error)) {
        free(job);
        return error;
    }
    job->base.job.run = fetch_run;
    job->base.done = fetch_done;
    job->before = effects->jobs.before;
    job->after = &effects->jobs;
    job->before->after = job;
    effects->jobs.before = job;
    mr_stage_work(effects->service->stage, turn->item, &job->base);
    return mr_ok();
}

/* ---- A record ------------------------------------------------------------------------------------------------------
 */

static void say(struct turn *turn, const char *text)
{
    (void)snprintf(turn->cause, sizeof turn->cause, "%s", text);
}

static struct validate_attempt attempt_of(const struct turn *turn)
{
    const struct mr_item *item = turn->item;
    return (struct validate_attempt){.policy = turn->effects->service->retry,
                                     .failed_before = item->attempt,
                                     .event_hash = mr_retry_event(item->lane->partition, item->origin),
                                     .now_ms = mr_stage_now_ms(turn->effects->service->stage)};
}

static struct validate_event failure_of(struct turn *turn, const struct mr_error *error)
{
    say(turn, error->detail);
    return (struct validate_event){.kind = VALIDATE_EVENT_FAILED, .of = {.failed = {.attempt = attempt_of(turn)}}};
}

/* What the record says against the state: the facts, and their words in turn->cause. */
static struct validate_facts facts_of(struct turn *turn)
{
    const struct validate_record *record = &turn->record;
    struct validate_facts facts = {.body = record->body};
    facts.run = validate_memory_run(turn->memory, record, &turn->spec);
    if (record->body == VALIDATE_BODY_RUN_STARTED) {
        const struct mr_error bad = mr_run_spec_decode(record->start->spec, &turn->started_spec, &turn->fault);
        facts.of.run_started.spec_valid = !mr_failed(bad);
        (void)snprintf(turn->cause, sizeof turn->cause, "%s%.150s", mr_failed(bad) ? "run_started.spec." : "",
                       bad.detail);
        return facts;
    }
    if (facts.run != VALIDATE_RUN_OPEN) {
        (void)snprintf(turn->cause, sizeof turn->cause, "run_id: %s is not open here: its start was %s", record->run_id,
                       facts.run == VALIDATE_RUN_CLOSED ? "followed by its stop" : "never validated");
    } else if (record->body == VALIDATE_BODY_BATCH) {
        const struct mr_batch_finding *finding = &turn->inspection.finding;
        validate_codec_inspect(record, turn->spec, &turn->effects->limits, &turn->inspection);
        const bool at_field = turn->inspection.facts.of.batch.shape != VALIDATE_SHAPE_FITS;
        (void)snprintf(turn->cause, sizeof turn->cause, "%s%s%s%s", at_field ? "batch." : "",
                       at_field ? finding->field : "", at_field ? ": " : "", finding->detail);
        return turn->inspection.facts;
    }
    return facts;
}

/* The event that the loop's call stands for. */
static struct validate_event event_of(struct turn *turn, enum mr_stage_event_kind kind)
{
    const struct validate_facts facts = facts_of(turn);
    switch (kind) {
    case MR_STAGE_BEGIN: return (struct validate_event){.kind = VALIDATE_EVENT_RECORD, .of = {.record = facts}};
    case MR_STAGE_PROBE: return (struct validate_event){.kind = VALIDATE_EVENT_PROBED};
    case MR_STAGE_RESUME: {
        const struct item_state *state = turn->item->state;
        say(turn, state->fetched.detail);
        return (struct validate_event){
            .kind = VALIDATE_EVENT_FETCHED,
            .of = {.fetched = {.outcome = state->fetched.outcome,
                               .place = state->fetched.place,
                               .attempt = attempt_of(turn)}},
        };
    }
    }
    mr_unreachable(__func__);
}

/* A cast is counted for each batch, and told once for each run: when its start is validated. */
static void tell_cast(const struct turn *turn, struct validate_precision precision)
{
    const char *name = validate_precision_text(VALIDATE_PRECISION_CAST_TO_BFLOAT16);
    if (precision.kind == VALIDATE_PRECISION_CAST_TO_BFLOAT16) {
        mr_stage_count(turn->effects->service->stage, name);
    }
    if (turn->record.body == VALIDATE_BODY_RUN_STARTED &&
        turn->started_spec.dtype_policy == MR_DTYPE_CAST_TO_BFLOAT16) {
        MR_TRACE(&turn->effects->service->trace, MR_TRACE_INFO, name, mr_text("model", turn->record.model_id),
                 mr_text("run", turn->record.run_id),
                 mr_text("reason", validate_precision_reason_text(VALIDATE_PRECISION_REASON_DTYPE_POLICY)));
    }
}

/* The value to write, and the memory of it: both or neither. */
static struct mr_error emit(struct turn *turn, struct validate_precision precision, struct mr_verdict *verdict)
{
    struct mr_stage *stage = turn->effects->service->stage;
    const struct mr_stage_stamp stamp = mr_stage_stamp(stage, turn->item, MR_TOPIC_VALIDATED);
    struct mr_stage_output *output = &verdict->outputs[0];
    *output = (struct mr_stage_output){.topic = MR_TOPIC_VALIDATED, .type = "millrace.batch.v1.Validated"};
    MR_TRY(validate_codec_write(&stamp, &turn->record, precision, mr_stage_arena(stage), &output->value));
    verdict->output_count = 1;
    tell_cast(turn, precision);
    return validate_memory_accept(turn->memory, &turn->record, &turn->started_spec);
}

/* Performs what has an effect of its own; the verdict is the rest. */
static struct mr_error perform(struct turn *turn, const struct validate_decision *decision, struct mr_verdict *verdict)
{
    if (decision->kind == VALIDATE_DECISION_FETCH) {
        return start_fetch(turn, decision->of.precision);
    }
    return decision->kind == VALIDATE_DECISION_VALIDATED ? emit(turn, decision->of.precision, verdict) : mr_ok();
}

static struct mr_verdict decide(struct turn *turn, const struct validate_event *event)
{
    struct item_state *state = turn->item->state;
    struct validate_step step = validate_decide(&state->state, event);
    struct mr_verdict verdict = validate_verdict_of(&step, turn->cause);
    const struct mr_error error = perform(turn, &step.decision, &verdict);
    state->state = step.next;
    if (mr_failed(error)) {
        const struct validate_event failed = failure_of(turn, &error);
        step = validate_decide(&state->state, &failed);
        verdict = validate_verdict_of(&step, turn->cause);
        state->state = step.next;
    }
    return verdict;
}

/* What is not the record's fault and cannot be waited for. A record that ingest cannot have written stops its model:
 * its place in the order is taken, so what follows it must not be judged, and other models have nothing to do with it.
 */
static struct mr_verdict broken(const struct mr_error *error)
{
    const bool memory = strcmp(error->code, "out_of_memory") == 0;
    struct mr_verdict verdict;
    memset(&verdict, 0, sizeof verdict);
    verdict.kind = memory ? MR_VERDICT_FATAL : MR_VERDICT_STOP_MODEL;
    verdict.decision = memory ? "OutOfMemory" : "CorruptRecord";
    verdict.exit_code = MR_EXIT_FAILED;
    (void)snprintf(verdict.detail, sizeof verdict.detail, "%s", error->detail);
    return verdict;
}

static struct mr_verdict handle(void *self, struct mr_item *item, enum mr_stage_event_kind kind)
{
    struct validate_effects *effects = self;
    struct turn turn = {.effects = effects, .item = item, .memory = effects->memories[item->lane->partition]};
    if (item->state == NULL) {
        struct item_state *state = calloc(1, sizeof *state);
        const struct mr_error none = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of a record");
        if (state == NULL) {
            return broken(&none);
        }
        state->state.kind = VALIDATE_STATE_READY;
        item->state = state;
    }
    const struct mr_error error =
        validate_codec_read(item->record, mr_stage_arena(effects->service->stage), &turn.record);
    if (error.kind == MR_ERROR_FATAL) {
        return broken(&error);
    }
    const struct validate_event event = mr_failed(error) ? failure_of(&turn, &error) : event_of(&turn, kind);
    return decide(&turn, &event);
}

/* A dead letter that is acknowledged is the end of its record: the vocabulary's last word on it. */
static void resolved(void *self, struct mr_item *item)
{
    const struct validate_effects *effects = self;
    const struct item_state *state = item->state;
    if (state == NULL || state->state.kind != VALIDATE_STATE_BURYING) {
        return;
    }
    const struct validate_event buried = {.kind = VALIDATE_EVENT_BURIED};
    const struct validate_step step = validate_decide(&state->state, &buried);
    const char *name = validate_decision_text(step.decision.kind);
    mr_stage_count(effects->service->stage, name);
    MR_TRACE(&effects->service->trace, MR_TRACE_INFO, name, mr_text("model", item->lane->model_id),
             mr_count("partition", item->lane->partition), mr_count("origin", item->origin),
             mr_text("reason", validate_reason_text(step.decision.reason)));
}

static void item_free(void *self, struct mr_item *item)
{
    (void)self;
    free(item->state);
    item->state = NULL;
}

static const struct mr_stage_ops ops = {
    .partition_open = partition_open,
    .partition_close = partition_close,
    .fold = fold,
    .fold_save = fold_save,
    .fold_load = fold_load,
    .handle = handle,
    .resolved = resolved,
    .item_free = item_free,
};

struct mr_error validate_effects_open(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec)
{
    const struct validate_config *options = config;
    struct validate_effects *effects = calloc(1, sizeof *effects);
    if (effects == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the effects");
    }
    effects->service = service;
    effects->jobs.before = effects->jobs.after = &effects->jobs;
    effects->limits =
        (struct mr_batch_limits){.max_rows = options->max_rows, .max_payload_bytes = options->max_payload_bytes};
    *ret_spec = (struct mr_stage_spec){
        .name = "validate",
        .inputs = {{.topic = MR_TOPIC_INGESTED, .marks_from = MR_TOPIC_VALIDATED}},
        .input_count = 1,
        .outputs = {MR_TOPIC_VALIDATED},
        .output_count = 1,
        .retry_topic = MR_TOPIC_RETRIES_VALIDATE,
        .fold_version = FOLD_VERSION,
        .ops = &ops,
        .self = effects,
    };
    return mr_ok();
}

void validate_effects_close(void *self)
{
    struct validate_effects *effects = self;
    if (effects == NULL) {
        return;
    }
    while (effects->jobs.after != &effects->jobs) {
        job_free(effects->jobs.after);
    }
    for (uint32_t i = 0; i < effects->partitions; i++) {
        validate_memory_free(effects->memories[i]);
    }
    mr_arena_deinit(&effects->fold_arena);
    free(effects->memories);
    free(effects);
}
