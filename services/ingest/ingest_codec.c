#include "ingest_codec.h"

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/spec.h"
#include "millrace/wire.h"

#include <stdio.h>
#include <string.h>

typedef Millrace__Batch__V1__Submitted submitted_message;

static void fault_at(struct ingest_record *record, const char *path, const char *expected)
{
    (void)snprintf(record->fault.path, sizeof record->fault.path, "%s", path);
    (void)snprintf(record->fault.expected, sizeof record->fault.expected, "%s", expected);
}

static bool token_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
           c == '.' || c == ':';
}

static void read_replay(const struct mr_log_record *record, struct ingest_record *out)
{
    struct mr_bytes text;
    out->facts.replay = INGEST_REPLAY_NONE;
    if (!mr_log_header_find(record, "mr_replay_of", &text)) {
        return;
    }
    out->facts.replay = INGEST_REPLAY_MALFORMED;
    if (text.size == 0 || text.size >= INGEST_REPLAY_ID_SIZE) {
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (!token_byte(text.data[i])) {
            return;
        }
    }
    memcpy(out->replay_of, text.data, text.size);
    out->replay_of[text.size] = '\0';
    out->facts.replay = INGEST_REPLAY_NAMED;
}

/* Copies an id that obeys rule O10; of another one the first fault is kept. */
static void read_id(struct ingest_record *out, const char *id, const char *path, char ret_id[MR_ID_SIZE])
{
    if (mr_id_valid(mr_bytes_of_text(id))) {
        memcpy(ret_id, id, strlen(id) + 1);
    } else if (out->facts.ids_valid) {
        out->facts.ids_valid = false;
        fault_at(out, path, "1 to 63 characters of a-z 0-9 . _ -, beginning with a letter or digit");
    }
}

/* Ids that become no key, object or path may be any text that is short enough to keep. */
static bool check_label(struct ingest_record *out, const char *id, const char *path)
{
    const size_t size = strlen(id);
    if (size > 0 && size <= MR_ID_MAX) {
        return true;
    }
    if (out->facts.ids_valid) {
        out->facts.ids_valid = false;
        fault_at(out, path, "1 to 63 bytes of text");
    }
    return false;
}

static void read_run_started(const Millrace__Run__V1__RunStarted *wire, struct ingest_record *out)
{
    struct mr_run_spec spec;
    struct mr_field_fault fault;
    out->facts.body = INGEST_BODY_RUN_STARTED;
    read_id(out, wire->model_id, "run_started.model_id", out->model_id);
    read_id(out, wire->run_id, "run_started.run_id", out->run_id);
    if (!out->facts.ids_valid) {
        return;
    }
    if (wire->spec == NULL) {
        fault_at(out, "run_started.spec", "a run spec");
        return;
    }
    out->facts.of.run_started.job =
        wire->spec->job_case == MILLRACE__RUN__V1__RUN_SPEC__JOB_LABELLED ? INGEST_JOB_LABELLED : INGEST_JOB_PRICING;
    if (mr_failed(mr_run_spec_decode(wire->spec, &spec, &fault))) {
        (void)snprintf(out->fault.path, sizeof out->fault.path, "run_started.spec%s%.100s",
                       fault.path[0] == '\0' ? "" : ".", fault.path);
        memcpy(out->fault.expected, fault.expected, sizeof out->fault.expected);
        return;
    }
    out->facts.of.run_started.spec_valid = true;
}

/* Counts a tensor's inline bytes. *ret_empty: it has no rows and nothing that would fill any. */
static void read_tensor(const Millrace__Common__V1__Tensor *tensor, struct ingest_record *out, bool *ret_empty)
{
    uint64_t bytes = 0;
    if (tensor->content_case == MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA) {
        bytes = tensor->data.len;
        out->inline_bytes += bytes;
    } else if (tensor->content_case == MILLRACE__COMMON__V1__TENSOR__CONTENT_CLAIM) {
        bytes = tensor->claim->size;
    }
    *ret_empty = tensor->n_shape > 0 && tensor->shape[0] == 0 && bytes == 0;
}

static enum ingest_payload read_contracts(const Millrace__Batch__V1__Contracts *wire, struct ingest_record *out)
{
    if (wire->rows == NULL) {
        fault_at(out, "batch.contracts.rows", "a tensor");
        return INGEST_PAYLOAD_NONE;
    }
    read_tensor(wire->rows, out, &out->facts.of.batch.empty);
    return INGEST_PAYLOAD_CONTRACTS;
}

static enum ingest_payload read_labelled(const Millrace__Batch__V1__Labelled *wire, struct ingest_record *out)
{
    bool no_features, no_targets;
    if (wire->features == NULL || wire->targets == NULL) {
        fault_at(out, wire->features == NULL ? "batch.labelled.features" : "batch.labelled.targets", "a tensor");
        return INGEST_PAYLOAD_NONE;
    }
    read_tensor(wire->features, out, &no_features);
    read_tensor(wire->targets, out, &no_targets);
    out->facts.of.batch.empty = no_features && no_targets;
    return INGEST_PAYLOAD_LABELLED;
}

static enum ingest_payload read_payload(const Millrace__Batch__V1__Batch *wire, struct ingest_record *out)
{
    /* An if-chain: the generated enum has a member that is no payload. */
    if (wire->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_CONTRACTS) {
        return read_contracts(wire->contracts, out);
    }
    if (wire->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED) {
        return read_labelled(wire->labelled, out);
    }
    if (wire->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE) {
        out->facts.of.batch.empty = wire->sobol_range->count == 0;
        return INGEST_PAYLOAD_SOBOL_RANGE;
    }
    fault_at(out, "batch.payload", "contracts, sobol_range or labelled");
    return INGEST_PAYLOAD_NONE;
}

static void read_batch(const Millrace__Batch__V1__Batch *wire, const struct ingest_limits *limits,
                       struct ingest_record *out)
{
    out->facts.body = INGEST_BODY_BATCH;
    read_id(out, wire->model_id, "batch.model_id", out->model_id);
    read_id(out, wire->run_id, "batch.run_id", out->run_id);
    (void)check_label(out, wire->batch_id, "batch.batch_id");
    if (wire->producer != NULL) {
        if (check_label(out, wire->producer->producer_id, "batch.producer.producer_id")) {
            memcpy(out->producer_id, wire->producer->producer_id, strlen(wire->producer->producer_id) + 1);
        }
        out->facts.of.batch.has_producer = true;
        out->facts.of.batch.epoch = wire->producer->epoch;
        out->facts.of.batch.sequence = wire->producer->sequence;
    }
    if (!out->facts.ids_valid) {
        return;
    }
    out->facts.of.batch.payload = read_payload(wire, out);
    out->facts.of.batch.inline_fits = out->inline_bytes <= limits->max_inline_bytes;
}

static void read_run_stopped(const Millrace__Run__V1__RunStopped *wire, struct ingest_record *out)
{
    out->facts.body = INGEST_BODY_RUN_STOPPED;
    read_id(out, wire->model_id, "run_stopped.model_id", out->model_id);
    read_id(out, wire->run_id, "run_stopped.run_id", out->run_id);
    if (!out->facts.ids_valid) {
        return;
    }
    out->facts.of.run_stopped.outcome_valid = wire->outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_COMPLETED ||
                                              wire->outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_FAILED ||
                                              wire->outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_CANCELLED;
    if (!out->facts.of.run_stopped.outcome_valid) {
        fault_at(out, "run_stopped.outcome", "completed, failed or cancelled");
    }
}

/* The body of a value: what Submitted holds. */
static struct mr_error read_body(struct mr_bytes value, const struct ingest_limits *limits, struct mr_arena *arena,
                                 struct ingest_record *out)
{
    out->facts.body = INGEST_BODY_UNDECODABLE;
    out->facts.ids_valid = true;
    if (!mr_message_wire_check(&millrace__batch__v1__submitted__descriptor, value, &out->fault)) {
        return mr_ok();
    }
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const submitted_message *wire = millrace__batch__v1__submitted__unpack(&allocator, value.size, value.data);
    if (wire == NULL) {
        if (memory.out) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a submitted value of %zu bytes", value.size);
        }
        fault_at(out, "", "a millrace.batch.v1.Submitted: a field has another wire type");
        return mr_ok();
    }
    if (mr_message_has_unknown(&wire->base, &out->fault)) {
        out->facts.body = INGEST_BODY_UNKNOWN_FIELD;
    } else if (wire->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED) {
        read_run_started(wire->run_started, out);
    } else if (wire->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH) {
        read_batch(wire->batch, limits, out);
    } else if (wire->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED) {
        read_run_stopped(wire->run_stopped, out);
    } else {
        out->facts.body = INGEST_BODY_NO_EVENT;
        fault_at(out, "", "run_started, batch or run_stopped");
    }
    return mr_ok();
}

/* Of value and headers: what is accepted is written whole, and must fit into a record again. A header in a message has
 * up to three tags with their lengths, more than it takes in a record: a great many empty ones would not fit. */
static uint64_t bytes_of(const struct mr_log_record *record)
{
    const uint64_t around_header = 16;
    uint64_t size = record->value.size;
    for (size_t i = 0; i < record->header_count; i++) {
        size += around_header + strlen(record->headers[i].name) + record->headers[i].value.size;
    }
    return size;
}

struct mr_error ingest_codec_read(const struct mr_log_record *record, const struct ingest_limits *limits,
                                  struct mr_arena *arena, struct ingest_record *ret_record)
{
    struct ingest_record out;
    memset(&out, 0, sizeof out);
    out.record_bytes = bytes_of(record);
    read_replay(record, &out);
    if (!record->has_value || record->value.size == 0) {
        out.facts.body = INGEST_BODY_NONE;
    } else if (out.record_bytes > limits->max_record_bytes) {
        out.facts.body = INGEST_BODY_TOO_LARGE;
    } else {
        MR_TRY(read_body(record->value, limits, arena, &out));
    }
    out.facts.key_matches = record->has_key && mr_bytes_equal(record->key, mr_bytes_of_text(out.model_id));
    out.partition_expected = record->has_key ? mr_partition_of(record->key, limits->partitions) : record->partition;
    out.facts.partition_matches = out.partition_expected == record->partition;
    *ret_record = out;
    return mr_ok();
}

static bool accepted_body(enum ingest_body body)
{
    return body == INGEST_BODY_RUN_STARTED || body == INGEST_BODY_BATCH || body == INGEST_BODY_RUN_STOPPED;
}

struct mr_error ingest_codec_fold(const struct mr_log_record *output, struct mr_arena *arena,
                                  struct ingest_record *ret_record)
{
    /* What was accepted once stays so, whatever the limits are by now. */
    const struct ingest_limits none = {.max_record_bytes = UINT64_MAX, .max_inline_bytes = UINT64_MAX};
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    struct ingest_record out;
    memset(&out, 0, sizeof out);
    const Millrace__Batch__V1__Ingested *wire =
        output->has_value ? millrace__batch__v1__ingested__unpack(&allocator, output->value.size, output->value.data)
                          : NULL;
    if (wire == NULL && memory.out) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a record of %zu bytes", output->value.size);
    }
    if (wire != NULL && wire->submitted.len > 0) {
        MR_TRY(read_body(mr_wire_view(wire->submitted), &none, arena, &out));
    }
    if (wire == NULL || !accepted_body(out.facts.body) || !out.facts.ids_valid ||
        strlen(wire->replay_of) >= sizeof out.replay_of) {
        return mr_error_make(MR_ERROR_FATAL, "corrupt_output", 0,
                             "%s partition %u offset %llu is no record that ingest accepted: %.60s", output->topic,
                             (unsigned)output->partition, (unsigned long long)output->offset, out.fault.path);
    }
    memcpy(out.replay_of, wire->replay_of, strlen(wire->replay_of) + 1);
    out.facts.replay = out.replay_of[0] == '\0' ? INGEST_REPLAY_NONE : INGEST_REPLAY_NAMED;
    *ret_record = out;
    return mr_ok();
}

static struct mr_error write_headers(const struct mr_log_record *submitted, struct mr_arena *arena,
                                     Millrace__Batch__V1__Ingested *wire)
{
    const size_t count = submitted->header_count;
    Millrace__Batch__V1__SubmittedHeader *headers = mr_arena_alloc(arena, (count + 1) * sizeof *headers);
    wire->headers = mr_arena_alloc(arena, (count + 1) * sizeof *wire->headers);
    if (headers == NULL || wire->headers == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%zu headers", count);
    }
    for (size_t i = 0; i < count; i++) {
        millrace__batch__v1__submitted_header__init(&headers[i]);
        headers[i].name = mr_wire_lend(mr_bytes_of_text(submitted->headers[i].name));
        headers[i].value = mr_wire_lend(submitted->headers[i].value);
        wire->headers[i] = &headers[i];
    }
    wire->n_headers = count;
    return mr_ok();
}

struct mr_error ingest_codec_write(const struct mr_stage_stamp *stamp, const struct mr_log_record *submitted,
                                   const char *replay_of, struct mr_arena *arena, struct mr_bytes *ret_value)
{
    struct mr_wire_stamp wire_stamp;
    Millrace__Batch__V1__Ingested wire;
    millrace__batch__v1__ingested__init(&wire);
    mr_wire_stamp_init(&wire_stamp, stamp);
    wire.stamp = &wire_stamp.message;
    wire.submitted = mr_wire_lend(submitted->value);
    wire.replay_of = mr_wire_text(replay_of);
    MR_TRY(write_headers(submitted, arena, &wire));
    return mr_wire_pack(&wire.base, arena, ret_value);
}
