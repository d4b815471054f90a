#include "train_fold.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "millrace/network.h"

void train_fold_init(struct train_fold *fold, const struct mr_engine_ops *ops, struct mr_engine *engine,
                     const char *model_id)
{
    memset(fold, 0, sizeof *fold);
    fold->ops = ops;
    fold->engine = engine;
    fold->state.run = TRAIN_RUN_NONE;
    fold->loss = fold->gradient_norm = NAN;
    snprintf(fold->model_id, sizeof fold->model_id, "%s", model_id);
}

static void drop_model(struct train_fold *fold)
{
    if (fold->model != NULL) {
        fold->ops->model_free(fold->model);
        fold->model = NULL;
    }
}

void train_fold_deinit(struct train_fold *fold)
{
    if (fold->ops != NULL) {
        drop_model(fold);
    }
}

static struct train_plan plan_of(const struct mr_run_spec *spec)
{
    switch (spec->commit) {
    case MR_COMMIT_NONE: return (struct train_plan){.final = false};
    case MR_COMMIT_FINAL: return (struct train_plan){.final = true};
    case MR_COMMIT_INTERVAL: return (struct train_plan){.every_steps = spec->commit_every_steps};
    case MR_COMMIT_FINAL_AND_INTERVAL:
        return (struct train_plan){.final = true, .every_steps = spec->commit_every_steps};
    }
    mr_unreachable(__func__);
}

struct mr_error train_fold_hydrate(struct train_fold *fold, const struct mr_checkpoint *checkpoint)
{
    struct mr_model *model = NULL;
    if (strcmp(checkpoint->model_id, fold->model_id) != 0) {
        return mr_error_make(MR_ERROR_REJECT, "other_model", 0, "the checkpoint is of model \"%s\", not \"%s\"",
                             checkpoint->model_id, fold->model_id);
    }
    if (!checkpoint->run_closed) {
        MR_TRY(fold->ops->model_load(fold->engine, checkpoint, &model));
    }
    drop_model(fold);
    fold->model = model;
    fold->spec = checkpoint->spec;
    fold->state = (struct train_state){
        .run = checkpoint->run_closed ? TRAIN_RUN_CLOSED : TRAIN_RUN_OPEN,
        .plan = plan_of(&checkpoint->spec),
        .step = checkpoint->step,
        .applied = checkpoint->applied,
        .checkpointed = true,
        .checkpoint_step = checkpoint->step,
    };
    memcpy(fold->state.run_id, checkpoint->run_id, sizeof fold->state.run_id);
    fold->batch_id[0] = '\0';
    fold->loss = fold->gradient_norm = NAN;
    fold->samples = checkpoint->samples;
    return mr_ok();
}

/* ---- Checkpoints ----------------------------------------------------------------------------------------- */

void train_cut_deinit(struct train_cut *cut)
{
    mr_checkpoint_deinit(&cut->checkpoint);
}

static struct mr_error cut_from(const struct train_fold *fold, const struct train_state *state,
                                struct train_cut *ret_cut)
{
    struct train_cut cut = {.loss = fold->loss, .gradient_norm = fold->gradient_norm};
    MR_TRY(fold->ops->snapshot(fold->model, &cut.checkpoint));
    memcpy(cut.batch_id, fold->batch_id, sizeof cut.batch_id);
    memcpy(cut.checkpoint.model_id, fold->model_id, sizeof cut.checkpoint.model_id);
    memcpy(cut.checkpoint.run_id, state->run_id, sizeof cut.checkpoint.run_id);
    cut.checkpoint.applied = state->applied;
    cut.checkpoint.run_closed = state->run == TRAIN_RUN_CLOSED;
    *ret_cut = cut;
    return mr_ok();
}

struct mr_error train_cut_seal(struct train_cut *cut, struct train_chain *chain, struct mr_buffer *buffer)
{
    const size_t at = buffer->size;
    cut->checkpoint.has_previous = chain->some;
    cut->checkpoint.previous = chain->last;
    MR_TRY(mr_checkpoint_encode(&cut->checkpoint, buffer));
    chain->some = true;
    chain->last = mr_sha256_of(mr_bytes_of(buffer->data + at, buffer->size - at));
    return mr_ok();
}

void train_outcome_deinit(struct train_outcome *outcome)
{
    if (outcome->has_cut) {
        train_cut_deinit(&outcome->cut);
        outcome->has_cut = false;
    }
}

/* ---- Effects: each performs one decision, and tells the event that it ended in ------------------------------ */

static struct mr_error open_run(struct train_fold *fold, const struct train_input *input, struct train_outcome *outcome,
                                enum train_event_kind *ret_event)
{
    const struct mr_run_spec *spec = input->of.started.spec;
    struct mr_model *model = NULL;
    struct mr_error error = mr_ok();
    *ret_event = TRAIN_EVENT_OPENED;
    if (!spec->restarts) {
        error = fold->ops->model_new(fold->engine, spec, &model);
    } else if (input->of.started.earlier == NULL) {
        snprintf(outcome->refusal, sizeof outcome->refusal, "%s", input->of.started.refusal);
        *ret_event = TRAIN_EVENT_REFUSED;
    } else {
        struct mr_checkpoint begin = {.parameters = 0};
        error = mr_checkpoint_restart(input->of.started.earlier, spec, &begin);
        if (error.kind == MR_ERROR_REJECT) {
            snprintf(outcome->refusal, sizeof outcome->refusal, "%s: %.150s", error.code, error.detail);
            *ret_event = TRAIN_EVENT_REFUSED;
            error = mr_ok();
        } else if (!mr_failed(error)) {
            error = fold->ops->model_load(fold->engine, &begin, &model);
            mr_checkpoint_deinit(&begin);
        }
    }
    MR_TRY(error);
    struct mr_network network;
    mr_network_plan(spec, &network);
    outcome->parameters = network.parameters;
    drop_model(fold);
    fold->model = model;
    fold->spec = *spec;
    fold->batch_id[0] = '\0';
    fold->loss = fold->gradient_norm = NAN;
    fold->samples = 0;
    return mr_ok();
}

static struct mr_error step_model(struct train_fold *fold, const struct train_input *input,
                                  struct train_outcome *outcome, enum train_event_kind *ret_event)
{
    struct mr_batch batch = mr_batch_of_sobol(input->of.batch.sobol_start, input->of.batch.rows);
    if (!input->of.batch.sobol) {
        MR_TRY(mr_batch_of_packed(&fold->spec, input->of.batch.rows, input->of.batch.packed, &batch));
    }
    MR_TRY(fold->ops->step(fold->model, &batch, &outcome->stepped));
    *ret_event = outcome->stepped.diverged ? TRAIN_EVENT_DIVERGED : TRAIN_EVENT_STEPPED;
    if (!outcome->stepped.diverged) {
        snprintf(fold->batch_id, sizeof fold->batch_id, "%s", input->of.batch.batch_id);
        fold->loss = outcome->stepped.loss;
        fold->gradient_norm = outcome->stepped.gradient_norm;
        fold->samples = outcome->stepped.samples;
    }
    return mr_ok();
}

/* ---- One record --------------------------------------------------------------------------------------------- */

static struct train_event event_of(enum train_event_kind kind, const char *run_id)
{
    struct train_event event = {.kind = kind};
    snprintf(event.run_id, sizeof event.run_id, "%s", run_id);
    return event;
}

static struct train_event event_of_input(const struct train_input *input)
{
    struct train_event event = event_of(input->kind, input->run_id);
    if (input->kind == TRAIN_EVENT_RUN_STARTED) {
        event.plan = plan_of(input->of.started.spec);
    } else if (input->kind == TRAIN_EVENT_RUN_STOPPED) {
        event.completed = input->of.stopped.completed;
    }
    return event;
}

bool train_fold_wants(const struct train_fold *fold, enum train_event_kind kind, const char *run_id)
{
    const struct train_event event = event_of(kind, run_id);
    const struct train_step step = train_decide(&fold->state, &event);
    return step.decision.kind == TRAIN_DECISION_STEP || step.decision.kind == TRAIN_DECISION_OPEN_RUN;
}

bool train_fold_is_short(const struct train_fold *fold, uint64_t rows)
{
    return fold->model == NULL || fold->ops->step_is_short(fold->model, rows);
}

struct mr_error train_fold_apply(struct train_fold *fold, const struct train_input *input,
                                 struct train_outcome *ret_outcome)
{
    struct train_outcome outcome = {.parameters = 0};
    struct train_event event = event_of_input(input);
    struct train_step step = train_decide(&fold->state, &event);
    if (step.decision.kind == TRAIN_DECISION_OPEN_RUN || step.decision.kind == TRAIN_DECISION_STEP) {
        const bool opens = step.decision.kind == TRAIN_DECISION_OPEN_RUN;
        event = (struct train_event){.kind = TRAIN_EVENT_OPENED};
        MR_TRY(opens ? open_run(fold, input, &outcome, &event.kind) : step_model(fold, input, &outcome, &event.kind));
        step = train_decide(&step.next, &event);
    }
    if (step.decision.kind == TRAIN_DECISION_FAULT) {
        return mr_error_make(MR_ERROR_FATAL, "fault", 0, "%s while a run is %s", train_event_text(event.kind),
                             train_run_text(fold->state.run));
    }
    if (step.decision.checkpoint_due) {
        const struct mr_error error = cut_from(fold, &step.next, &outcome.cut);
        if (mr_failed(error)) {
            return mr_error_make(MR_ERROR_FATAL, error.code, error.native, "a checkpoint: %.150s", error.detail);
        }
        outcome.has_cut = true;
    }
    fold->state = step.next;
    if (fold->state.run != TRAIN_RUN_OPEN) {
        drop_model(fold); /* nothing is computed with it any more */
    }
    outcome.what = step.decision.kind;
    outcome.step = fold->state.step;
    outcome.samples = fold->samples;
    *ret_outcome = outcome;
    return mr_ok();
}
