#include "millrace/deployment/v1/deployment.pb-c.h"
#include "millrace/topics.h"

#include <string.h>

#define KEY_REPLACED "deployment"

enum { DEPLOYMENT_WAIT_MS = 5000, POLL_MS = 100 };

const char *const mr_topics[] = {
    MR_TOPIC_SUBMITTED,
    MR_TOPIC_INGESTED,
    MR_TOPIC_VALIDATED,
    MR_TOPIC_STAGED,
    MR_TOPIC_TRAINED,
    MR_TOPIC_PRODUCED,
    MR_TOPIC_COMMITTED,
    MR_TOPIC_METRICS,
    MR_TOPIC_VERSIONS,
    MR_TOPIC_RETRIES_INGEST,
    MR_TOPIC_RETRIES_VALIDATE,
    MR_TOPIC_DEADLETTERS,
    MR_TOPIC_FOLDS,
    NULL,
};

bool mr_deployment_place(const struct mr_deployment *deployment, const struct mr_log_id *log_id, size_t *ret_place)
{
    if (memcmp(deployment->log_id.bytes, log_id->bytes, MR_LOG_ID_SIZE) == 0) {
        *ret_place = deployment->predecessor_count;
        return true;
    }
    for (size_t i = 0; i < deployment->predecessor_count; i++) {
        if (memcmp(deployment->predecessors[i].bytes, log_id->bytes, MR_LOG_ID_SIZE) == 0) {
            *ret_place = i;
            return true;
        }
    }
    return false;
}

struct mr_error mr_deployment_encode(const struct mr_deployment *deployment, struct mr_buffer *ret_value)
{
    /* protobuf-c wants writable memory: a copy of the deployment's own. */
    struct mr_deployment copy = *deployment;
    ProtobufCBinaryData predecessors[MR_PREDECESSORS_MAX];
    for (size_t i = 0; i < copy.predecessor_count; i++) {
        predecessors[i] = (ProtobufCBinaryData){.len = MR_LOG_ID_SIZE, .data = copy.predecessors[i].bytes};
    }
    Millrace__Deployment__V1__Deployment message = MILLRACE__DEPLOYMENT__V1__DEPLOYMENT__INIT;
    message.log_id = (ProtobufCBinaryData){.len = MR_LOG_ID_SIZE, .data = copy.log_id.bytes};
    message.partitions = copy.partitions;
    message.n_predecessors = copy.predecessor_count;
    message.predecessors = predecessors;
    const size_t size = millrace__deployment__v1__deployment__get_packed_size(&message);
    MR_TRY(mr_buffer_reserve(ret_value, ret_value->size + size));
    ret_value->size += millrace__deployment__v1__deployment__pack(&message, ret_value->data + ret_value->size);
    return mr_ok();
}

static struct mr_error bad_deployment(const char *what)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_deployment", 0, "the record in %s is not a deployment: %s",
                         MR_TOPIC_DEPLOYMENT, what);
}

static struct mr_error deployment_of_message(const Millrace__Deployment__V1__Deployment *message,
                                             struct mr_deployment *ret_deployment)
{
    struct mr_deployment found = {.partitions = message->partitions};
    if (message->log_id.len != MR_LOG_ID_SIZE) {
        return bad_deployment("log_id has not 16 bytes");
    }
    if (message->partitions == 0) {
        return bad_deployment("partitions is 0");
    }
    if (message->n_predecessors > MR_PREDECESSORS_MAX) {
        return bad_deployment("more than 64 predecessors");
    }
    memcpy(found.log_id.bytes, message->log_id.data, MR_LOG_ID_SIZE);
    for (size_t i = 0; i < message->n_predecessors; i++) {
        if (message->predecessors[i].len != MR_LOG_ID_SIZE) {
            return bad_deployment("a predecessor has not 16 bytes");
        }
        memcpy(found.predecessors[i].bytes, message->predecessors[i].data, MR_LOG_ID_SIZE);
    }
    found.predecessor_count = message->n_predecessors;
    *ret_deployment = found;
    return mr_ok();
}

struct mr_error mr_deployment_decode(struct mr_bytes value, struct mr_deployment *ret_deployment)
{
    Millrace__Deployment__V1__Deployment *const message =
        millrace__deployment__v1__deployment__unpack(NULL, value.size, value.data);
    if (message == NULL) {
        return bad_deployment("not a protobuf message of that type");
    }
    const struct mr_error error = deployment_of_message(message, ret_deployment);
    millrace__deployment__v1__deployment__free_unpacked(message, NULL);
    return error;
}

/* The value that counts, below `high`. A compacted topic keeps its last record, so that one is always there to be read;
 * it keeps the first of a creation too, for the keys of these differ. */
static struct mr_error value_that_counts(struct mr_log *log, struct mr_log_reader *reader, uint64_t high,
                                         bool *ret_some, struct mr_buffer *value)
{
    *ret_some = false;
    for (bool at_end = false; !at_end;) {
        struct mr_log_record record;
        bool some = false;
        MR_TRY(log->ops->reader_next(log, reader, DEPLOYMENT_WAIT_MS, &some, &record));
        if (!some) {
            return mr_error_make(MR_ERROR_TRANSIENT, "broker_unavailable", 0, "%s could not be read to its end",
                                 MR_TOPIC_DEPLOYMENT);
        }
        const bool replaces = record.has_key && mr_bytes_equal(record.key, mr_bytes_of_text(KEY_REPLACED));
        if (record.has_value && (replaces || !*ret_some)) {
            value->size = 0;
            MR_TRY(mr_buffer_append(value, record.value.data, record.value.size));
        }
        *ret_some = replaces ? record.has_value : *ret_some || record.has_value;
        at_end = record.offset + 1 >= high;
    }
    return mr_ok();
}

static struct mr_error deployment_fetch(struct mr_log *log, bool *ret_some, struct mr_deployment *ret_deployment)
{
    uint64_t low, high;
    bool some = false;
    MR_TRY(log->ops->watermarks(log, MR_TOPIC_DEPLOYMENT, 0, &low, &high));
    if (low == high) {
        *ret_some = false;
        return mr_ok();
    }
    struct mr_log_reader *reader;
    MR_TRY(log->ops->reader_open(log, MR_TOPIC_DEPLOYMENT, 0, low, &reader));
    struct mr_buffer value = {0};
    struct mr_error error = value_that_counts(log, reader, high, &some, &value);
    if (!mr_failed(error) && some) {
        error = mr_deployment_decode(mr_buffer_view(&value), ret_deployment);
    }
    mr_buffer_deinit(&value);
    log->ops->reader_close(log, reader);
    *ret_some = !mr_failed(error) && some;
    return error;
}

struct mr_error mr_deployment_find(struct mr_log *log, bool *ret_some, struct mr_deployment *ret_deployment)
{
    uint32_t count;
    const struct mr_error missing = log->ops->partition_count(log, MR_TOPIC_DEPLOYMENT, &count);
    if (missing.kind == MR_ERROR_REJECT) {
        *ret_some = false;
        return mr_ok();
    }
    MR_TRY(missing);
    return deployment_fetch(log, ret_some, ret_deployment);
}

struct mr_error mr_deployment_read(struct mr_log *log, struct mr_deployment *ret_deployment)
{
    struct mr_deployment found;
    bool some;
    MR_TRY(mr_deployment_find(log, &some, &found));
    if (!some) {
        return mr_error_make(MR_ERROR_REJECT, "no_deployment", 0,
                             "%s is missing or empty: create Millrace's topics first (millrace topics create)",
                             MR_TOPIC_DEPLOYMENT);
    }
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        uint32_t count;
        MR_TRY(log->ops->partition_count(log, mr_topics[i], &count));
        if (count != found.partitions) {
            return mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0, "%s has %u partitions, the deployment has %u",
                                 mr_topics[i], count, found.partitions);
        }
    }
    *ret_deployment = found;
    return mr_ok();
}

/* ---- Writing ---------------------------------------------------------------------------------------------- */

static struct mr_error delivered(struct mr_log *log, uint32_t wait_ms)
{
    for (uint32_t waited_ms = 0; waited_ms < wait_ms; waited_ms += POLL_MS) {
        const struct mr_log_event event = log->ops->poll(log, POLL_MS);
        if (event.kind == MR_LOG_EVENT_DELIVERED) {
            return mr_ok();
        }
        if (event.kind == MR_LOG_EVENT_DELIVERY_FAILED) {
            return event.of.delivery_failed.error;
        }
        if (event.kind == MR_LOG_EVENT_FAILED) {
            return event.of.error;
        }
    }
    return mr_error_make(MR_ERROR_UNKNOWN, "timeout", 0, "no broker acknowledged the record in %s: run it again",
                         MR_TOPIC_DEPLOYMENT);
}

struct mr_error mr_deployment_append(struct mr_log *log, const struct mr_deployment *deployment,
                                     enum mr_deployment_record kind, uint32_t wait_ms)
{
    char key[2 * MR_LOG_ID_SIZE + 1];
    struct mr_buffer value = {0};
    mr_hex(mr_bytes_of(deployment->log_id.bytes, MR_LOG_ID_SIZE), key);
    struct mr_error error = mr_deployment_encode(deployment, &value);
    if (!mr_failed(error)) {
        const struct mr_log_output output = {
            .topic = MR_TOPIC_DEPLOYMENT,
            .has_key = true,
            .has_value = true,
            .key = mr_bytes_of_text(kind == MR_DEPLOYMENT_REPLACED ? KEY_REPLACED : key),
            .value = mr_buffer_view(&value),
        };
        error = log->ops->produce(log, &output);
    }
    mr_buffer_deinit(&value);
    return mr_failed(error) ? error : delivered(log, wait_ms);
}
