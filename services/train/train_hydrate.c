/* Where a model begins: from the head in the store, or from nothing. */
#include "train_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The end of batches.submitted, asked for again only when a position seems to lie beyond it. */
static struct mr_error beyond_end(struct train_effects *effects, const struct mr_position *position, bool *ret_beyond)
{
    struct mr_log *log = effects->service->log;
    uint64_t low, *end = &effects->ends[position->partition];
    if (position->offset >= *end) {
        MR_TRY(log->ops->watermarks(log, MR_TOPIC_SUBMITTED, position->partition, &low, end));
    }
    *ret_beyond = position->offset >= *end;
    return mr_ok();
}

static struct mr_error classify(struct train_effects *effects, const struct train_model *model,
                                const struct train_seen *seen, enum train_found *ret_found)
{
    const struct mr_deployment *deployment = &effects->service->deployment;
    struct mr_log_id log_id;
    size_t place;
    *ret_found = TRAIN_FOUND_NOTHING;
    if (!seen->some) {
        return mr_ok();
    }
    memcpy(log_id.bytes, seen->head.position.log_id, sizeof log_id.bytes);
    if (!mr_deployment_place(deployment, &log_id, &place)) {
        *ret_found = TRAIN_FOUND_OTHER_LOG;
        return mr_ok();
    }
    if (place < deployment->predecessor_count) {
        *ret_found = TRAIN_FOUND_EARLIER_LOG;
        return mr_ok();
    }
    bool beyond = false;
    if (seen->head.position.partition != model->partition) {
        *ret_found = TRAIN_FOUND_OTHER_LOG;
        return mr_ok();
    }
    MR_TRY(beyond_end(effects, &seen->head.position, &beyond));
    *ret_found = beyond ? TRAIN_FOUND_BEYOND_END : TRAIN_FOUND_HEAD;
    return mr_ok();
}

static void adopt(struct train_effects *effects, struct train_model *model, struct train_hydrate *hydrate,
                  enum train_start start)
{
    const struct mr_head *head = &hydrate->seen.head;
    char detail[MR_ERROR_DETAIL_MAX] = "no version yet";
    train_fold_deinit(&model->fold);
    model->fold = hydrate->fold;
    hydrate->has_fold = false;
    model->run_open = model->fold.state.run == TRAIN_RUN_OPEN;
    if (model->fold.model == NULL) {
        train_model_give_room(effects, model);
    }
    model->known = (struct train_chain){.some = hydrate->seen.some};
    model->has_last = start == TRAIN_START_READY;
    if (hydrate->seen.some) {
        model->known.last = head->content_hash;
        model->known_at = head->position;
        model->last_origin = head->position.offset;
        snprintf(detail, sizeof detail, "version %s, run %s at step %" PRIu64, head->version_id, head->run_id,
                 head->step);
    }
    model->chain = model->known;
    model->ready = true;
    if (model->restarting) {
        model->restarting = false;
        train_count(effects, train_head_text(TRAIN_HEAD_RESTARTED_FROM), model, detail);
    }
    train_count(effects, train_start_text(start), model, detail);
    mr_lane_ready(effects->service->stage, model->lane, start == TRAIN_START_READY, model->last_origin);
}

static void start_from(struct train_effects *effects, struct train_model *model, struct train_hydrate *hydrate)
{
    enum train_found found;
    const struct mr_error error = classify(effects, model, &hydrate->seen, &found);
    if (mr_failed(error)) { /* the broker does not answer: again */
        model->retry_ms = mr_stage_ticks_ms(effects->service->stage) + TRAIN_RETRY_MS;
        return;
    }
    const enum train_start start = train_hydrate_decide(found);
    switch (start) {
    case TRAIN_START_BOOTSTRAPPING:
    case TRAIN_START_READY:
    case TRAIN_START_READY_IN_NEW_LOG: adopt(effects, model, hydrate, start); return;
    case TRAIN_START_LOG_DISCONTINUITY: {
        char detail[MR_ERROR_DETAIL_MAX];
        snprintf(detail, sizeof detail,
                 "the head of %s stands %s: another log? `millrace log adopt` starts a new epoch", model->id,
                 found == TRAIN_FOUND_BEYOND_END ? "behind the end of its partition" : "in a log that is not known");
        mr_stage_fail(effects->service->stage, MR_EXIT_LOG, train_start_text(start), detail);
        return;
    }
    }
    mr_unreachable(__func__);
}

static void hydrated(void *self, struct mr_stage_job *base, struct mr_item *item)
{
    (void)item; /* of no record */
    struct train_effects *effects = self;
    struct train_hydrate *hydrate = (struct train_hydrate *)(void *)base;
    struct train_model *model = hydrate->job.model;
    const struct mr_error error = hydrate->job.error;
    hydrate->job.running = false;
    if (train_job_current(&hydrate->job)) {
        model->hydrating = false;
        if (!mr_failed(error)) {
            start_from(effects, model, hydrate);
        } else if (error.kind == MR_ERROR_TRANSIENT) {
            model->retry_ms = mr_stage_ticks_ms(effects->service->stage) + TRAIN_RETRY_MS;
            train_count(effects, "StoreDown", model, error.detail);
        } else if (error.kind == MR_ERROR_REJECT) {
            model->stopped = true;
            mr_lane_stop(effects->service->stage, model->lane, "HeadUnreadable", error.detail);
        } else {
            mr_stage_fail(effects->service->stage, strcmp(error.code, "denied") == 0 ? MR_EXIT_DENIED : MR_EXIT_FAILED,
                          "HydrateFailed", error.detail);
        }
    }
    train_job_drop(effects, &hydrate->job);
}

void train_hydrate_start(struct train_effects *effects, struct train_model *model)
{
    if (!model->holds_room && effects->models >= effects->models_max) {
        model->retry_ms = mr_stage_ticks_ms(effects->service->stage) + TRAIN_RETRY_MS;
        return;
    }
    struct train_hydrate *hydrate = train_job_new(effects, model, TRAIN_JOB_HYDRATE, sizeof *hydrate);
    if (hydrate == NULL) {
        return;
    }
    train_model_take_room(effects, model);
    memcpy(hydrate->model_id, model->id, sizeof hydrate->model_id);
    hydrate->ops = effects->ops;
    hydrate->engine = effects->engine;
    model->hydrating = true;
    train_job_start(effects, NULL, &hydrate->job, train_hydrate_run, hydrated);
}
