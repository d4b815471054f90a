#include "kafka_internal.h"

#include <stdlib.h>
#include <string.h>

#define DEVELOPMENT_BROKER_TOPIC "millrace.devbroker"

void kafka_catalog_deinit(struct kafka_catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++) {
        free(catalog->topics[i].name);
    }
    free(catalog->topics);
    *catalog = (struct kafka_catalog){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kafka_topic *)a)->name, ((const struct kafka_topic *)b)->name);
}

static struct mr_error catalog_of_metadata(const struct rd_kafka_metadata *metadata, struct kafka_catalog *ret_catalog)
{
    const size_t count = (size_t)metadata->topic_cnt;
    struct kafka_catalog made = {.topics = calloc(count + 1, sizeof *made.topics)};
    if (made.topics == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the list of %zu topics", count);
    }
    for (size_t i = 0; i < count; i++) {
        const struct rd_kafka_metadata_topic *const topic = &metadata->topics[i];
        if (topic->partition_cnt == 0) {
            continue; /* being created or deleted */
        }
        made.topics[made.count].name = strdup(topic->topic);
        made.topics[made.count].partitions = (uint32_t)topic->partition_cnt;
        if (made.topics[made.count].name == NULL) {
            kafka_catalog_deinit(&made);
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the list of %zu topics", count);
        }
        made.count++;
    }
    qsort(made.topics, made.count, sizeof *made.topics, by_name);
    *ret_catalog = made;
    return mr_ok();
}

struct mr_error kafka_catalog_read(rd_kafka_t *handle, int wait_ms, struct kafka_catalog *catalog)
{
    const struct rd_kafka_metadata *metadata;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 1, NULL, &metadata, wait_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(code, "asking the broker for its topics", NULL);
    }
    struct kafka_catalog made;
    const struct mr_error error = catalog_of_metadata(metadata, &made);
    rd_kafka_metadata_destroy(metadata);
    if (mr_failed(error)) {
        return error;
    }
    kafka_catalog_deinit(catalog);
    *catalog = made;
    return mr_ok();
}

/* Each record that is produced asks: a cluster may have thousands of topics. */
const struct kafka_topic *kafka_catalog_find(const struct kafka_catalog *catalog, const char *topic)
{
    const struct kafka_topic wanted = {.name = (char *)(uintptr_t)topic};
    return catalog->count == 0 ? NULL
                               : bsearch(&wanted, catalog->topics, catalog->count, sizeof *catalog->topics, by_name);
}

struct mr_error kafka_partition_check(struct kafka_log *self, const char *topic, uint32_t partition)
{
    const struct kafka_topic *found = kafka_catalog_find(&self->catalog, topic);
    if (found == NULL || partition >= found->partitions) {
        MR_TRY(kafka_catalog_read(kafka_any_handle(self), KAFKA_CALL_WAIT_MS, &self->catalog));
        found = kafka_catalog_find(&self->catalog, topic);
    }
    if (found == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "unknown_topic", 0, "the broker has no topic %s", topic);
    }
    if (partition >= found->partitions) {
        return mr_error_make(MR_ERROR_REJECT, "unknown_topic", 0, "%s has %u partitions, there is no index %u", topic,
                             found->partitions, partition);
    }
    return mr_ok();
}

/* That the answer did not come says little: what librdkafka told meanwhile says why. A refusal weighs more than that a
 * broker is away. */
static struct mr_error error_told(rd_kafka_t *handle, struct mr_error error)
{
    rd_kafka_queue_t *const queue = rd_kafka_queue_get_main(handle);
    rd_kafka_event_t *event = NULL;
    while (error.kind == MR_ERROR_TRANSIENT && (event = rd_kafka_queue_poll(queue, 0)) != NULL) {
        const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR && code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
            error = kafka_error(code, "asking the broker for its topics", rd_kafka_event_error_string(event));
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return error;
}

struct mr_error mr_log_kafka_is_development(const char *brokers, const char *settings, uint32_t wait_ms, bool *ret_is)
{
    const struct mr_log_kafka_config config = {
        .brokers = brokers, .settings = settings, .client_id = "millrace-probe", .mode = MR_LOG_ASSIGN};
    rd_kafka_t *handle = NULL;
    MR_TRY(kafka_handle_open(&config, KAFKA_ROLE_QUERY, &handle));
    struct kafka_catalog catalog = {0};
    struct mr_error error = kafka_catalog_read(handle, (int)wait_ms, &catalog);
    if (!mr_failed(error)) {
        *ret_is = kafka_catalog_find(&catalog, DEVELOPMENT_BROKER_TOPIC) != NULL;
        kafka_catalog_deinit(&catalog);
    } else {
        error = error_told(handle, error);
    }
    rd_kafka_destroy(handle);
    return error;
}
