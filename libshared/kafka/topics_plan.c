/* What Millrace's topics should be, and what is otherwise. Pure. */
#include "millrace/topics_create.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert(MR_TOPIC_SUBMITTED_BYTES_MAX + 1048576 <= MR_TOPIC_BATCH_BYTES_MAX - 65536,
               "a dead letter holds what was submitted, and 1 MiB of headers");

enum setting {
    CLEANUP = 0,
    RETENTION_MS,
    RETENTION_BYTES,
    BATCH_BYTES,
    IN_SYNC_REPLICAS,
    TIMESTAMPS,
    UNCLEAN_ELECTION,
    COMPRESSION,
    SEGMENT_BYTES
};

const char *const mr_topic_setting_names[MR_TOPIC_SETTINGS_COUNT] = {
    [CLEANUP] = "cleanup.policy",
    [RETENTION_MS] = "retention.ms",
    [RETENTION_BYTES] = "retention.bytes",
    [BATCH_BYTES] = "max.message.bytes",
    [IN_SYNC_REPLICAS] = "min.insync.replicas",
    [TIMESTAMPS] = "message.timestamp.type",
    [UNCLEAN_ELECTION] = "unclean.leader.election.enable",
    [COMPRESSION] = "compression.type",
    [SEGMENT_BYTES] = "segment.bytes",
};

const char *mr_topic_name(size_t index)
{
    MR_ASSERT(index < MR_TOPICS_COUNT);
    return index == MR_TOPICS_COUNT - 1 ? MR_TOPIC_DEPLOYMENT : mr_topics[index];
}

uint32_t mr_topic_partitions(const struct mr_topics_plan *plan, size_t index)
{
    return index == MR_TOPICS_COUNT - 1 ? 1 : plan->partitions;
}

static void set(struct mr_topic_values *values, enum setting setting, const char *text)
{
    (void)snprintf(values->text[setting], MR_TOPIC_VALUE_SIZE, "%s", text);
}

static void set_hours(struct mr_topic_values *values, uint64_t hours)
{
    if (hours > 0) {
        (void)snprintf(values->text[RETENTION_MS], MR_TOPIC_VALUE_SIZE, "%" PRIu64, hours * 3600 * 1000);
    }
}

void mr_topic_plan_values(const struct mr_topics_plan *plan, size_t index, struct mr_topic_values *ret_values)
{
    const char *const topic = mr_topic_name(index);
    const bool submitted = strcmp(topic, MR_TOPIC_SUBMITTED) == 0;
    struct mr_topic_values values;
    memset(&values, 0, sizeof values);
    const bool folds = strcmp(topic, MR_TOPIC_FOLDS) == 0;
    set(&values, CLEANUP, folds || strcmp(topic, MR_TOPIC_DEPLOYMENT) == 0 ? "compact" : "delete");
    set(&values, RETENTION_MS, "-1");
    set(&values, RETENTION_BYTES, "-1");
    (void)snprintf(values.text[BATCH_BYTES], MR_TOPIC_VALUE_SIZE, "%d",
                   (int)(submitted ? MR_TOPIC_SUBMITTED_BYTES_MAX : MR_TOPIC_BATCH_BYTES_MAX));
    set(&values, IN_SYNC_REPLICAS, plan->replication >= 3 ? "2" : "1");
    set(&values, TIMESTAMPS, "CreateTime");
    set(&values, UNCLEAN_ELECTION, "false");
    /* The brokers measure a batch as it is stored: compressed, it could unfold to a record that no dead letter holds.
     */
    set(&values, COMPRESSION, submitted ? "uncompressed" : "producer");
    /* The segment that is written to is never compacted, and who starts reads all of it: small for what is read so. */
    set(&values, SEGMENT_BYTES, folds ? "2097152" : "1073741824");
    if (submitted) {
        set_hours(&values, plan->submitted_retention_hours);
    } else if (strcmp(topic, MR_TOPIC_VALIDATED) == 0) {
        set_hours(&values, plan->validated_retention_hours);
    }
    *ret_values = values;
}

static struct mr_topic_difference *add(struct mr_topic_differences *differences, size_t topic, const char *what)
{
    MR_ASSERT(differences->count < MR_COUNT_OF(differences->list));
    struct mr_topic_difference *const d = &differences->list[differences->count++];
    memset(d, 0, sizeof *d);
    d->topic = topic;
    d->what = what;
    return d;
}

static void compare_counts(struct mr_topic_differences *differences, size_t topic, const char *what, uint32_t wanted,
                           uint32_t found)
{
    if (wanted == found) {
        return;
    }
    struct mr_topic_difference *const d = add(differences, topic, what);
    (void)snprintf(d->wanted, sizeof d->wanted, "%" PRIu32, wanted);
    (void)snprintf(d->found, sizeof d->found, "%" PRIu32, found);
}

static void compare_values(struct mr_topic_differences *differences, size_t topic, const struct mr_topic_values *wanted,
                           const struct mr_topic_values *found)
{
    for (size_t i = 0; i < MR_TOPIC_SETTINGS_COUNT; i++) {
        if (strcmp(wanted->text[i], found->text[i]) != 0) {
            struct mr_topic_difference *const d = add(differences, topic, mr_topic_setting_names[i]);
            memcpy(d->wanted, wanted->text[i], sizeof d->wanted);
            memcpy(d->found, found->text[i], sizeof d->found);
        }
    }
}

void mr_topics_compare(const struct mr_topics_plan *plan, const struct mr_topics_found *found,
                       struct mr_topic_differences *ret_differences)
{
    ret_differences->count = 0;
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        const struct mr_topic_found *const topic = &found->topics[i];
        if (!topic->exists) {
            continue;
        }
        compare_counts(ret_differences, i, "partitions", mr_topic_partitions(plan, i), topic->partitions);
        compare_counts(ret_differences, i, "replication", plan->replication, topic->replication);
        if (topic->has_values) {
            struct mr_topic_values wanted;
            mr_topic_plan_values(plan, i, &wanted);
            compare_values(ret_differences, i, &wanted, &topic->values);
        }
    }
}
