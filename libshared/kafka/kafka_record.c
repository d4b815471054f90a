#include "kafka_internal.h"

#include <stdlib.h>

struct mr_error kafka_held_new(rd_kafka_message_t *message, struct kafka_held **ret_held)
{
    rd_kafka_headers_t *headers = NULL;
    size_t count = 0;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        count = rd_kafka_header_cnt(headers);
    }
    struct kafka_held *const held = malloc(sizeof *held + count * sizeof held->headers[0]);
    if (held == NULL) {
        rd_kafka_message_destroy(message);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a record with %zu headers", count);
    }
    held->next = NULL;
    held->link = NULL;
    held->message = message;
    held->header_count = count;
    for (size_t i = 0; i < count; i++) {
        const void *value = NULL;
        size_t size = 0;
        const rd_kafka_resp_err_t err = rd_kafka_header_get_all(headers, i, &held->headers[i].name, &value, &size);
        MR_ASSERT(err == RD_KAFKA_RESP_ERR_NO_ERROR);
        held->headers[i].value = mr_bytes_of(value, size);
    }
    *ret_held = held;
    return mr_ok();
}

struct mr_log_record kafka_held_view(const struct kafka_held *held)
{
    const rd_kafka_message_t *const m = held->message;
    rd_kafka_timestamp_type_t type;
    const int64_t timestamp_ms = rd_kafka_message_timestamp(m, &type);
    return (struct mr_log_record){
        .topic = rd_kafka_topic_name(m->rkt),
        .partition = (uint32_t)m->partition,
        .offset = (uint64_t)m->offset,
        .timestamp_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? 0 : timestamp_ms,
        .has_key = m->key != NULL,
        .has_value = m->payload != NULL,
        .key = mr_bytes_of(m->key, m->key_len),
        .value = mr_bytes_of(m->payload, m->len),
        .headers = held->headers,
        .header_count = held->header_count,
    };
}

void kafka_held_free(struct kafka_held *held)
{
    if (held == NULL) {
        return;
    }
    if (held->link != NULL) {
        *held->link = held->next;
        if (held->next != NULL) {
            held->next->link = held->link;
        }
    }
    rd_kafka_message_destroy(held->message);
    free(held);
}
