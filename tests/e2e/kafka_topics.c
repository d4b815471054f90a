/*
 * What the tests of the topics do to brokers behind Millrace's back:
 *   mr_kafka_topics BROKERS delete TOPIC...
 *   mr_kafka_topics BROKERS create TOPIC PARTITIONS
 *   mr_kafka_topics BROKERS produce TOPIC PARTITION BYTES CODEC
 * Deleting what is not there is fine; produce writes one record of zeros, and exits 3 when it is too large.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 30000, TOPICS_MAX = 32, TOO_LARGE = 3, USAGE = 64 };

static int failed(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka;
    (void)opaque;
    *(rd_kafka_resp_err_t *)message->_private = message->err;
}

static rd_kafka_t *client(const char *brokers, const char *codec)
{
    static const char no_limit[] = "100000000"; /* the brokers' is what counts */
    char why[256] = "";
    rd_kafka_conf_t *const conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *kafka = NULL;
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why) == RD_KAFKA_CONF_OK &&
        rd_kafka_conf_set(conf, "message.max.bytes", no_limit, why, sizeof why) == RD_KAFKA_CONF_OK &&
        rd_kafka_conf_set(conf, "compression.codec", codec, why, sizeof why) == RD_KAFKA_CONF_OK) {
        kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    }
    if (kafka == NULL) {
        rd_kafka_conf_destroy(conf);
        (void)failed("client", why);
    }
    return kafka;
}

/* The outcome of the one request under way. */
static int answered(rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *const event = rd_kafka_queue_poll(queue, WAIT_MS);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return failed("request", event == NULL ? "no answer" : rd_kafka_event_error_string(event));
    }
    size_t count = 0;
    const rd_kafka_topic_result_t **const results =
        rd_kafka_event_type(event) == RD_KAFKA_EVENT_DELETETOPICS_RESULT
            ? rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count)
            : rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    int code = 0;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            code = failed(rd_kafka_topic_result_name(results[i]), rd_kafka_topic_result_error_string(results[i]));
        }
    }
    rd_kafka_event_destroy(event);
    return code;
}

static int delete_topics(rd_kafka_t *kafka, rd_kafka_queue_t *queue, int count, char *names[])
{
    rd_kafka_DeleteTopic_t *topics[TOPICS_MAX];
    for (int i = 0; i < count; i++) {
        topics[i] = rd_kafka_DeleteTopic_new(names[i]);
    }
    rd_kafka_DeleteTopics(kafka, topics, (size_t)count, NULL, queue);
    rd_kafka_DeleteTopic_destroy_array(topics, (size_t)count);
    return answered(queue);
}

static int create_topic(rd_kafka_t *kafka, rd_kafka_queue_t *queue, char *arguments[])
{
    char why[256] = "";
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(arguments[0], (int)strtol(arguments[1], NULL, 10), 1, why, sizeof why);
    if (topic == NULL) {
        return failed(arguments[0], why);
    }
    rd_kafka_CreateTopics(kafka, &topic, 1, NULL, queue);
    rd_kafka_NewTopic_destroy(topic);
    return answered(queue);
}

static int produce(rd_kafka_t *kafka, char *arguments[])
{
    const int partition = (int)strtol(arguments[1], NULL, 10);
    const size_t size = strtoul(arguments[2], NULL, 10);
    rd_kafka_resp_err_t outcome = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    void *const value = calloc(size, 1);
    rd_kafka_topic_t *const topic = rd_kafka_topic_new(kafka, arguments[0], NULL);
    if (value == NULL || topic == NULL ||
        rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value, size, NULL, 0, &outcome) != 0) {
        return failed(arguments[0], "cannot produce");
    }
    (void)rd_kafka_flush(kafka, WAIT_MS);
    rd_kafka_topic_destroy(topic);
    free(value);
    if (outcome == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    (void)failed(arguments[0], rd_kafka_err2name(outcome));
    return outcome == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? TOO_LARGE : 1;
}

static int carry_out(rd_kafka_t *kafka, rd_kafka_queue_t *queue, int argc, char *argv[])
{
    if (argc > 3 && argc < TOPICS_MAX && strcmp(argv[2], "delete") == 0) {
        return delete_topics(kafka, queue, argc - 3, argv + 3);
    }
    if (argc == 5 && strcmp(argv[2], "create") == 0) {
        return create_topic(kafka, queue, argv + 3);
    }
    if (argc == 7 && strcmp(argv[2], "produce") == 0) {
        return produce(kafka, argv + 3);
    }
    return USAGE;
}

int main(int argc, char *argv[])
{
    rd_kafka_t *const kafka = argc < 3 ? NULL : client(argv[1], argc == 7 ? argv[6] : "none");
    if (kafka == NULL) {
        return USAGE;
    }
    rd_kafka_queue_t *const queue = rd_kafka_queue_new(kafka);
    const int code = carry_out(kafka, queue, argc, argv);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(kafka);
    return code;
}
