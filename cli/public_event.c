#include "public_event.h"

#include "cli_version.h"

#include "millrace/metric/v1/metric.pb-c.h"
#include "millrace/version/v1/version.pb-c.h"

#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static struct mr_error unreadable(const struct mr_log_record *record, const char *why)
{
    return mr_error_make(MR_ERROR_REJECT, "unreadable", 0, "%s partition %" PRIu32 " offset %" PRIu64 ": %s",
                         record->topic, record->partition, record->offset, why);
}

static void copy(const char *text, char *ret_text, size_t size)
{
    (void)snprintf(ret_text, size, "%s", text);
}

static bool copy_id(const char *text, char ret_id[MR_ID_SIZE])
{
    if (!mr_id_valid(mr_bytes_of_text(text))) {
        return false;
    }
    copy(text, ret_id, MR_ID_SIZE);
    return true;
}

static bool copy_stamp(const Millrace__Common__V1__Stamp *wire, struct cli_stamp *ret_stamp)
{
    if (wire == NULL || wire->origin == NULL || wire->origin->log_id.len != MR_LOG_ID_SIZE ||
        !copy_id(wire->model_id, ret_stamp->model_id)) {
        return false;
    }
    memcpy(ret_stamp->log_id.bytes, wire->origin->log_id.data, MR_LOG_ID_SIZE);
    ret_stamp->partition = wire->origin->partition;
    ret_stamp->origin = wire->origin->offset;
    return true;
}

/* ---- Metrics ------------------------------------------------------------------------------------------- */

static const char *closed_text(Millrace__Run__V1__RunOutcome outcome)
{
    return outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_COMPLETED   ? "completed"
           : outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_FAILED    ? "failed"
           : outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_CANCELLED ? "cancelled"
                                                                              : "unknown";
}

/* False: an event that this build does not know. */
static bool copy_event(const Millrace__Metric__V1__MetricPublished *wire, struct cli_metric *metric)
{
    if (wire->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_STEPPED) {
        metric->event = "stepped";
        metric->loss = wire->stepped->loss;
        metric->gradient_norm = wire->stepped->gradient_norm;
        metric->learning_rate = wire->stepped->learning_rate;
        metric->rows = wire->stepped->rows;
        metric->samples = wire->stepped->samples;
        copy(wire->stepped->batch_id, metric->batch_id, sizeof metric->batch_id);
    } else if (wire->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_RUN_OPENED) {
        metric->event = "run_opened";
    } else if (wire->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_DIVERGED) {
        metric->event = "diverged";
        copy(wire->diverged->batch_id, metric->batch_id, sizeof metric->batch_id);
        copy(wire->diverged->reason, metric->detail, sizeof metric->detail);
    } else if (wire->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_SKIPPED) {
        metric->event = "skipped";
        copy(wire->skipped->batch_id, metric->batch_id, sizeof metric->batch_id);
    } else if (wire->event_case == MILLRACE__METRIC__V1__METRIC_PUBLISHED__EVENT_RUN_CLOSED) {
        metric->event = "run_closed";
        metric->outcome = closed_text(wire->run_closed->outcome);
        (void)snprintf(metric->detail, sizeof metric->detail, "%s%s%s", metric->outcome,
                       wire->run_closed->reason[0] == '\0' ? "" : ": ", wire->run_closed->reason);
    } else {
        return false;
    }
    return true;
}

struct mr_error cli_metric_read(const struct mr_log_record *record, struct cli_metric *ret_metric)
{
    Millrace__Metric__V1__MetricPublished *wire =
        millrace__metric__v1__metric_published__unpack(NULL, record->value.size, record->value.data);
    if (wire == NULL) {
        return unreadable(record, "not a protobuf message");
    }
    struct cli_metric metric = {.step = wire->step};
    const char *why = !copy_stamp(wire->stamp, &metric.stamp) ? "no valid stamp"
                      : !copy_id(wire->run_id, metric.run_id) ? "no valid run id"
                      : !copy_event(wire, &metric)            ? "an event that this build does not know"
                                                              : NULL;
    millrace__metric__v1__metric_published__free_unpacked(wire, NULL);
    if (why != NULL) {
        return unreadable(record, why);
    }
    *ret_metric = metric;
    return mr_ok();
}

json_t *cli_metric_json(const struct cli_metric *metric, const char *ce_id)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "ce_id", ce_id, "model_id", metric->stamp.model_id,
                               "run_id", metric->run_id, "event", metric->event, "step", (json_int_t)metric->step,
                               "origin", (json_int_t)metric->stamp.origin);
    if (strcmp(metric->event, "stepped") == 0) {
        json_object_set_new(object, "loss", cli_json_real((double)metric->loss));
        json_object_set_new(object, "gradient_norm", cli_json_real((double)metric->gradient_norm));
        json_object_set_new(object, "learning_rate", cli_json_real((double)metric->learning_rate));
        json_object_set_new(object, "rows", json_integer((json_int_t)metric->rows));
        json_object_set_new(object, "samples", json_integer((json_int_t)metric->samples));
    }
    if (metric->batch_id[0] != '\0') {
        json_object_set_new(object, "batch_id", cli_json_text(metric->batch_id));
    }
    if (metric->detail[0] != '\0') {
        json_object_set_new(object, "detail", cli_json_text(metric->detail));
    }
    return object;
}

/* ---- Versions ------------------------------------------------------------------------------------------ */

static bool copy_hash(ProtobufCBinaryData wire, char ret_text[MR_SHA256_TEXT_SIZE])
{
    if (wire.len != MR_SHA256_SIZE) {
        return false;
    }
    mr_hex(mr_bytes_of(wire.data, wire.len), ret_text);
    return true;
}

static bool copy_version(const Millrace__Version__V1__Version *wire, struct cli_published *version)
{
    if (wire == NULL || !copy_hash(wire->content_hash, version->content_hash) ||
        !copy_hash(wire->record_hash, version->record_hash) || !copy_hash(wire->commit_id, version->commit_id)) {
        return false;
    }
    copy(wire->version_id, version->version_id, sizeof version->version_id);
    copy(wire->semantic_version, version->semantic_version, sizeof version->semantic_version);
    copy(wire->run_id, version->run_id, sizeof version->run_id);
    copy(wire->message, version->message, sizeof version->message);
    version->counter = wire->counter;
    version->step = wire->step;
    version->size = wire->size;
    version->samples = wire->samples;
    version->event_time_ms = wire->event_time_ms;
    version->loss = wire->loss;
    return true;
}

struct mr_error cli_published_read(const struct mr_log_record *record, struct cli_published *ret_version)
{
    Millrace__Version__V1__VersionPublished *wire =
        millrace__version__v1__version_published__unpack(NULL, record->value.size, record->value.data);
    if (wire == NULL) {
        return unreadable(record, "not a protobuf message");
    }
    struct cli_published version = {.counter = 0};
    const char *why = !copy_stamp(wire->stamp, &version.stamp) ? "no valid stamp"
                      : !copy_version(wire->version, &version) ? "no version with 32-byte hashes"
                                                               : NULL;
    millrace__version__v1__version_published__free_unpacked(wire, NULL);
    if (why != NULL) {
        return unreadable(record, why);
    }
    *ret_version = version;
    return mr_ok();
}

json_t *cli_published_json(const struct cli_published *version, const char *ce_id)
{
    return json_pack("{s:s, s:s, s:o, s:I, s:o, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:I, s:o, s:I}", "ce_id", ce_id,
                     "model_id", version->stamp.model_id, "version_id", cli_json_text(version->version_id), "counter",
                     (json_int_t)version->counter, "semantic_version", cli_json_text(version->semantic_version),
                     "content_hash", version->content_hash, "record_hash", version->record_hash, "commit_id",
                     version->commit_id, "run_id", cli_json_text(version->run_id), "step", (json_int_t)version->step,
                     "size", (json_int_t)version->size, "samples", (json_int_t)version->samples, "loss",
                     cli_json_real((double)version->loss), "event_time_ms", (json_int_t)version->event_time_ms,
                     "message", cli_json_text(version->message), "origin", (json_int_t)version->stamp.origin);
}

/* ---- What was seen ------------------------------------------------------------------------------------- */

struct seen_model {
    struct cli_stamp stamp; /* first: it is what the tree compares */
    struct seen_model *next;
};

static int by_model(const void *a, const void *b)
{
    const struct cli_stamp *left = a, *right = b;
    return strcmp(left->model_id, right->model_id);
}

static struct mr_error add_model(struct cli_seen *seen, const struct cli_stamp *stamp)
{
    struct seen_model *model = malloc(sizeof *model);
    if (model == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "models that were seen");
    }
    *model = (struct seen_model){*stamp, seen->list};
    if (tsearch(model, &seen->tree, by_model) == NULL) {
        free(model);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "models that were seen");
    }
    seen->list = model;
    return mr_ok();
}

struct mr_error cli_seen_note(struct cli_seen *seen, const struct cli_stamp *stamp, bool *ret_new)
{
    void *const *found = tfind(stamp, &seen->tree, by_model);
    if (found == NULL) {
        *ret_new = true;
        return add_model(seen, stamp);
    }
    struct seen_model *model = *found;
    const bool same_log = memcmp(model->stamp.log_id.bytes, stamp->log_id.bytes, MR_LOG_ID_SIZE) == 0;
    *ret_new = !same_log || stamp->origin > model->stamp.origin;
    if (*ret_new) {
        model->stamp = *stamp;
    }
    return mr_ok();
}

void cli_seen_deinit(struct cli_seen *seen)
{
    while (seen->list != NULL) {
        struct seen_model *model = seen->list;
        seen->list = model->next;
        (void)tdelete(model, &seen->tree, by_model);
        free(model);
    }
}
