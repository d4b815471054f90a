#include "mock_cluster.h"

#include "mock_hooks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MARKER_TOPIC "millrace.devbroker" /* clients know the development broker by it */

enum { METADATA_WAIT_MS = 5000 };

struct devbroker_cluster {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *mock;
};

static void log_nothing(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle;
    (void)level;
    (void)facility;
    (void)text;
}

/* A signal that interrupts the cluster's thread ends it, so its threads must not take any: they inherit the mask. */
static rd_kafka_t *host_new(rd_kafka_conf_t *conf, char *why, size_t size)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rd_kafka_t *const host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, size);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return host;
}

static struct mr_error host_open(rd_kafka_t **ret_host)
{
    char why[256];
    rd_kafka_conf_t *const conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, log_nothing);
    (void)rd_kafka_conf_set(conf, "client.id", "millrace-devbroker", why, sizeof why);
    /* Hosts the cluster and is connected to it. */
    if (rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", why, sizeof why) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return mr_error_make(MR_ERROR_FATAL, "mock_failed", 0, "librdkafka has no mock cluster: %s", why);
    }
    rd_kafka_t *const host = host_new(conf, why, sizeof why);
    if (host == NULL) {
        rd_kafka_conf_destroy(conf);
        return mr_error_make(MR_ERROR_FATAL, "mock_failed", 0, "the mock cluster did not start: %s", why);
    }
    *ret_host = host;
    return mr_ok();
}

/* The mock cluster aborts when it cannot bind, so find out before. */
static struct mr_error port_check(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool good = probe >= 0 && setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                      bind(probe, (const struct sockaddr *)&address, sizeof address) == 0;
    const int why = errno;
    if (probe >= 0) {
        (void)close(probe);
    }
    return good ? mr_ok() : mr_error_make(MR_ERROR_FATAL, "port_in_use", why, "127.0.0.1:%u: %s", port, strerror(why));
}

struct mr_error devbroker_cluster_open(uint16_t port, struct devbroker_cluster **ret_cluster)
{
    if (port != 0) {
        MR_TRY(port_check(port));
    }
    struct devbroker_cluster *const made = calloc(1, sizeof *made);
    if (made == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the mock cluster");
    }
    devbroker_fix_port(port);
    devbroker_hurry(true);
    const struct mr_error error = host_open(&made->host);
    devbroker_hurry(false);
    if (mr_failed(error)) {
        free(made);
        return error;
    }
    made->mock = rd_kafka_handle_mock_cluster(made->host);
    *ret_cluster = made;
    return mr_ok();
}

const char *devbroker_cluster_address(const struct devbroker_cluster *cluster)
{
    return rd_kafka_mock_cluster_bootstraps(cluster->mock);
}

static struct mr_error create(struct devbroker_cluster *cluster, const char *topic, uint32_t partitions)
{
    const rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(cluster->mock, topic, (int)partitions, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return mr_error_make(MR_ERROR_FATAL, "mock_failed", code, "topic %s: %s", topic, rd_kafka_err2str(code));
    }
    return mr_ok();
}

static struct mr_error create_all(struct devbroker_cluster *cluster, uint32_t partitions)
{
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        MR_TRY(create(cluster, mr_topics[i], partitions));
    }
    MR_TRY(create(cluster, MR_TOPIC_DEPLOYMENT, 1));
    return create(cluster, MARKER_TOPIC, 1);
}

struct mr_error devbroker_cluster_create(struct devbroker_cluster *cluster, uint32_t partitions)
{
    devbroker_hurry(true);
    const struct mr_error error = create_all(cluster, partitions);
    devbroker_hurry(false);
    return error;
}

static struct mr_error watch_one(struct mr_log *log, struct devbroker_watch *watch,
                                 const struct rd_kafka_metadata_topic *topic)
{
    if (devbroker_watch_knows(watch, topic->topic)) {
        return mr_ok();
    }
    MR_TRY(devbroker_watch_topic(watch, topic->topic, (uint32_t)topic->partition_cnt));
    for (uint32_t p = 0; p < (uint32_t)topic->partition_cnt; p++) {
        MR_TRY(log->ops->fetch(log, topic->topic, p, 0));
    }
    return mr_ok();
}

struct mr_error devbroker_cluster_watch(struct devbroker_cluster *cluster, struct mr_log *log,
                                        struct devbroker_watch *watch)
{
    const struct rd_kafka_metadata *metadata;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(cluster->host, 1, NULL, &metadata, METADATA_WAIT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return mr_error_make(MR_ERROR_FATAL, "mock_failed", code, "its own topics: %s", rd_kafka_err2str(code));
    }
    struct mr_error error = mr_ok();
    for (int i = 0; i < metadata->topic_cnt && !mr_failed(error); i++) {
        error = watch_one(log, watch, &metadata->topics[i]);
    }
    rd_kafka_metadata_destroy(metadata);
    return error;
}

void devbroker_cluster_close(struct devbroker_cluster *cluster)
{
    if (cluster != NULL) {
        devbroker_hurry(true);
        rd_kafka_destroy(cluster->host);
        devbroker_hurry(false);
        free(cluster);
    }
}
