#include "train_model.h"

#include <stdlib.h>
#include <string.h>

static struct train_model **bucket_of(struct train_effects *effects, uint32_t partition, const char *id)
{
    uint64_t hash = mr_mix64(partition);
    for (const char *at = id; *at != '\0'; at++) {
        hash = mr_mix64(hash ^ (unsigned char)*at);
    }
    return &effects->table[hash % TRAIN_MODEL_BUCKETS];
}

struct train_model *train_model_find(struct train_effects *effects, uint32_t partition, const char *id)
{
    struct train_model *model = *bucket_of(effects, partition, id);
    while (model != NULL && (model->partition != partition || strcmp(model->id, id) != 0)) {
        model = model->hash_next;
    }
    return model;
}

struct train_model *train_model_new(struct train_effects *effects, struct mr_lane *lane)
{
    struct train_model *model = calloc(1, sizeof *model);
    if (model == NULL) {
        return NULL;
    }
    memcpy(model->id, lane->model_id, sizeof model->id);
    model->partition = lane->partition;
    model->lane = lane;
    model->refs = 1;
    struct train_model **bucket = bucket_of(effects, model->partition, model->id);
    model->hash_next = *bucket;
    *bucket = model;
    return model;
}

static void unref(struct train_model *model)
{
    if (--model->refs == 0) {
        train_fold_deinit(&model->fold);
        train_ledger_deinit(&model->ledger);
        free(model);
    }
}

void train_model_close(struct train_effects *effects, struct train_model *model)
{
    struct train_model **link = bucket_of(effects, model->partition, model->id);
    while (*link != model) {
        link = &(*link)->hash_next;
    }
    *link = model->hash_next;
    train_model_give_room(effects, model);
    model->lane = NULL;
    model->item = model->waiting = NULL;
    model->generation++;
    unref(model);
}

void train_model_take_room(struct train_effects *effects, struct train_model *model)
{
    effects->models += !model->holds_room;
    model->holds_room = true;
}

void train_model_give_room(struct train_effects *effects, struct train_model *model)
{
    effects->models -= model->holds_room;
    model->holds_room = false;
}

void *train_job_new(struct train_effects *effects, struct train_model *model, enum train_job_kind kind, size_t size)
{
    struct train_job *job = calloc(1, size);
    if (job == NULL) {
        mr_stage_fail(effects->service->stage, MR_EXIT_FAILED, "OutOfMemory", "a job");
        return NULL;
    }
    job->kind = kind;
    job->model = model;
    job->generation = model->generation;
    job->store = effects->service->store;
    job->after = effects->jobs;
    if (effects->jobs != NULL) {
        effects->jobs->before = job;
    }
    effects->jobs = job;
    model->refs++;
    return job;
}

void train_job_start(struct train_effects *effects, struct mr_item *item, struct train_job *job,
                     void (*run)(struct mr_job *job),
                     void (*done)(void *self, struct mr_stage_job *base, struct mr_item *item))
{
    job->base.job.run = run;
    job->base.done = done;
    job->running = true;
    mr_stage_work(effects->service->stage, item, &job->base);
}

void train_job_drop(struct train_effects *effects, struct train_job *job)
{
    struct train_model *model = job->model;
    if (job->before != NULL) {
        job->before->after = job->after;
    } else {
        effects->jobs = job->after;
    }
    if (job->after != NULL) {
        job->after->before = job->before;
    }
    train_job_free(job);
    unref(model);
}

bool train_job_current(const struct train_job *job)
{
    return job->model->lane != NULL && job->model->generation == job->generation;
}

void train_count(struct train_effects *effects, const char *decision, const struct train_model *model,
                 const char *detail)
{
    mr_stage_count(effects->service->stage, decision);
    MR_TRACE(&effects->service->trace, MR_TRACE_INFO, decision, mr_text("model", model->id),
             mr_count("partition", model->partition), mr_text("detail", detail));
}
