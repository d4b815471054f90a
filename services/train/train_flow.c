/* One record: what it holds, whether it may begin, the fold on a worker, and the step that it becomes. */
#include "train_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mr_verdict verdict_of(enum mr_verdict_kind kind, const char *decision, const char *detail)
{
    struct mr_verdict verdict;
    memset(&verdict, 0, sizeof verdict);
    verdict.kind = kind;
    verdict.decision = decision;
    snprintf(verdict.detail, sizeof verdict.detail, "%s", detail);
    return verdict;
}

/* Behind batches.validated nothing is rejected: a record that cannot be read means a damaged log, and stops its model;
 * what does not answer is waited for. */
static struct mr_verdict failure(const struct mr_error *error)
{
    switch (error->kind) {
    case MR_ERROR_TRANSIENT:
    case MR_ERROR_UNKNOWN: return verdict_of(MR_VERDICT_DEPENDENCY_DOWN, "DependencyDown", error->detail);
    case MR_ERROR_REJECT:
        return verdict_of(MR_VERDICT_STOP_MODEL, strcmp(error->code, "offset_gone") == 0 ? "LogGap" : "Unreadable",
                          error->detail);
    case MR_ERROR_NONE:
    case MR_ERROR_FENCED:
    case MR_ERROR_FATAL: break;
    }
    struct mr_verdict verdict = verdict_of(MR_VERDICT_FATAL, "Fault", error->detail);
    verdict.exit_code = strcmp(error->code, "denied") == 0  ? MR_EXIT_DENIED
                        : strcmp(error->code, "fault") == 0 ? MR_EXIT_SOFTWARE
                                                            : MR_EXIT_FAILED;
    return verdict;
}

/* ---- What the record holds -------------------------------------------------------------------------------------- */

static bool is_validated(const struct mr_item *item)
{
    return strcmp(item->record->topic, MR_TOPIC_VALIDATED) == 0;
}

/* A value of batches.validated becomes the job's record. */
static struct mr_error take_record(struct train_item *state, struct mr_bytes validated)
{
    struct train_folding *folding = state->folding;
    MR_TRY(train_record_read(validated, &folding->record));
    folding->has_record = true;
    snprintf(folding->run_id, sizeof folding->run_id, "%s", train_record_run_id(&folding->record));
    snprintf(folding->batch_id, sizeof folding->batch_id, "%s", train_record_batch_id(&folding->record));
    state->opens_run = folding->record.kind == TRAIN_EVENT_RUN_STARTED;
    state->restarts = state->opens_run && folding->record.spec.restarts;
    return mr_ok();
}

static struct mr_error begin(struct train_effects *effects, struct train_model *model, struct mr_item *item)
{
    struct train_item *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of a record");
    }
    item->state = state;
    state->folding = train_job_new(effects, model, TRAIN_JOB_FOLD, sizeof *state->folding);
    if (state->folding == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a job");
    }
    if (is_validated(item)) {
        return take_record(state, item->record->value);
    }
    struct train_staged staged;
    MR_TRY(train_staged_decode(item->record->value, mr_stage_arena(effects->service->stage), &staged));
    if (!staged.leased) {
        return take_record(state, staged.validated);
    }
    state->leased = true;
    state->validated_offset = staged.validated_offset;
    snprintf(state->folding->run_id, sizeof state->folding->run_id, "%s", staged.run_id);
    snprintf(state->folding->batch_id, sizeof state->folding->batch_id, "%s", staged.batch_id);
    return mr_ok();
}

/* Rule L2. Taken as late as can be: what cannot be had any more is read from the validated log. */
static struct mr_error take_lease(struct train_effects *effects, struct train_model *model, struct mr_item *item)
{
    struct train_item *state = item->state;
    struct train_folding *folding = state->folding;
    struct train_staged staged;
    MR_TRY(train_staged_decode(item->record->value, mr_stage_arena(effects->service->stage), &staged));
    enum mr_lease_loss loss = MR_LEASE_NONE;
    if (staged.has_lease) {
        loss = mr_arena_take(effects->consumer, &staged.lease, &folding->lease);
    }
    if (loss == MR_LEASE_HELD) {
        folding->leased = true;
        folding->consumer = effects->consumer;
        folding->rows = staged.rows;
        return mr_ok();
    }
    const struct mr_label why = {"reason", mr_lease_loss_text(loss)};
    mr_metric_add(mr_metrics_counter(effects->service->metrics, "millrace_leases_lost_total",
                                     "Batches that were read from the validated log instead of the arena.", &why, 1),
                  1);
    MR_TRACE(&effects->service->trace, MR_TRACE_DEBUG, "LeaseLost", mr_text("model", model->id),
             mr_count("origin", item->origin), mr_text("reason", mr_lease_loss_text(loss)));
    struct mr_bytes validated;
    MR_TRY(mr_stage_read(effects->service->stage, MR_TOPIC_VALIDATED, model->partition, state->validated_offset,
                         &validated));
    return take_record(state, validated);
}

/* ---- The gate -------------------------------------------------------------------------------------------------------
 */

static enum train_gate ask_gate(const struct train_effects *effects, const struct train_model *model,
                                const struct train_item *state)
{
    const struct train_load load = {
        .uncommitted = model->ledger.uncommitted,
        .run_ahead = effects->run_ahead,
        .opens_run = state->opens_run,
        .restarts = state->restarts,
        .resident = model->holds_room,
        .models = effects->models,
        .models_max = effects->models_max,
    };
    return train_gate_decide(&load);
}

static struct mr_verdict wait_at_gate(struct train_effects *effects, struct train_model *model, struct mr_item *item,
                                      enum train_gate gate)
{
    if (model->waiting == NULL || model->gate != gate) {
        char detail[64];
        snprintf(detail, sizeof detail, "%" PRIu32 " checkpoints are not committed", model->ledger.uncommitted);
        train_count(effects, train_gate_text(gate), model, gate == TRAIN_GATE_AWAIT_COMMIT ? detail : "");
    }
    model->waiting = item;
    model->gate = gate;
    return verdict_of(MR_VERDICT_BUSY, train_gate_text(gate), "");
}

void train_flow_wake(struct train_effects *effects, struct train_model *model)
{
    if (model->waiting != NULL) {
        mr_stage_resume(effects->service->stage, model->waiting);
    }
}

/* ---- The fold
 * --------------------------------------------------------------------------------------------------------- */

static void fold_done(void *self, struct mr_stage_job *base, struct mr_item *item)
{
    struct train_effects *effects = self;
    struct train_folding *folding = (struct train_folding *)(void *)base;
    folding->job.running = false;
    if (item == NULL) {
        train_job_drop(effects, &folding->job);
        return;
    }
    ((struct train_item *)item->state)->on_worker = false;
    mr_stage_resume(effects->service->stage, item);
}

/* ---- The step
 * ------------------------------------------------------------------------------------------------------------ */

static void measure(struct train_effects *effects, struct train_model *model, const struct train_folding *folding)
{
    const struct train_outcome *outcome = &folding->outcome;
    if (outcome->what != TRAIN_DECISION_STEPPED) {
        return;
    }
    if (model->loss == NULL) {
        const struct mr_label label = {"model", model->id};
        model->loss =
            mr_metrics_gauge(effects->service->metrics, "millrace_train_loss", "Loss of the last step.", &label, 1);
    }
    mr_metric_add(effects->steps, 1);
    mr_metric_add(effects->samples, (double)outcome->stepped.rows);
    mr_metric_observe(effects->step_seconds, folding->seconds);
    mr_metric_set(model->loss, (double)outcome->stepped.loss);
}

/* A step is described only for who reads it: the line of a checkpoint, or all of them. */
static void describe(const struct train_effects *effects, const struct train_outcome *outcome, char *ret_detail,
                     size_t size)
{
    const bool is_told = outcome->has_cut || effects->service->trace.least <= MR_TRACE_DEBUG;
    ret_detail[0] = '\0';
    if (outcome->what == TRAIN_DECISION_STEPPED && is_told) {
        snprintf(ret_detail, size, "step %" PRIu64 ", loss %.9g", outcome->step, (double)outcome->stepped.loss);
    } else if (outcome->what == TRAIN_DECISION_DIVERGED) {
        snprintf(ret_detail, size, "%s is not finite", mr_diverged_reason_text(outcome->stepped.reason));
    } else if (outcome->what == TRAIN_DECISION_RUN_REFUSED) {
        snprintf(ret_detail, size, "%s", outcome->refusal);
    }
}

/* The outcome of the fold becomes the model's, and a step on its way. */
/* What a run's life is about is told; a step is not. */
static enum mr_trace_level level_of(enum train_decision_kind what)
{
    switch (what) {
    case TRAIN_DECISION_DIVERGED:
    case TRAIN_DECISION_RUN_REFUSED: return MR_TRACE_WARN;
    case TRAIN_DECISION_RUN_OPENED:
    case TRAIN_DECISION_RUN_CLOSED: return MR_TRACE_INFO;
    case TRAIN_DECISION_STEPPED:
    case TRAIN_DECISION_SKIPPED:
    case TRAIN_DECISION_OPEN_RUN:
    case TRAIN_DECISION_STEP:
    case TRAIN_DECISION_FAULT: return MR_TRACE_DEBUG;
    }
    mr_unreachable(__func__);
}

static struct mr_verdict settle(struct train_effects *effects, struct train_model *model, struct mr_item *item)
{
    struct train_item *state = item->state;
    struct train_folding *folding = state->folding;
    struct train_outcome *outcome = &folding->outcome;
    struct mr_stage *stage = effects->service->stage;
    const struct mr_stage_stamp stamp = mr_stage_stamp(stage, item, MR_TOPIC_TRAINED);
    char detail[MR_ERROR_DETAIL_MAX];
    describe(effects, outcome, detail, sizeof detail);
    struct mr_verdict verdict = verdict_of(MR_VERDICT_EMIT, train_decision_text(outcome->what), detail);
    verdict.outputs[0] = (struct mr_stage_output){.topic = MR_TOPIC_TRAINED, .type = "millrace.step.v1.StepTrained"};
    verdict.output_count = 1;
    verdict.level = level_of(outcome->what);
    const struct mr_error error =
        train_step_encode(&stamp, folding->has_record ? &folding->record : NULL, folding->run_id, folding->batch_id,
                          outcome, mr_stage_arena(stage), &verdict.outputs[0].value);
    if (mr_failed(error)) {
        return failure(&error);
    }
    model->run_open = model->fold.state.run == TRAIN_RUN_OPEN;
    if (!model->run_open) {
        train_model_give_room(effects, model);
    }
    state->sequence = train_ledger_fold(&model->ledger, is_validated(item) ? 0 : item->record->offset);
    if (outcome->has_cut) {
        if (train_ledger_add(&model->ledger, &outcome->cut, item->origin, item->time_ms) == NULL) {
            const struct mr_error none = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a checkpoint");
            return failure(&none);
        }
        outcome->has_cut = false; /* the ledger's now */
        train_count(effects, "CheckpointDue", model, detail);
    }
    measure(effects, model, folding);
    train_job_drop(effects, &folding->job);
    state->folding = NULL;
    train_commit_pump(effects, model);
    return verdict;
}

static struct mr_verdict after_fold(struct train_effects *effects, struct train_model *model, struct mr_item *item)
{
    struct train_item *state = item->state;
    const struct mr_error error = state->folding->job.error;
    if (!mr_failed(error)) {
        return settle(effects, model, item);
    }
    if (strcmp(error.code, "head_moved") == 0) {
        model->look_due = true;
    }
    return failure(&error);
}

/* What is done before a worker has woken up is done here: a switch of threads costs more than a small step. */
static bool is_short(const struct train_model *model, const struct train_folding *folding)
{
    uint64_t rows = folding->rows;
    return (folding->leased || train_record_is_batch_in_memory(&folding->record, &rows)) &&
           train_fold_is_short(&model->fold, rows);
}

static struct mr_verdict start_fold(struct train_effects *effects, struct train_model *model, struct mr_item *item)
{
    struct train_item *state = item->state;
    struct train_folding *folding = state->folding;
    if (state->leased && !folding->has_record) {
        const struct mr_error error = take_lease(effects, model, item);
        if (mr_failed(error)) {
            return failure(&error);
        }
    }
    folding->fold = &model->fold;
    folding->chain = model->chain;
    folding->clock = effects->service->clock;
    if (state->opens_run) {
        train_model_take_room(effects, model);
    }
    if (is_short(model, folding)) {
        train_folding_run(&folding->job.base.job);
        return after_fold(effects, model, item);
    }
    state->on_worker = true;
    train_job_start(effects, item, &folding->job, train_folding_run, fold_done);
    return verdict_of(MR_VERDICT_BUSY, "Folding", "");
}

/* ---- The whole
 * ------------------------------------------------------------------------------------------------------------- */

/* The state is not to be gone on with: the record is let go, and read again if it is needed. */
static struct mr_verdict interrupted(struct train_effects *effects, struct train_model *model)
{
    const enum train_interrupt interrupt = model->interrupt;
    model->interrupt = TRAIN_INTERRUPT_NONE;
    if (interrupt == TRAIN_INTERRUPT_HALT) {
        return verdict_of(MR_VERDICT_STOP_MODEL, model->halt, model->halt_detail);
    }
    mr_lane_reopen(effects->service->stage, model->lane);
    return verdict_of(MR_VERDICT_DROP, "SetAside", "the state is dropped: this record is read again if it is needed");
}

static struct mr_verdict advance(struct train_effects *effects, struct train_model *model, struct mr_item *item,
                                 enum mr_stage_event_kind event)
{
    if (item->state == NULL) {
        const struct mr_error error = begin(effects, model, item);
        if (mr_failed(error)) {
            return failure(&error);
        }
    }
    if (model->interrupt != TRAIN_INTERRUPT_NONE) {
        return interrupted(effects, model);
    }
    struct train_item *state = item->state;
    if (event == MR_STAGE_RESUME && model->waiting == NULL) {
        return after_fold(effects, model, item);
    }
    const enum train_gate gate = ask_gate(effects, model, state);
    if (gate != TRAIN_GATE_GO) {
        return wait_at_gate(effects, model, item, gate);
    }
    model->waiting = NULL;
    return start_fold(effects, model, item);
}

struct mr_verdict train_flow_handle(struct train_effects *effects, struct train_model *model, struct mr_item *item,
                                    enum mr_stage_event_kind event)
{
    model->item = item;
    const struct mr_verdict verdict = advance(effects, model, item, event);
    if (verdict.kind != MR_VERDICT_BUSY && verdict.kind != MR_VERDICT_DEPENDENCY_DOWN) {
        model->item = model->waiting = NULL;
    }
    return verdict;
}

void train_flow_item_free(struct train_effects *effects, struct mr_item *item)
{
    struct train_item *state = item->state;
    if (state == NULL) {
        /* It never began: its lease goes back untaken. */
        struct train_staged staged;
        if (!is_validated(item) &&
            !mr_failed(train_staged_decode(item->record->value, mr_stage_arena(effects->service->stage), &staged)) &&
            staged.has_lease) {
            mr_arena_drop(effects->consumer, &staged.lease);
        }
        return;
    }
    if (state->folding != NULL && !state->on_worker) {
        train_job_drop(effects, &state->folding->job);
    }
    free(state);
    item->state = NULL;
}
