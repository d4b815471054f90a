/* Checkpoints on their way to versions: sealed in order, handed to the log in order, seen in the head. */
#include "train_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Interrupts ---------------------------------------------------------------------------------------------- */

void train_commit_interrupt(struct train_effects *effects, struct train_model *model)
{
    struct mr_stage *stage = effects->service->stage;
    if (model->waiting != NULL) {
        train_flow_wake(effects, model);
        return;
    }
    if (model->item != NULL || model->lane == NULL) {
        return; /* carried out when it is handled next */
    }
    const enum train_interrupt interrupt = model->interrupt;
    model->interrupt = TRAIN_INTERRUPT_NONE;
    switch (interrupt) {
    case TRAIN_INTERRUPT_NONE: return;
    case TRAIN_INTERRUPT_ROLLBACK: mr_lane_reopen(stage, model->lane); return;
    case TRAIN_INTERRUPT_HALT: mr_lane_stop(stage, model->lane, model->halt, model->halt_detail); return;
    }
    mr_unreachable(__func__);
}

static void halt(struct train_effects *effects, struct train_model *model, const char *name, const char *detail)
{
    model->stopped = true;
    model->interrupt = TRAIN_INTERRUPT_HALT;
    model->halt = name;
    snprintf(model->halt_detail, sizeof model->halt_detail, "%s", detail);
    train_commit_interrupt(effects, model);
}

/* ---- The head -------------------------------------------------------------------------------------------------- */

static void committed(struct train_effects *effects, struct train_model *model, struct train_pending *pending)
{
    model->known = (struct train_chain){.some = true, .last = pending->produced.content_hash};
    memcpy(model->known_at.log_id, effects->service->deployment.log_id.bytes, sizeof model->known_at.log_id);
    model->known_at.partition = model->partition;
    model->known_at.offset = pending->origin;
    train_ledger_committed(&model->ledger, pending);
    if (model->waiting != NULL) {
        train_flow_wake(effects, model);
    }
}

static bool is_last(const struct train_chain *chain, const struct mr_sha256 *content)
{
    return chain->some && mr_sha256_equal(&chain->last, content);
}

/* Other content stands where one of ours stands. */
static bool place_taken(const struct train_effects *effects, const struct train_model *model,
                        const struct mr_position *at)
{
    if (model->known.some && mr_position_equal(&model->known_at, at)) {
        return true;
    }
    struct mr_position ours = {.partition = model->partition};
    memcpy(ours.log_id, effects->service->deployment.log_id.bytes, sizeof ours.log_id);
    for (const struct train_pending *each = model->ledger.first; each != NULL; each = each->next) {
        ours.offset = each->origin;
        if (each->sealed && mr_position_equal(&ours, at)) {
            return true;
        }
    }
    return false;
}

/* Rule C8. `before`: what was known as committed when the reading began: an answer may be older than an event. */
static void judge(struct train_effects *effects, struct train_model *model, const struct train_chain *before,
                  const struct train_seen *seen)
{
    const struct mr_sha256 *content = &seen->head.content_hash;
    struct train_pending *produced = seen->some ? train_ledger_produced(&model->ledger, content) : NULL;
    const struct train_sighting sighting = {
        .some = seen->some,
        .known_before = before->some,
        .is_known = seen->some && (is_last(before, content) || is_last(&model->known, content)),
        .is_produced = produced != NULL,
        .place_taken = seen->some && place_taken(effects, model, &seen->head.position),
        .is_overtaken = model->known.some && !is_last(before, &model->known.last),
    };
    char detail[MR_ERROR_DETAIL_MAX];
    snprintf(detail, sizeof detail, "head is %s at step %" PRIu64, seen->head.version_id, seen->head.step);
    const enum train_head head = train_head_decide(&sighting);
    switch (head) {
    case TRAIN_HEAD_STAYS: return;
    case TRAIN_HEAD_ADVANCED: committed(effects, model, produced); return;
    case TRAIN_HEAD_LOOK_AGAIN: model->look_due = true; return;
    case TRAIN_HEAD_RESTARTED_FROM:
        train_count(effects, "RollbackRequired", model, detail);
        model->interrupt = TRAIN_INTERRUPT_ROLLBACK;
        train_commit_interrupt(effects, model);
        return;
    case TRAIN_HEAD_FENCED:
        mr_stage_fail(effects->service->stage, MR_EXIT_CONFLICT, train_head_text(head), detail);
        return;
    case TRAIN_HEAD_MISSING:
        halt(effects, model, train_head_text(head), "there was a head, and the store has it no more");
        return;
    }
    mr_unreachable(__func__);
}

/* A job about the store failed. */
static void trouble(struct train_effects *effects, struct train_model *model, const struct mr_error *error)
{
    if (error->kind == MR_ERROR_TRANSIENT) {
        model->retry_ms = mr_stage_ticks_ms(effects->service->stage) + TRAIN_RETRY_MS;
        train_count(effects, "StoreDown", model, error->detail);
    } else if (error->kind == MR_ERROR_REJECT) {
        halt(effects, model, "StoreCorrupt", error->detail);
    } else {
        mr_stage_fail(effects->service->stage, strcmp(error->code, "denied") == 0 ? MR_EXIT_DENIED : MR_EXIT_FAILED,
                      "CheckpointFailed", error->detail);
    }
}

static void looked(void *self, struct mr_stage_job *base, struct mr_item *item)
{
    (void)item; /* of no record */
    struct train_effects *effects = self;
    struct train_look *look = (struct train_look *)(void *)base;
    struct train_model *model = look->job.model;
    look->job.running = false;
    if (train_job_current(&look->job)) {
        model->looking = false;
        if (mr_failed(look->job.error)) {
            trouble(effects, model, &look->job.error);
        } else {
            judge(effects, model, &look->known, &look->seen);
        }
    }
    train_job_drop(effects, &look->job);
}

void train_commit_look(struct train_effects *effects, struct train_model *model)
{
    if (model->looking) {
        return;
    }
    struct train_look *look = train_job_new(effects, model, TRAIN_JOB_LOOK, sizeof *look);
    if (look == NULL) {
        return;
    }
    memcpy(look->model_id, model->id, sizeof look->model_id);
    look->known = model->known;
    model->looking = true;
    model->look_due = false;
    model->look_ms = mr_stage_ticks_ms(effects->service->stage) + TRAIN_LOOK_EVERY_MS;
    train_job_start(effects, NULL, &look->job, train_look_run, looked);
}

void train_commit_heard(struct train_effects *effects, struct train_model *model, const struct mr_sha256 *content)
{
    if (!model->ready || model->stopped || is_last(&model->known, content)) {
        return;
    }
    struct train_pending *pending = train_ledger_produced(&model->ledger, content);
    if (pending != NULL) {
        committed(effects, model, pending);
    } else {
        model->look_due = true; /* another's, or one that is not sealed again yet: the head tells */
    }
}

/* ---- Sealing and handing ------------------------------------------------------------------------------------------
 */

static void sealed(struct train_effects *effects, struct train_model *model, const struct train_sealing *sealing)
{
    struct train_pending *pending = train_ledger_find(&model->ledger, sealing->pending_id);
    pending->produced.has_previous = model->chain.some;
    pending->produced.previous = model->chain.last;
    pending->produced.content_hash = sealing->chain.last;
    pending->produced.size = sealing->size;
    pending->sealed = true;
    model->chain = sealing->chain;
    judge(effects, model, &sealing->known, &sealing->seen);
}

static void seal_done(void *self, struct mr_stage_job *base, struct mr_item *item)
{
    (void)item; /* of no record */
    struct train_effects *effects = self;
    struct train_sealing *sealing = (struct train_sealing *)(void *)base;
    struct train_model *model = sealing->job.model;
    sealing->job.running = false;
    if (train_job_current(&sealing->job)) {
        model->sealing = false;
        if (mr_failed(sealing->job.error)) {
            struct train_pending *pending = train_ledger_find(&model->ledger, sealing->pending_id);
            pending->cut = sealing->cut; /* to be sealed again */
            pending->has_cut = true;
            memset(&sealing->cut, 0, sizeof sealing->cut);
            trouble(effects, model, &sealing->job.error);
        } else {
            sealed(effects, model, sealing);
            train_commit_pump(effects, model);
        }
    }
    train_job_drop(effects, &sealing->job);
}

static void seal_next(struct train_effects *effects, struct train_model *model)
{
    struct train_pending *pending = train_ledger_to_seal(&model->ledger);
    if (pending == NULL || model->sealing || mr_stage_ticks_ms(effects->service->stage) < model->retry_ms) {
        return;
    }
    struct train_sealing *sealing = train_job_new(effects, model, TRAIN_JOB_SEAL, sizeof *sealing);
    if (sealing == NULL) {
        return;
    }
    memcpy(sealing->model_id, model->id, sizeof sealing->model_id);
    sealing->pending_id = pending->id;
    sealing->cut = pending->cut;
    memset(&pending->cut, 0, sizeof pending->cut);
    pending->has_cut = false;
    sealing->known = model->known;
    sealing->chain = model->chain;
    model->sealing = true;
    train_job_start(effects, NULL, &sealing->job, train_sealing_run, seal_done);
}

/* Rule C4: in order, behind the steps that it holds. */
static void hand_over(struct train_effects *effects, struct train_model *model, struct train_pending *pending)
{
    struct mr_stage *stage = effects->service->stage;
    const struct mr_stage_stamp stamp = {
        .model_id = model->id,
        .log_id = effects->service->deployment.log_id,
        .partition = model->partition,
        .origin = pending->origin,
        .has_prev = model->has_last,
        .prev = model->last_origin,
    };
    struct mr_stage_output output = {.topic = MR_TOPIC_PRODUCED, .type = "millrace.checkpoint.v1.CheckpointProduced"};
    struct mr_error error = train_produced_encode(&stamp, &pending->produced, mr_stage_arena(stage), &output.value);
    if (!mr_failed(error)) {
        error =
            mr_stage_emit(stage, model->lane, pending->origin, pending->produced.event_time_ms, &output, pending->id);
    }
    if (mr_failed(error)) {
        mr_stage_fail(stage, MR_EXIT_FAILED, "CheckpointFailed", error.detail);
        return;
    }
    char hash[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&pending->produced.content_hash, hash);
    MR_TRACE(&effects->service->trace, MR_TRACE_INFO, "CheckpointProduced", mr_text("model", model->id),
             mr_text("run", pending->produced.run_id), mr_count("step", pending->produced.step),
             mr_text("content_hash", hash));
    mr_metric_add(effects->checkpoints, 1);
    model->has_last = true;
    model->last_origin = pending->origin;
    train_ledger_handed(&model->ledger, pending);
}

void train_commit_pump(struct train_effects *effects, struct train_model *model)
{
    if (!model->ready || model->stopped || model->lane == NULL || model->interrupt != TRAIN_INTERRUPT_NONE) {
        return;
    }
    seal_next(effects, model);
    for (struct train_pending *pending = train_ledger_to_hand(&model->ledger); pending != NULL;
         pending = train_ledger_to_hand(&model->ledger)) {
        hand_over(effects, model, pending);
    }
}
