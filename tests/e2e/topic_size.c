/*
 * Prints how many records a topic holds, over all partitions: what a follower that drops repeated events cannot see.
 *
 *   mr_topic_size BROKERS TOPIC
 */
#include "millrace/log_kafka.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void must(struct mr_error error, const char *what)
{
    if (mr_failed(error)) {
        fprintf(stderr, "%s: %s: %s\n", what, error.code, error.detail);
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fprintf(stderr, "mr_topic_size BROKERS TOPIC\n");
        return 64;
    }
    const struct mr_log_kafka_config config = {.brokers = argv[1],
                                               .client_id = "mr_topic_size",
                                               .mode = MR_LOG_ASSIGN,
                                               .development_broker = true,
                                               .consume = true};
    struct mr_log *log;
    uint32_t partitions;
    uint64_t size = 0;
    must(mr_log_kafka_open(&config, &log), "open");
    must(log->ops->partition_count(log, argv[2], &partitions), argv[2]);
    for (uint32_t i = 0; i < partitions; i++) {
        uint64_t low, high;
        must(log->ops->watermarks(log, argv[2], i, &low, &high), argv[2]);
        size += high - low;
    }
    log->ops->close(log);
    printf("%" PRIu64 "\n", size);
    return EXIT_SUCCESS;
}
