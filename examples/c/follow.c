/*
 * Follows the versions of a model: prints each as one line, and ends after COUNT of them.
 *
 *   example-follow BROKERS MODEL COUNT
 *
 * Delivery is at least once: a version may come twice, with the same ce_id. One that was seen is dropped.
 */
#include "millrace/version/v1/version.pb-c.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPIC "millrace.versions.v1"

enum { POLL_MS = 1000, METADATA_MS = 10000, SEEN_MAX = 1024, ID_SIZE = 128 };

static char seen[SEEN_MAX][ID_SIZE];
static size_t seen_count;

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        (void)fprintf(stderr, "%s\n", why);
        exit(64);
    }
}

/* All partitions from their beginning, without a consumer group: whoever follows keeps his own place. */
static void assign_all(rd_kafka_t *consumer)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, TOPIC, NULL);
    const rd_kafka_resp_err_t error = rd_kafka_metadata(consumer, 0, topic, &metadata, METADATA_MS);
    rd_kafka_topic_destroy(topic);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)fprintf(stderr, "no answer from the broker: %s\n", rd_kafka_err2str(error));
        exit(69);
    }
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(4);
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
        rd_kafka_topic_partition_list_add(partitions, TOPIC, metadata->topics[0].partitions[i].id)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_metadata_destroy(metadata);
    (void)rd_kafka_assign(consumer, partitions);
    rd_kafka_topic_partition_list_destroy(partitions);
}

/* True: this ce_id has not come before. */
static int is_new(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t size = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, "ce_id", &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR || size >= ID_SIZE) {
        return 1;
    }
    char id[ID_SIZE] = "";
    memcpy(id, value, size);
    for (size_t i = 0; i < seen_count && i < SEEN_MAX; i++) {
        if (strcmp(seen[i], id) == 0) {
            return 0;
        }
    }
    /* The oldest makes room: repeats follow each other closely. */
    memcpy(seen[seen_count++ % SEEN_MAX], id, sizeof id);
    return 1;
}

/* 1: a new version of the model was printed. */
static int print_version(const rd_kafka_message_t *message, const char *model)
{
    Millrace__Version__V1__VersionPublished *event =
        millrace__version__v1__version_published__unpack(NULL, message->len, message->payload);
    if (event == NULL || event->version == NULL) {
        (void)fprintf(stderr, "offset %lld: not a VersionPublished\n", (long long)message->offset);
        millrace__version__v1__version_published__free_unpacked(event, NULL);
        return 0;
    }
    const Millrace__Version__V1__Version *version = event->version;
    const int printed = strcmp(version->model_id, model) == 0 && is_new(message);
    if (printed) {
        printf("%s %s step %llu loss %g: ", version->version_id, version->semantic_version,
               (unsigned long long)version->step, (double)version->loss);
        for (size_t i = 0; i < version->content_hash.len; i++) {
            printf("%02x", version->content_hash.data[i]);
        }
        printf("\n");
        (void)fflush(stdout);
    }
    millrace__version__v1__version_published__free_unpacked(event, NULL);
    return printed;
}

int main(int argc, char *argv[])
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: example-follow BROKERS MODEL COUNT\n");
        return 64;
    }
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "group.id", "example-follow"); /* librdkafka wants one; nothing is committed */
    set(conf, "enable.auto.commit", "false");
    /* The development broker lets an empty fetch wait this long. */
    set(conf, "fetch.wait.max.ms", "10");
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (consumer == NULL) {
        (void)fprintf(stderr, "%s\n", why);
        return 64;
    }
    (void)rd_kafka_poll_set_consumer(consumer);
    assign_all(consumer);
    for (long left = strtol(argv[3], NULL, 10); left > 0;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, POLL_MS);
        if (message == NULL) {
            continue;
        }
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            (void)fprintf(stderr, "%s\n", rd_kafka_message_errstr(message));
        } else {
            left -= print_version(message, argv[2]);
        }
        rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return 0;
}
