#include "train_effects.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train_model.h"

/* ---- Lanes ----------------------------------------------------------------------------------------------------- */

/* Whatever was known of the model is dropped; its records still count for the offsets. */
static void reset(struct train_effects *effects, struct train_model *model)
{
    model->generation++;
    model->ready = model->hydrating = model->sealing = model->looking = model->look_due = model->run_open = false;
    model->interrupt = TRAIN_INTERRUPT_NONE;
    model->retry_ms = model->look_ms = 0;
    model->has_last = false;
    model->last_origin = 0;
    model->chain = model->known = (struct train_chain){.some = false};
    train_fold_deinit(&model->fold);
    memset(&model->fold, 0, sizeof model->fold);
    train_model_give_room(effects, model);
}

static bool lane_open(void *self, struct mr_lane *lane)
{
    struct train_effects *effects = self;
    struct train_model *model = lane->state;
    if (model == NULL) {
        model = train_model_new(effects, lane);
        if (model == NULL) {
            mr_stage_fail(effects->service->stage, MR_EXIT_FAILED, "OutOfMemory", "a model");
            return false;
        }
        lane->state = model;
    } else {
        train_ledger_drop(&model->ledger);
        reset(effects, model);
        model->restarting = true;
    }
    train_count(effects, "Hydrating", model, "");
    train_hydrate_start(effects, model);
    return false;
}

static void lane_close(void *self, struct mr_lane *lane)
{
    if (lane->state != NULL) {
        train_model_close(self, lane->state);
        lane->state = NULL;
    }
}

/* What was leased to records of this assignment comes back at once. */
static void partition_close(void *self, uint32_t partition)
{
    struct train_effects *effects = self;
    (void)partition;
    mr_arena_consumer_reset(effects->consumer);
}

static struct mr_error partition_open(void *self, uint32_t partition)
{
    struct train_effects *effects = self;
    const uint32_t count = effects->service->deployment.partitions;
    if (effects->ends == NULL) {
        effects->ends = calloc(count, sizeof *effects->ends);
        effects->partitions = effects->ends == NULL ? 0 : count;
    }
    return partition < effects->partitions
               ? mr_ok()
               : mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the state of partition %u", (unsigned)partition);
}

/* ---- Records ------------------------------------------------------------------------------------------------------
 */

static struct mr_verdict handle(void *self, struct mr_item *item, enum mr_stage_event_kind event)
{
    return train_flow_handle(self, item->lane->state, item, event);
}

static void resolved(void *self, struct mr_item *item)
{
    struct train_model *model = item->lane->state;
    const struct train_item *state = item->state;
    if (state != NULL && state->sequence > 0) {
        train_ledger_ack(&model->ledger, state->sequence);
        train_commit_pump(self, model);
    }
}

static void item_free(void *self, struct mr_item *item)
{
    train_flow_item_free(self, item);
}

static void on_committed(void *self, const struct mr_log_record *record)
{
    struct train_effects *effects = self;
    struct train_committed committed;
    const struct mr_error error =
        train_committed_decode(record->value, mr_stage_arena(effects->service->stage), &committed);
    if (mr_failed(error)) { /* a hint that cannot be read: the head says the same */
        MR_TRACE(&effects->service->trace, MR_TRACE_WARN, "Unreadable", mr_text("topic", record->topic),
                 mr_count("offset", record->offset), mr_text("detail", error.detail));
        return;
    }
    struct train_model *model = train_model_find(effects, record->partition, committed.model_id);
    if (model != NULL) {
        train_commit_heard(effects, model, &committed.content_hash);
    }
}

/* ---- Time
 * ------------------------------------------------------------------------------------------------------------ */

static void tend(struct train_effects *effects, struct train_model *model, int64_t ticks_ms)
{
    if (model->stopped) {
        return;
    }
    if (!model->ready) {
        if (!model->hydrating && ticks_ms >= model->retry_ms) {
            train_hydrate_start(effects, model);
        }
        return;
    }
    train_commit_pump(effects, model);
    /* An event that was missed, or sent before this assignment, must not hold a model for ever; and a head that
     * somebody put back is seen although no record comes. */
    const bool awaits = model->ledger.uncommitted > 0;
    if (model->look_due || (awaits && ticks_ms >= model->look_ms)) {
        train_commit_look(effects, model);
    }
    if (model->waiting != NULL && model->gate == TRAIN_GATE_AWAIT_ROOM && effects->models < effects->models_max) {
        train_flow_wake(effects, model);
    }
}

static struct mr_error turn(void *self, int64_t ticks_ms)
{
    struct train_effects *effects = self;
    const struct mr_arena_consumer_turn news = mr_arena_consumer_turn(effects->consumer, ticks_ms);
    if (news.news != MR_ARENA_CONSUMER_STEADY) {
        const bool connected = news.news == MR_ARENA_CONSUMER_CONNECTED;
        MR_TRACE(&effects->service->trace, connected ? MR_TRACE_INFO : MR_TRACE_WARN,
                 connected ? "ArenaConnected" : "ArenaDisconnected",
                 mr_text("detail", connected ? "" : news.why.detail));
    }
    for (size_t i = 0; i < TRAIN_MODEL_BUCKETS; i++) {
        for (struct train_model *model = effects->table[i]; model != NULL; model = model->hash_next) {
            tend(effects, model, ticks_ms);
        }
    }
    return mr_ok();
}

static uint64_t floor_of(void *self, uint32_t input, uint32_t partition)
{
    const struct train_effects *effects = self;
    uint64_t low = UINT64_MAX;
    (void)input; /* only the first is ordered */
    for (size_t i = 0; i < TRAIN_MODEL_BUCKETS; i++) {
        for (const struct train_model *model = effects->table[i]; model != NULL; model = model->hash_next) {
            const uint64_t bound = train_ledger_floor(&model->ledger, model->run_open || !model->ready);
            low = model->partition == partition && bound < low ? bound : low;
        }
    }
    return low;
}

/* ---- Open and close
 * ------------------------------------------------------------------------------------------------------ */

static const struct mr_stage_ops ops = {
    .partition_open = partition_open,
    .partition_close = partition_close,
    .lane_open = lane_open,
    .lane_close = lane_close,
    .handle = handle,
    .resolved = resolved,
    .item_free = item_free,
    .turn = turn,
    .floor = floor_of,
};

struct mr_error train_effects_check(const void *config)
{
    const struct mr_engine_ops *engine;
    return mr_engine_select(((const struct train_config *)config)->device, &engine);
}

static struct mr_error open_engine(struct train_effects *effects, const struct train_config *config)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t threads = config->threads > 0 ? config->threads : cores > 0 ? (uint64_t)cores : 1;
    threads = threads > MR_ENGINE_THREADS_MAX ? MR_ENGINE_THREADS_MAX : threads;
    const struct mr_engine_options options = {.device = config->device, .threads = (uint32_t)threads};
    MR_TRY(mr_engine_select(config->device, &effects->ops));
    MR_TRY(effects->ops->open(&options, &effects->engine));
    MR_TRACE(&effects->service->trace, MR_TRACE_INFO, "EngineOpened", mr_text("device", config->device),
             mr_text("isa", effects->ops->isa(effects->engine)), mr_count("threads", threads));
    return mr_ok();
}

static void name_metrics(struct train_effects *effects)
{
    struct mr_metrics *metrics = effects->service->metrics;
    effects->steps = mr_metrics_counter(metrics, "millrace_train_steps_total", "Steps of all models.", NULL, 0);
    effects->samples = mr_metrics_counter(metrics, "millrace_train_samples_total", "Rows trained on.", NULL, 0);
    effects->step_seconds = mr_metrics_histogram(metrics, "millrace_train_step_seconds",
                                                 "One step, its payload's reading included.", NULL, 0);
    effects->checkpoints =
        mr_metrics_counter(metrics, "millrace_train_checkpoints_total", "Checkpoints handed to persist.", NULL, 0);
}

struct mr_error train_effects_open_with(const struct train_config *config, struct mr_service *service,
                                        struct mr_arena_consumer *consumer, struct mr_stage_spec *ret_spec)
{
    struct train_effects *effects = calloc(1, sizeof *effects);
    if (effects == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the effects");
    }
    effects->service = service;
    effects->consumer = consumer;
    effects->run_ahead = (uint32_t)config->run_ahead;
    effects->models_max = (uint32_t)config->models_max;
    const struct mr_error error = open_engine(effects, config);
    if (mr_failed(error)) {
        free(effects);
        return error;
    }
    name_metrics(effects);
    *ret_spec = (struct mr_stage_spec){
        .name = "train",
        .inputs = {{.topic = MR_TOPIC_STAGED, .reread_from = MR_TOPIC_VALIDATED},
                   {.topic = MR_TOPIC_COMMITTED, .side = on_committed}},
        .input_count = 2,
        .outputs = {MR_TOPIC_TRAINED, MR_TOPIC_PRODUCED},
        .output_count = 2,
        .ops = &ops,
        .self = effects,
    };
    return mr_ok();
}

struct mr_error train_effects_open(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec)
{
    const struct train_config *options = config;
    struct mr_arena_consumer *consumer;
    MR_TRY(mr_arena_consumer_open(options->arena, &consumer));
    const struct mr_error error = train_effects_open_with(options, service, consumer, ret_spec);
    if (mr_failed(error)) {
        mr_arena_consumer_close(consumer);
        return error;
    }
    ((struct train_effects *)ret_spec->self)->owns_consumer = true;
    return mr_ok();
}

void train_effects_close(void *self)
{
    struct train_effects *effects = self;
    if (effects == NULL) {
        return;
    }
    while (effects->jobs != NULL) {
        train_job_drop(effects, effects->jobs);
    }
    for (size_t i = 0; i < TRAIN_MODEL_BUCKETS; i++) {
        while (effects->table[i] != NULL) {
            train_model_close(effects, effects->table[i]);
        }
    }
    if (effects->owns_consumer) {
        mr_arena_consumer_close(effects->consumer);
    }
    effects->ops->close(effects->engine);
    free(effects->ends);
    free(effects);
}
