/* What a stage writes: outputs, dead letters and parked records, with their CloudEvents headers. */
#include "stage_internal.h"

#include "millrace/hash.h"
#include "millrace/retry/v1/retry.pb-c.h"
#include "millrace/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CE_ID_SIZE = 33, HEADERS_MAX = 64, STASH_MAX = 16384, STASH_WAIT_MS = 10 };

/* What a ce_id is the hash of. Every record has one, so no printf. */
struct name {
    char text[320];
    size_t size;
};

static void add_text(struct name *name, const char *text)
{
    const size_t size = strlen(text);
    MR_ASSERT(size < sizeof name->text - name->size);
    memcpy(name->text + name->size, text, size);
    name->size += size;
}

static void add_number(struct name *name, uint64_t number)
{
    char digits[21] = "";
    size_t first = sizeof digits - 1;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_text(name, digits + first);
}

/* Rule O9: of log id, partition, origin, stage, type and index, with a bar between them. */
static void ce_id_text(const struct mr_stage *stage, uint32_t partition, uint64_t origin, const char *type,
                       uint32_t index, char ret_text[CE_ID_SIZE])
{
    struct name name;
    mr_hex(mr_bytes_of(stage->env.deployment->log_id.bytes, MR_LOG_ID_SIZE), name.text);
    name.size = (size_t)2 * MR_LOG_ID_SIZE;
    add_text(&name, "|");
    add_number(&name, partition);
    add_text(&name, "|");
    add_number(&name, origin);
    add_text(&name, "|");
    add_text(&name, stage->spec.name);
    add_text(&name, "|");
    add_text(&name, type);
    add_text(&name, "|");
    add_number(&name, index);
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of(name.text, name.size));
    mr_hex(mr_bytes_of(hash.bytes, (CE_ID_SIZE - 1) / 2), ret_text);
}

static struct mr_error stash_one(struct mr_stage *stage)
{
    if (stage->stash_count == stage->stash_capacity) {
        const size_t capacity = stage->stash_capacity == 0 ? 256 : 2 * stage->stash_capacity;
        struct mr_log_event *stash =
            capacity > STASH_MAX ? NULL : realloc(stage->stash, capacity * sizeof *stage->stash);
        if (stash == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "producer_stuck", 0, "%zu events came while the producer was full",
                                 stage->stash_count);
        }
        stage->stash = stash;
        stage->stash_capacity = capacity;
    }
    const struct mr_log_event event = stage->env.log->ops->poll(stage->env.log, STASH_WAIT_MS);
    if (event.kind != MR_LOG_EVENT_QUIET) {
        stage->stash[stage->stash_count++] = event;
    }
    mr_stage_alive(stage);
    return mr_ok();
}

struct mr_error mr_stage_produce(struct mr_stage *stage, enum sending kind, const struct mr_log_output *output,
                                 struct item *item, struct lane *lane, uint64_t token)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    if (delivery == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a delivery");
    }
    *delivery =
        (struct delivery){.item = item, .lane = lane, .token = token, .sent_ticks_ms = mr_stage_ticks_ms(stage)};
    mr_folds_sent(stage, output, delivery);
    struct mr_log_output whole = *output;
    whole.token = (uint64_t)(uintptr_t)delivery;
    struct mr_error error = stage->env.log->ops->produce(stage->env.log, &whole);
    /* The producer is full: its answers make room. They are kept for the loop, which is not entered from within. */
    while (error.kind == MR_ERROR_TRANSIENT) {
        const struct mr_error stuck = stash_one(stage);
        error = mr_failed(stuck) ? stuck : stage->env.log->ops->produce(stage->env.log, &whole);
    }
    if (mr_failed(error)) {
        free(delivery);
        return error;
    }
    delivery->before = stage->deliveries.before;
    delivery->after = &stage->deliveries;
    delivery->before->after = delivery;
    stage->deliveries.before = delivery;
    if (item != NULL) {
        struct lane *sender = lane_of(item->pub.lane);
        item->pending++;
        sender->unacked++;
        sender->sending = kind;
    }
    return mr_ok();
}

struct headers {
    struct mr_log_header list[HEADERS_MAX];
    size_t count;
};

static void add(struct headers *headers, const char *name, struct mr_bytes value)
{
    MR_ASSERT(headers->count < HEADERS_MAX);
    headers->list[headers->count++] = (struct mr_log_header){name, value};
}

struct mr_error mr_stage_produce_output(struct mr_stage *stage, enum sending kind, const struct mr_lane *lane,
                                        uint64_t origin, int64_t time_ms, const struct mr_log_record *cause,
                                        const struct mr_stage_output *output, struct item *item, struct lane *emitter,
                                        uint64_t token)
{
    char id[CE_ID_SIZE], at[MR_CE_TIME_SIZE];
    struct headers headers;
    struct mr_bytes trace_parent;
    headers.count = 0;
    mr_ce_time_text(time_ms, at);
    ce_id_text(stage, lane->partition, origin, output->type, output->index, id);
    add(&headers, "ce_specversion", mr_bytes_of_text("1.0"));
    add(&headers, "ce_id", output->ce_id.size > 0 ? output->ce_id : mr_bytes_of_text(id));
    add(&headers, "ce_type", mr_bytes_of_text(output->type));
    add(&headers, "ce_source", mr_bytes_of_text(stage->source));
    add(&headers, "ce_time", mr_bytes_of_text(at));
    add(&headers, "content-type", mr_bytes_of_text("application/protobuf"));
    if (cause != NULL && mr_log_header_find(cause, "traceparent", &trace_parent)) {
        add(&headers, "traceparent", trace_parent);
    }
    for (size_t i = 0; i < output->header_count; i++) {
        add(&headers, output->headers[i].name, output->headers[i].value);
    }
    const struct mr_log_output whole = {
        .topic = output->topic,
        .partition = lane->partition,
        .has_key = true,
        .key = mr_bytes_of_text(lane->model_id),
        .has_value = true,
        .value = output->value,
        .headers = headers.list,
        .header_count = headers.count,
    };
    return mr_stage_produce(stage, kind, &whole, item, emitter, token);
}

static struct mr_bytes printed(struct mr_stage *stage, uint64_t number)
{
    char *text = mr_arena_alloc(&stage->arena, 24);
    MR_ASSERT(text != NULL);
    return mr_bytes_of(text, (size_t)snprintf(text, 24, "%" PRIu64, number));
}

/* The original key, value and headers byte for byte, and what happened to them. */
struct mr_error mr_stage_dead_letter(struct mr_stage *stage, struct item *item, const struct mr_verdict *verdict)
{
    const struct mr_log_record *record = &item->record;
    struct mr_log_header *list = mr_arena_alloc(&stage->arena, (record->header_count + 12) * sizeof *list);
    if (list == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "headers of a dead letter");
    }
    size_t count = 0;
    for (; count < record->header_count; count++) {
        list[count] = record->headers[count];
    }
    char id[CE_ID_SIZE];
    ce_id_text(stage, item->pub.lane->partition, item->pub.origin, "deadletter", 0, id);
    list[count++] = (struct mr_log_header){"mr_dlq_id", mr_bytes_of_text(id)};
    list[count++] = (struct mr_log_header){"mr_dlq_stage", mr_bytes_of_text(stage->spec.name)};
    list[count++] = (struct mr_log_header){"mr_dlq_reason", mr_bytes_of_text(verdict->reason)};
    list[count++] = (struct mr_log_header){"mr_dlq_detail", mr_bytes_of_text(verdict->detail)};
    list[count++] = (struct mr_log_header){"mr_dlq_attempt", printed(stage, item->pub.attempt + 1)};
    list[count++] = (struct mr_log_header){"mr_dlq_topic", mr_bytes_of_text(record->topic)};
    list[count++] = (struct mr_log_header){"mr_dlq_partition", printed(stage, record->partition)};
    list[count++] = (struct mr_log_header){"mr_dlq_offset", printed(stage, record->offset)};
    list[count++] = (struct mr_log_header){"mr_dlq_origin", printed(stage, item->pub.origin)};
    list[count++] = (struct mr_log_header){"mr_dlq_model", mr_bytes_of_text(item->pub.lane->model_id)};
    const struct mr_log_output whole = {
        .topic = MR_TOPIC_DEADLETTERS,
        .partition = item->pub.lane->partition,
        .has_key = record->has_key,
        .key = record->key,
        .has_value = record->has_value,
        .value = record->value,
        .headers = list,
        .header_count = count,
    };
    return mr_stage_produce(stage, SENDING_DEAD_LETTERS, &whole, item, NULL, 0);
}

static void fill_parked(struct mr_stage *stage, const struct mr_log_record *record, Millrace__Retry__V1__Parked *parked)
{
    parked->input_offset = record->offset;
    parked->timestamp_ms = record->timestamp_ms;
    parked->key = mr_wire_lend(record->key);
    parked->value = mr_wire_lend(record->value);
    parked->has_key = record->has_key;
    parked->has_value = record->has_value;
    const size_t count = record->header_count;
    Millrace__Retry__V1__Header *headers = mr_arena_alloc(&stage->arena, (count + 1) * sizeof *headers);
    parked->headers = mr_arena_alloc(&stage->arena, (count + 1) * sizeof *parked->headers);
    MR_ASSERT(headers != NULL && parked->headers != NULL);
    for (size_t i = 0; i < count; i++) {
        millrace__retry__v1__header__init(&headers[i]);
        headers[i].name = mr_wire_text(record->headers[i].name);
        headers[i].value = mr_wire_lend(record->headers[i].value);
        parked->headers[i] = &headers[i];
    }
    parked->n_headers = count;
}

struct mr_error mr_stage_park_write(struct mr_stage *stage, struct item *item, uint32_t attempt, int64_t due_ms,
                                    const char *detail)
{
    const struct mr_lane *lane = item->pub.lane;
    const struct mr_stage_stamp stamp = {.model_id = lane->model_id,
                                         .log_id = stage->env.deployment->log_id,
                                         .partition = lane->partition,
                                         .origin = item->pub.origin};
    struct mr_wire_stamp wire_stamp;
    Millrace__Retry__V1__RetryEntry entry;
    Millrace__Retry__V1__Parked parked;
    Millrace__Retry__V1__AttemptFailed marker;
    mr_wire_stamp_init(&wire_stamp, &stamp);
    millrace__retry__v1__retry_entry__init(&entry);
    millrace__retry__v1__parked__init(&parked);
    millrace__retry__v1__attempt_failed__init(&marker);
    entry.stamp = &wire_stamp.message;
    entry.attempt = attempt;
    entry.due_ms = due_ms;
    if (item->from_park) {
        marker.detail = mr_wire_text(detail);
        entry.body_case = MILLRACE__RETRY__V1__RETRY_ENTRY__BODY_ATTEMPT_FAILED;
        entry.attempt_failed = &marker;
    } else {
        fill_parked(stage, &item->record, &parked);
        entry.body_case = MILLRACE__RETRY__V1__RETRY_ENTRY__BODY_PARKED;
        entry.parked = &parked;
    }
    struct mr_stage_output output = {
        .topic = stage->spec.retry_topic,
        .type = "millrace.retry.v1.RetryEntry",
        .index = attempt,
    };
    MR_TRY(mr_wire_pack(&entry.base, &stage->arena, &output.value));
    if (!item->from_park) {
        MR_TRY(mr_park_offer(stage, lane_of(item->pub.lane), item->pub.origin, output.value));
    }
    return mr_stage_produce_output(stage, SENDING_RETRIES, lane, item->pub.origin, item->pub.time_ms, NULL, &output,
                                   item, NULL, 0);
}
