#include "publish_codec.h"

#include "millrace/metric/v1/metric.pb-c.h"
#include "millrace/step/v1/step.pb-c.h"
#include "millrace/version/v1/version.pb-c.h"
#include "millrace/wire.h"

#include <string.h>

static struct mr_error unreadable(const char *message, const char *why)
{
    return mr_error_make(MR_ERROR_REJECT, "unreadable", 0, "%s: %s", message, why);
}

/* ---- Metrics ------------------------------------------------------------------------------------------- */

const char *publish_phase(const char *name)
{
    static const char *const phases[] = {"training", "diverged", "completed", "failed", "cancelled"};
    for (size_t i = 0; i < MR_COUNT_OF(phases); i++) {
        if (strcmp(name, phases[i]) == 0) {
            return phases[i];
        }
    }
    return NULL;
}

/* NULL: an outcome that this build does not know. */
static const char *outcome_phase(Millrace__Run__V1__RunOutcome outcome)
{
    /* A generated enum: values may be unknown here, so this is a chain with a stated end. */
    if (outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_COMPLETED) {
        return "completed";
    }
    if (outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_FAILED) {
        return "failed";
    }
    if (outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_CANCELLED) {
        return "cancelled";
    }
    return NULL;
}

static struct mr_error progress_of(const Millrace__Metric__V1__MetricPublished *metric,
                                   struct publish_progress *ret_progress)
{
    struct publish_progress progress = {.model_id = metric->stamp == NULL ? "" : metric->stamp->model_id,
                                        .run_id = metric->run_id,
                                        .phase = NULL,
                                        .step = metric->step};
    if (!mr_id_valid(mr_bytes_of_text(progress.model_id)) || !mr_id_valid(mr_bytes_of_text(progress.run_id))) {
        return unreadable("metric", "no valid model and run id");
    }
    if (metric->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_STEPPED) {
        const Millrace__Metric__V1__Step *step = metric->stepped;
        progress.phase = "training";
        progress.has_numbers = true;
        progress.loss = step->loss;
        progress.gradient_norm = step->gradient_norm;
        progress.learning_rate = step->learning_rate;
        progress.rows = step->rows;
        progress.samples = step->samples;
    } else if (metric->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_RUN_OPENED) {
        progress.phase = "training";
    } else if (metric->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_DIVERGED ||
               metric->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_SKIPPED) {
        progress.phase = "diverged";
    } else if (metric->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_RUN_CLOSED) {
        progress.phase = outcome_phase(metric->run_closed->outcome);
    }
    if (progress.phase == NULL) {
        return unreadable("metric", "an event that this build does not know");
    }
    *ret_progress = progress;
    return mr_ok();
}

/* The public forms of the events of a step, one of which is used. */
struct wire_metric {
    Millrace__Metric__V1__MetricPublished metric;
    Millrace__Metric__V1__RunOpened run_opened;
    Millrace__Metric__V1__Step stepped;
    Millrace__Metric__V1__Divergence diverged;
    Millrace__Metric__V1__SkippedBatch skipped;
    Millrace__Metric__V1__RunClosed run_closed;
};

static void run_opened_to_wire(const Millrace__Step__V1__RunOpened *opened, struct wire_metric *wire)
{
    millrace__metric__v1__run_opened__init(&wire->run_opened);
    if (opened->spec != NULL) {
        wire->run_opened.study_id = opened->spec->study_id;
        wire->run_opened.trial_id = opened->spec->trial_id;
    }
    wire->run_opened.parameters = opened->parameters;
    wire->metric.event_case = MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_RUN_OPENED;
    wire->metric.run_opened = &wire->run_opened;
}

static void stepped_to_wire(const Millrace__Step__V1__Stepped *stepped, struct wire_metric *wire)
{
    millrace__metric__v1__step__init(&wire->stepped);
    wire->stepped.batch_id = stepped->batch_id;
    wire->stepped.loss = stepped->loss;
    wire->stepped.gradient_norm = stepped->gradient_norm;
    wire->stepped.learning_rate = stepped->learning_rate;
    wire->stepped.rows = stepped->rows;
    wire->stepped.samples = stepped->samples;
    wire->metric.event_case = MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_STEPPED;
    wire->metric.stepped = &wire->stepped;
}

/* False: an event that this build does not know. */
static bool event_to_wire(const Millrace__Step__V1__StepTrained *step, struct wire_metric *wire)
{
    if (step->event_case == MILLRACE__STEP__V1__STEP_TRAINED__EVENT_STEPPED) {
        stepped_to_wire(step->stepped, wire);
    } else if (step->event_case == MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_OPENED) {
        run_opened_to_wire(step->run_opened, wire);
    } else if (step->event_case == MILLRACE__STEP__V1__STEP_TRAINED__EVENT_DIVERGED) {
        millrace__metric__v1__divergence__init(&wire->diverged);
        wire->diverged.batch_id = step->diverged->batch_id;
        wire->diverged.reason = step->diverged->reason;
        wire->metric.event_case = MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_DIVERGED;
        wire->metric.diverged = &wire->diverged;
    } else if (step->event_case == MILLRACE__STEP__V1__STEP_TRAINED__EVENT_SKIPPED) {
        millrace__metric__v1__skipped_batch__init(&wire->skipped);
        wire->skipped.batch_id = step->skipped->batch_id;
        wire->metric.event_case = MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_SKIPPED;
        wire->metric.skipped = &wire->skipped;
    } else if (step->event_case == MILLRACE__STEP__V1__STEP_TRAINED__EVENT_RUN_CLOSED) {
        millrace__metric__v1__run_closed__init(&wire->run_closed);
        wire->run_closed.outcome = step->run_closed->outcome;
        wire->run_closed.reason = step->run_closed->reason;
        wire->metric.event_case = MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_RUN_CLOSED;
        wire->metric.run_closed = &wire->run_closed;
    } else {
        return false;
    }
    return true;
}

struct mr_error publish_metric_of_step(struct mr_bytes step_trained, const struct mr_stage_stamp *stamp,
                                       struct mr_arena *arena, struct mr_bytes *ret_value,
                                       struct publish_progress *ret_progress)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Step__V1__StepTrained *step =
        millrace__step__v1__step_trained__unpack(&allocator, step_trained.size, step_trained.data);
    if (step == NULL) {
        return mr_wire_not_unpacked(&memory, "unreadable", "StepTrained");
    }
    struct mr_wire_stamp wire_stamp;
    mr_wire_stamp_init(&wire_stamp, stamp);
    struct wire_metric wire;
    millrace__metric__v1__metric_published__init(&wire.metric);
    wire.metric.stamp = &wire_stamp.message;
    wire.metric.run_id = step->run_id;
    wire.metric.step = step->step;
    if (!event_to_wire(step, &wire)) {
        return unreadable("StepTrained", "an event that this build does not know");
    }
    struct publish_progress progress;
    MR_TRY(progress_of(&wire.metric, &progress));
    progress.model_id = stamp->model_id;
    MR_TRY(mr_wire_pack(&wire.metric.base, arena, ret_value));
    *ret_progress = progress;
    return mr_ok();
}

struct mr_error publish_metric_read(struct mr_bytes metric_published, struct mr_arena *arena,
                                    struct publish_progress *ret_progress)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Metric__V1__MetricPublished *metric =
        millrace__metric__v1__metric_published__unpack(&allocator, metric_published.size, metric_published.data);
    return metric == NULL ? mr_wire_not_unpacked(&memory, "unreadable", "MetricPublished")
                          : progress_of(metric, ret_progress);
}

/* ---- Versions ------------------------------------------------------------------------------------------ */

static struct mr_error version_of(const Millrace__Version__V1__Version *wire, struct publish_version *ret_version)
{
    if (wire == NULL || !mr_id_valid(mr_bytes_of_text(wire->model_id))) {
        return unreadable("version", "no version of a valid model id");
    }
    if (wire->content_hash.len != MR_SHA256_SIZE || wire->record_hash.len != MR_SHA256_SIZE ||
        wire->commit_id.len != MR_SHA256_SIZE) {
        return unreadable("version", "content hash, record hash and commit id are 32 bytes each");
    }
    *ret_version = (struct publish_version){
        .model_id = wire->model_id,
        .version_id = wire->version_id,
        .semantic_version = wire->semantic_version,
        .run_id = wire->run_id,
        .message = wire->message,
        .restarted_from = wire->restarted_from,
        .counter = wire->counter,
        .step = wire->step,
        .size = wire->size,
        .samples = wire->samples,
        .event_time_ms = wire->event_time_ms,
        .loss = wire->loss,
    };
    mr_hex(mr_bytes_of(wire->content_hash.data, MR_SHA256_SIZE), ret_version->content_hash);
    mr_hex(mr_bytes_of(wire->record_hash.data, MR_SHA256_SIZE), ret_version->record_hash);
    mr_hex(mr_bytes_of(wire->commit_id.data, MR_SHA256_SIZE), ret_version->commit_text);
    return mr_ok();
}

struct mr_error publish_version_of_commit(struct mr_bytes version_committed, const struct mr_stage_stamp *stamp,
                                          struct mr_arena *arena, struct mr_bytes *ret_value,
                                          struct publish_version *ret_version)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Version__V1__VersionCommitted *committed =
        millrace__version__v1__version_committed__unpack(&allocator, version_committed.size, version_committed.data);
    if (committed == NULL) {
        return mr_wire_not_unpacked(&memory, "unreadable", "VersionCommitted");
    }
    struct publish_version version;
    MR_TRY(version_of(committed->version, &version));
    struct mr_wire_stamp wire_stamp;
    mr_wire_stamp_init(&wire_stamp, stamp);
    Millrace__Version__V1__VersionPublished published;
    millrace__version__v1__version_published__init(&published);
    published.stamp = &wire_stamp.message;
    published.version = committed->version;
    MR_TRY(mr_wire_pack(&published.base, arena, ret_value));
    *ret_version = version;
    return mr_ok();
}

struct mr_error publish_version_read(struct mr_bytes version_published, struct mr_arena *arena,
                                     struct publish_version *ret_version)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Version__V1__VersionPublished *published =
        millrace__version__v1__version_published__unpack(&allocator, version_published.size, version_published.data);
    return published == NULL ? mr_wire_not_unpacked(&memory, "unreadable", "VersionPublished")
                             : version_of(published->version, ret_version);
}
