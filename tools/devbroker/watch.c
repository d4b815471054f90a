#include "watch.h"

#include <stdlib.h>
#include <string.h>

enum {
    BATCH_OVERHEAD_BYTES = 61, /* record batch, version 2 */
    RECORD_OVERHEAD_BYTES =
        36, /* length, attributes, deltas, key size, value size, header count: each at its longest */
    HEADER_OVERHEAD_BYTES = 10, /* two sizes */
};

uint64_t devbroker_weight_bytes(const struct mr_log_record *record)
{
    uint64_t bytes = BATCH_OVERHEAD_BYTES + RECORD_OVERHEAD_BYTES + record->key.size + record->value.size;
    for (size_t i = 0; i < record->header_count; i++) {
        bytes += HEADER_OVERHEAD_BYTES + strlen(record->headers[i].name) + record->headers[i].value.size;
    }
    return bytes;
}

static struct devbroker_watched *find(const struct devbroker_watch *watch, const char *topic)
{
    for (size_t i = 0; i < watch->count; i++) {
        if (strcmp(watch->topics[i].topic, topic) == 0) {
            return &watch->topics[i];
        }
    }
    return NULL;
}

bool devbroker_watch_knows(const struct devbroker_watch *watch, const char *topic)
{
    return find(watch, topic) != NULL;
}

struct mr_error devbroker_watch_topic(struct devbroker_watch *watch, const char *topic, uint32_t partitions)
{
    struct devbroker_watched made = {.topic = strdup(topic), .partitions = partitions};
    made.loads = calloc(partitions, sizeof *made.loads);
    struct devbroker_watched *const topics = realloc(watch->topics, (watch->count + 1) * sizeof *topics);
    if (topics != NULL) {
        watch->topics = topics;
    }
    if (made.topic == NULL || made.loads == NULL || topics == NULL) {
        free(made.topic);
        free(made.loads);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "watching %s", topic);
    }
    watch->topics[watch->count++] = made;
    return mr_ok();
}

struct devbroker_load devbroker_watch_add(struct devbroker_watch *watch, const struct mr_log_record *record)
{
    struct devbroker_watched *const topic = find(watch, record->topic);
    MR_ASSERT(topic != NULL && record->partition < topic->partitions);
    struct devbroker_load *const load = &topic->loads[record->partition];
    load->bytes += devbroker_weight_bytes(record);
    load->records++;
    return *load;
}

void devbroker_watch_deinit(struct devbroker_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        free(watch->topics[i].topic);
        free(watch->topics[i].loads);
    }
    free(watch->topics);
    *watch = (struct devbroker_watch){0};
}
