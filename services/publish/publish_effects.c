#include "publish_effects.h"

#include "publish_marker.h"
#include "publish_redis.h"
#include "publish_view.h"

#include <stdlib.h>
#include <string.h>

enum { INPUT_STEPS = 0, INPUT_VERSIONS = 1 };
enum { FOLD_MEMORY_MAX = 64 * 1024 * 1024 };
enum { FOLD_VERSION = 1 }; /* of the states that are cached: another one is folded anew */

/* One write of the view; it is on a worker, and nobody else's, while the state is WRITING. */
struct view_job {
    struct mr_stage_job job; /* first: the worker is handed a pointer to it */
    struct publish_redis *redis;
    struct mr_buffer commands;
    size_t count;
    struct mr_error error;
    char server[PUBLISH_REDIS_SERVER_SIZE];
};

struct publish_effects {
    struct mr_service *service;
    const struct publish_config *config;
    struct publish_state state;
    struct publish_view *view;
    struct view_job job;
    struct publish_markers *markers; /* NULL until a partition is assigned */
    struct publish_redis *asker;     /* for the markers, during an assignment */
    bool asker_failed;
    struct mr_arena scratch; /* for one folded record */
    struct mr_metric *exported, *deferred, *forgotten, *sink_up;
};

/* The gauges of a lane's model. */
struct publish_lane {
    struct mr_metric *step, *loss, *samples, *version;
};

static int64_t now_ms(const struct publish_effects *effects)
{
    return mr_clock_monotonic_us(&effects->service->clock) / 1000;
}

/* ---- The view ------------------------------------------------------------------------------------------ */

static void note_forgotten(struct publish_effects *effects, bool forgot)
{
    if (forgot) {
        mr_metric_add(effects->forgotten, 1);
    }
}

static void run_job(struct mr_job *job)
{
    struct view_job *view_job = (struct view_job *)(void *)job;
    view_job->error = publish_redis_write(view_job->redis, mr_buffer_view(&view_job->commands), view_job->count);
    (void)snprintf(view_job->server, sizeof view_job->server, "%s", publish_redis_server(view_job->redis));
}

static void settle(struct publish_effects *effects, bool was_down)
{
    publish_view_settle(effects->view, true);
    publish_markers_settle(effects->markers, effects->job.server);
    mr_metric_add(effects->exported, 1);
    mr_metric_set(effects->sink_up, 1);
    if (was_down) {
        MR_TRACE(&effects->service->trace, MR_TRACE_INFO, publish_decision_text(PUBLISH_DECISION_SETTLE),
                 mr_text("sink", publish_sink_text(PUBLISH_SINK_REDIS)));
    }
}

static void keep(struct publish_effects *effects, enum publish_sink sink, bool was_down)
{
    publish_view_settle(effects->view, false);
    publish_markers_settle(effects->markers, NULL);
    mr_metric_add(effects->deferred, 1);
    mr_metric_set(effects->sink_up, 0);
    MR_TRACE(&effects->service->trace, was_down ? MR_TRACE_DEBUG : MR_TRACE_WARN,
             publish_decision_text(PUBLISH_DECISION_KEEP), mr_text("sink", publish_sink_text(sink)),
             mr_text("detail", effects->job.error.detail));
}

static void fault(struct publish_effects *effects, const struct publish_event *event)
{
    mr_stage_fail(effects->service->stage, MR_EXIT_SOFTWARE, publish_decision_text(PUBLISH_DECISION_FAULT),
                  publish_event_text(event->kind));
}

/* The answer of a write: SETTLE or KEEP. */
static void job_done(void *self, struct mr_stage_job *job, struct mr_item *item)
{
    (void)item; /* of no record */
    struct publish_effects *effects = self;
    const struct view_job *view_job = (const struct view_job *)(const void *)job;
    const bool was_down = effects->state.kind == PUBLISH_STATE_WRITING && effects->state.of.was_down;
    const struct publish_event event = {
        .kind = mr_failed(view_job->error) ? PUBLISH_EVENT_VIEW_FAILED : PUBLISH_EVENT_VIEW_WRITTEN,
        .of = {.answered = {.now_ms = now_ms(effects)}},
    };
    const struct publish_step step = publish_decide(&effects->state, &event);
    effects->state = step.next;
    switch (step.decision.kind) {
    case PUBLISH_DECISION_SETTLE: settle(effects, was_down); return;
    case PUBLISH_DECISION_KEEP: keep(effects, step.decision.sink, was_down); return;
    case PUBLISH_DECISION_FAULT: fault(effects, &event); return;
    case PUBLISH_DECISION_PUBLISH_METRIC:
    case PUBLISH_DECISION_PUBLISH_VERSION:
    case PUBLISH_DECISION_DEFER_METRIC:
    case PUBLISH_DECISION_DEFER_VERSION:
    case PUBLISH_DECISION_WRITE_VIEW:
    case PUBLISH_DECISION_WAIT:
    case PUBLISH_DECISION_STOP_MODEL: break;
    }
    mr_unreachable(__func__);
}

static struct mr_error write_view(struct publish_effects *effects)
{
    struct view_job *job = &effects->job;
    job->commands.size = 0;
    job->count = 0;
    MR_TRY(publish_markers_render(effects->markers, effects->view, &job->commands, &job->count));
    MR_TRY(publish_view_render(effects->view, now_ms(effects), &job->commands, &job->count));
    mr_stage_work(effects->service->stage, NULL, &job->job);
    return mr_ok();
}

/* The turn after an assignment. */
static void end_asking(struct publish_effects *effects)
{
    publish_redis_free(effects->asker);
    effects->asker = NULL;
    effects->asker_failed = false;
    if (effects->markers != NULL) {
        publish_markers_folded(effects->markers, effects->view);
    }
}

static bool has_to_tell(const struct publish_effects *effects)
{
    return publish_view_pending(effects->view) ||
           (effects->markers != NULL && publish_markers_due(effects->markers, effects->view));
}

static struct mr_error on_turn(void *self, int64_t ticks_ms)
{
    struct publish_effects *effects = self;
    end_asking(effects);
    const struct publish_event event = {
        .kind = PUBLISH_EVENT_TICKED,
        .of = {.ticked = {.now_ms = ticks_ms, .pending = has_to_tell(effects)}},
    };
    const struct publish_step step = publish_decide(&effects->state, &event);
    effects->state = step.next;
    switch (step.decision.kind) {
    case PUBLISH_DECISION_WAIT: return mr_ok();
    case PUBLISH_DECISION_WRITE_VIEW: return write_view(effects);
    case PUBLISH_DECISION_FAULT: fault(effects, &event); return mr_ok();
    case PUBLISH_DECISION_PUBLISH_METRIC:
    case PUBLISH_DECISION_PUBLISH_VERSION:
    case PUBLISH_DECISION_DEFER_METRIC:
    case PUBLISH_DECISION_DEFER_VERSION:
    case PUBLISH_DECISION_SETTLE:
    case PUBLISH_DECISION_KEEP:
    case PUBLISH_DECISION_STOP_MODEL: break;
    }
    mr_unreachable(__func__);
}

/* ---- Records ------------------------------------------------------------------------------------------- */

/* What a record says, read before anything is decided. */
struct reading {
    struct mr_error error;
    struct mr_bytes value; /* the public event */
    struct publish_progress progress;
    struct publish_version version;
};

static struct reading read_record(struct publish_effects *effects, const struct mr_item *item)
{
    struct mr_stage *stage = effects->service->stage;
    struct reading reading = {.error = mr_ok()};
    if (item->lane->input == INPUT_STEPS) {
        const struct mr_stage_stamp stamp = mr_stage_stamp(stage, item, MR_TOPIC_METRICS);
        reading.error = publish_metric_of_step(item->record->value, &stamp, mr_stage_arena(stage), &reading.value,
                                               &reading.progress);
    } else {
        const struct mr_stage_stamp stamp = mr_stage_stamp(stage, item, MR_TOPIC_VERSIONS);
        reading.error = publish_version_of_commit(item->record->value, &stamp, mr_stage_arena(stage), &reading.value,
                                                  &reading.version);
    }
    return reading;
}

static struct mr_verdict fatal(const struct mr_error *error)
{
    struct mr_verdict verdict = {.kind = MR_VERDICT_FATAL, .decision = "Failed", .exit_code = MR_EXIT_SOFTWARE};
    memcpy(verdict.detail, error->detail, sizeof verdict.detail);
    return verdict;
}

static struct mr_verdict emit(enum publish_decision_kind kind, const char *topic, const char *type,
                              struct mr_bytes value, struct mr_bytes ce_id)
{
    struct mr_verdict verdict = {.kind = MR_VERDICT_EMIT, .decision = publish_decision_text(kind), .output_count = 1};
    verdict.outputs[0] = (struct mr_stage_output){.topic = topic, .value = value, .type = type, .ce_id = ce_id};
    return verdict;
}

static struct mr_verdict publish_metric(struct publish_effects *effects, const struct mr_item *item,
                                        enum publish_decision_kind kind, const struct reading *reading)
{
    const struct publish_lane *lane = item->lane->state;
    mr_metric_set(lane->step, (double)reading->progress.step);
    if (reading->progress.has_numbers) {
        mr_metric_set(lane->loss, (double)reading->progress.loss);
        mr_metric_set(lane->samples, (double)reading->progress.samples);
    }
    if (effects->state.kind != PUBLISH_STATE_OFF) {
        bool forgot = false;
        const struct mr_error error =
            publish_view_progress(effects->view, &reading->progress, now_ms(effects), true, &forgot);
        if (mr_failed(error)) {
            return fatal(&error);
        }
        note_forgotten(effects, forgot);
    }
    return emit(kind, MR_TOPIC_METRICS, "millrace.metric.v1.MetricPublished", reading->value, mr_bytes_of(NULL, 0));
}

static struct mr_verdict publish_version(struct publish_effects *effects, const struct mr_item *item,
                                         enum publish_decision_kind kind, const struct reading *reading)
{
    const struct publish_lane *lane = item->lane->state;
    mr_metric_set(lane->version, (double)reading->version.counter);
    if (effects->state.kind != PUBLISH_STATE_OFF) {
        bool forgot = false;
        const struct mr_error error = publish_view_version(effects->view, &reading->version, &forgot);
        if (mr_failed(error)) {
            return fatal(&error);
        }
        note_forgotten(effects, forgot);
    }
    /* Rule O9: the id of a version event is the commit id. It must outlive this function, like the value. */
    char *ce_id = mr_arena_alloc(mr_stage_arena(effects->service->stage), MR_SHA256_TEXT_SIZE);
    if (ce_id == NULL) {
        const struct mr_error error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "ce_id");
        return fatal(&error);
    }
    memcpy(ce_id, reading->version.commit_text, MR_SHA256_TEXT_SIZE);
    return emit(kind, MR_TOPIC_VERSIONS, "millrace.version.v1.VersionPublished", reading->value,
                mr_bytes_of_text(ce_id));
}

static struct mr_verdict stop_model(const struct reading *reading)
{
    struct mr_verdict verdict = {.kind = MR_VERDICT_STOP_MODEL,
                                 .decision = publish_decision_text(PUBLISH_DECISION_STOP_MODEL)};
    memcpy(verdict.detail, reading->error.detail, sizeof verdict.detail);
    return verdict;
}

static enum publish_event_kind event_of(const struct mr_item *item, const struct reading *reading)
{
    if (mr_failed(reading->error)) {
        return PUBLISH_EVENT_UNREADABLE;
    }
    return item->lane->input == INPUT_STEPS ? PUBLISH_EVENT_STEP_READ : PUBLISH_EVENT_VERSION_READ;
}

static struct mr_verdict handle(void *self, struct mr_item *item, enum mr_stage_event_kind kind)
{
    struct publish_effects *effects = self;
    MR_ASSERT(kind == MR_STAGE_BEGIN); /* it never answers BUSY or DEPENDENCY_DOWN */
    const struct reading reading = read_record(effects, item);
    if (reading.error.kind == MR_ERROR_FATAL) {
        return fatal(&reading.error);
    }
    const struct publish_event event = {.kind = event_of(item, &reading)};
    const struct publish_step step = publish_decide(&effects->state, &event);
    effects->state = step.next;
    switch (step.decision.kind) {
    case PUBLISH_DECISION_PUBLISH_METRIC:
    case PUBLISH_DECISION_DEFER_METRIC: return publish_metric(effects, item, step.decision.kind, &reading);
    case PUBLISH_DECISION_PUBLISH_VERSION:
    case PUBLISH_DECISION_DEFER_VERSION: return publish_version(effects, item, step.decision.kind, &reading);
    case PUBLISH_DECISION_STOP_MODEL: return stop_model(&reading);
    case PUBLISH_DECISION_WRITE_VIEW:
    case PUBLISH_DECISION_SETTLE:
    case PUBLISH_DECISION_KEEP:
    case PUBLISH_DECISION_WAIT:
    case PUBLISH_DECISION_FAULT: break;
    }
    mr_unreachable(__func__);
}

/* The service's own topics are where a new view comes from: what they hold is pending until the sink has it. */
static struct mr_error fold(void *self, const struct mr_log_record *output)
{
    struct publish_effects *effects = self;
    if (effects->state.kind == PUBLISH_STATE_OFF) {
        return mr_ok();
    }
    mr_arena_reset(&effects->scratch);
    bool forgot = false;
    if (strcmp(output->topic, MR_TOPIC_METRICS) == 0) {
        struct publish_progress progress;
        MR_TRY(publish_metric_read(output->value, &effects->scratch, &progress));
        MR_TRY(publish_view_progress(effects->view, &progress, now_ms(effects), false, &forgot));
    } else {
        struct publish_version version;
        MR_TRY(publish_version_read(output->value, &effects->scratch, &version));
        MR_TRY(publish_view_version(effects->view, &version, &forgot));
    }
    note_forgotten(effects, forgot);
    return mr_ok();
}

/* Sends no more than one question to a sink that does not answer. */
static struct publish_redis *asker_of(struct publish_effects *effects)
{
    if (effects->asker == NULL && !effects->asker_failed) {
        const struct mr_error error =
            publish_redis_new(effects->config->redis, (uint32_t)effects->config->view_timeout_ms, &effects->asker);
        effects->asker_failed = mr_failed(error);
    }
    return effects->asker_failed ? NULL : effects->asker;
}

static struct mr_error partition_open(void *self, uint32_t partition)
{
    struct publish_effects *effects = self;
    if (effects->markers == NULL) {
        effects->markers = publish_markers_new(&effects->service->deployment);
    }
    if (effects->markers == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the view");
    }
    if (effects->state.kind != PUBLISH_STATE_OFF) {
        const bool asked = publish_markers_open(effects->markers, partition, asker_of(effects));
        effects->asker_failed = effects->asker_failed || !asked;
    }
    return mr_ok();
}

static void partition_close(void *self, uint32_t partition)
{
    struct publish_effects *effects = self;
    if (effects->markers != NULL) {
        publish_markers_close(effects->markers, partition);
    }
}

/* A view that may lack something is built again from everything that was published. */
static bool fold_whole(void *self, uint32_t partition)
{
    const struct publish_effects *effects = self;
    return effects->state.kind != PUBLISH_STATE_OFF && !publish_markers_there(effects->markers, partition);
}

static struct mr_error fold_save(void *self, const struct mr_lane *lane, struct mr_buffer *state)
{
    const struct publish_effects *effects = self;
    const enum publish_view_part part = lane->input == INPUT_STEPS ? PUBLISH_VIEW_PROGRESS : PUBLISH_VIEW_VERSIONS;
    return effects->state.kind == PUBLISH_STATE_OFF ? publish_view_save_none(state)
                                                    : publish_view_save(effects->view, part, lane->model_id, state);
}

static struct mr_error fold_load(void *self, const struct mr_lane *lane, struct mr_bytes state)
{
    struct publish_effects *effects = self;
    if (effects->state.kind == PUBLISH_STATE_OFF) {
        return mr_ok();
    }
    bool forgot = false;
    MR_TRY(publish_view_load(effects->view, lane->model_id, state, now_ms(effects), &forgot));
    note_forgotten(effects, forgot);
    return mr_ok();
}

/* ---- Lanes --------------------------------------------------------------------------------------------- */

static bool lane_open(void *self, struct mr_lane *lane)
{
    const struct publish_effects *effects = self;
    struct mr_metrics *metrics = effects->service->metrics;
    struct publish_lane *gauges = calloc(1, sizeof *gauges);
    if (gauges == NULL) {
        mr_stage_fail(effects->service->stage, MR_EXIT_SOFTWARE, "Failed", "out of memory");
        return false;
    }
    const struct mr_label model = {.name = "model", .value = lane->model_id};
    if (lane->input == INPUT_STEPS) {
        gauges->step = mr_metrics_gauge(metrics, "millrace_model_step", "Steps of the model's run.", &model, 1);
        gauges->loss = mr_metrics_gauge(metrics, "millrace_model_loss", "Loss of the last step.", &model, 1);
        gauges->samples = mr_metrics_gauge(metrics, "millrace_model_samples", "Rows of the run so far.", &model, 1);
    } else {
        gauges->version = mr_metrics_gauge(metrics, "millrace_model_version", "Counter of the head.", &model, 1);
    }
    lane->state = gauges;
    return true;
}

static void lane_close(void *self, struct mr_lane *lane)
{
    (void)self;
    free(lane->state);
    lane->state = NULL;
}

/* ---- Open and close ------------------------------------------------------------------------------------ */

static const struct mr_stage_ops stage_ops = {
    .partition_open = partition_open,
    .partition_close = partition_close,
    .fold = fold,
    .fold_save = fold_save,
    .fold_load = fold_load,
    .fold_whole = fold_whole,
    .lane_open = lane_open,
    .lane_close = lane_close,
    .handle = handle,
    .turn = on_turn,
};

static void open_metrics(struct publish_effects *effects)
{
    struct mr_metrics *metrics = effects->service->metrics;
    const struct mr_label sink = {.name = "sink", .value = publish_sink_text(PUBLISH_SINK_REDIS)};
    effects->exported = mr_metrics_counter(metrics, "millrace_publish_exported_total",
                                           "Writes that the sink took (Exported).", &sink, 1);
    effects->deferred = mr_metrics_counter(metrics, "millrace_publish_export_deferred_total",
                                           "Writes that the sink did not take (ExportDeferred).", &sink, 1);
    effects->forgotten =
        mr_metrics_counter(metrics, "millrace_publish_view_forgotten_total",
                           "Models whose waiting change was given up because too many models waited.", &sink, 1);
    effects->sink_up =
        mr_metrics_gauge(metrics, "millrace_publish_sink_up", "1 when the sink took the last write.", &sink, 1);
}

static struct mr_stage_spec spec_of(struct publish_effects *effects)
{
    return (struct mr_stage_spec){
        .name = "publish",
        .inputs = {[INPUT_STEPS] = {.topic = MR_TOPIC_TRAINED, .marks_from = MR_TOPIC_METRICS},
                   [INPUT_VERSIONS] = {.topic = MR_TOPIC_COMMITTED, .marks_from = MR_TOPIC_VERSIONS}},
        .input_count = 2,
        .outputs = {MR_TOPIC_METRICS, MR_TOPIC_VERSIONS},
        .output_count = 2,
        .retry_topic = NULL,
        .fold_version = FOLD_VERSION,
        .ops = &stage_ops,
        .self = effects,
    };
}

static struct mr_error open_sink(const struct publish_config *config, struct publish_effects *effects)
{
    effects->state = (struct publish_state){
        .kind = PUBLISH_STATE_OFF,
        .pace = {.interval_ms = (uint32_t)config->view_interval_ms, .probe_ms = (uint32_t)config->view_probe_ms},
        .of = {.next_ms = 0},
    };
    if (strcmp(config->redis, "none") == 0) {
        return mr_ok();
    }
    effects->state.kind = PUBLISH_STATE_READY;
    return publish_redis_new(config->redis, (uint32_t)config->view_timeout_ms, &effects->job.redis);
}

struct mr_error publish_effects_open(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec)
{
    struct publish_effects *effects = calloc(1, sizeof *effects);
    struct publish_view *view = publish_view_new();
    if (effects == NULL || view == NULL) {
        free(effects);
        publish_view_free(view);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "publish");
    }
    effects->service = service;
    effects->config = config;
    effects->view = view;
    effects->scratch.limit = FOLD_MEMORY_MAX;
    effects->job.job = (struct mr_stage_job){.job = {.run = run_job}, .item_id = 0, .done = job_done};
    open_metrics(effects);
    const struct mr_error error = open_sink(config, effects);
    if (mr_failed(error)) {
        publish_effects_close(effects);
        return error;
    }
    *ret_spec = spec_of(effects);
    return mr_ok();
}

void publish_effects_close(void *self)
{
    struct publish_effects *effects = self;
    if (effects == NULL) {
        return;
    }
    publish_view_free(effects->view);
    publish_markers_free(effects->markers);
    publish_redis_free(effects->asker);
    publish_redis_free(effects->job.redis);
    mr_buffer_deinit(&effects->job.commands);
    mr_arena_deinit(&effects->scratch);
    free(effects);
}
