/*
 * The creation of Millrace's topics on Apache Kafka, and of the deployment that they make up (rule O1).
 *
 * The protocol, which needs no lock and is safe against any crash and any number of creators at once:
 *
 * 1. A deployment that is there already is only compared; nothing of it is changed.
 * 2. Without one, the topics that are missing are created, all in one request; those of an earlier attempt are
 *    compared.
 * 3. Every topic is as planned and served by leaders. Another creator's deployment that is there by now is taken;
 *    without one, records that stages wrote are of a deployment that is lost, and nothing goes on.
 * 4. The creator appends a record with a log id of its own to millrace.deployment.v1: the last step. Its key is that
 *    log id, and of such records the first one counts (millrace/topics.h): the log's order decides between creators,
 *    and a record that comes late, or twice, changes nothing.
 * 5. The creator reads back which one that is.
 *
 * A crash at any point leaves either topics without a deployment, which no service starts on, or a deployment that is
 * whole. Running it again goes on from there.
 */
#ifndef MR_TOPICS_CREATE_H
#define MR_TOPICS_CREATE_H

#include "millrace/topics.h"

/* ---- What a topic should be. Pure. ------------------------------------------------------------------------ */

enum {
    MR_TOPICS_COUNT = 14, /* mr_topics, and the deployment's as the last */
    MR_TOPIC_SETTINGS_COUNT = 9,
    MR_TOPIC_VALUE_SIZE = 24,
    /* Services' producers write at most 4 MiB (log_kafka); the batch around a record takes some more. */
    MR_TOPIC_BATCH_BYTES_MAX = 4194304 + 65536,
    /* What a user managed to submit must fit into a dead letter, with the headers that say what happened to it. */
    MR_TOPIC_SUBMITTED_BYTES_MAX = 3145728,
};

struct mr_topics_plan {
    uint32_t partitions;  /* of every topic but the deployment's, which has 1 */
    uint32_t replication; /* from 3 on, two replicas must have a record before it is acknowledged */
    /* Hours that records are kept, by the times that they carry; 0: for ever. All other topics: for ever. */
    uint64_t submitted_retention_hours, validated_retention_hours;
};

/* Kafka's names of the settings, in the order in which values are given below. */
extern const char *const mr_topic_setting_names[MR_TOPIC_SETTINGS_COUNT];

struct mr_topic_values {
    char text[MR_TOPIC_SETTINGS_COUNT][MR_TOPIC_VALUE_SIZE];
};

/* The topic's name; index < MR_TOPICS_COUNT. */
const char *mr_topic_name(size_t index);
uint32_t mr_topic_partitions(const struct mr_topics_plan *plan, size_t index);
void mr_topic_plan_values(const struct mr_topics_plan *plan, size_t index, struct mr_topic_values *ret_values);

/* A topic as the brokers have it. */
struct mr_topic_found {
    bool exists;
    uint32_t partitions, replication;
    bool ready;   /* every partition has a leader */
    bool written; /* some partition has got a record; known of the outcome of a creation alone */
    bool has_values;
    struct mr_topic_values values;
};
struct mr_topics_found {
    struct mr_topic_found topics[MR_TOPICS_COUNT];
};

struct mr_topic_difference {
    size_t topic;     /* its index */
    const char *what; /* "partitions", "replication", or a setting; static storage */
    char wanted[MR_TOPIC_VALUE_SIZE], found[MR_TOPIC_VALUE_SIZE];
};
struct mr_topic_differences {
    struct mr_topic_difference list[MR_TOPICS_COUNT * (MR_TOPIC_SETTINGS_COUNT + 2)];
    size_t count;
};
/* Of the topics that exist; what has no values is compared by its counts. */
void mr_topics_compare(const struct mr_topics_plan *plan, const struct mr_topics_found *found,
                       struct mr_topic_differences *ret_differences);

/* ---- On the brokers ------------------------------------------------------------------------------------------ */

struct mr_topics_admin;

/* settings: as of mr_log_kafka_config. FATAL "bad_setting". */
MR_MUST_USE struct mr_error mr_topics_admin_open(const char *brokers, const char *settings,
                                                 struct mr_topics_admin **ret_admin);
void mr_topics_admin_close(struct mr_topics_admin *admin);

/* Never creates a topic. with_values: also their settings, which the development broker cannot tell. TRANSIENT when no
 * broker answers. */
MR_MUST_USE struct mr_error mr_topics_find(struct mr_topics_admin *admin, bool with_values,
                                           struct mr_topics_found *ret_found);

struct mr_topics_outcome {
    struct mr_topics_found found;
    struct mr_topic_differences differences;
    struct mr_deployment deployment;
    size_t created;      /* topics */
    bool has_deployment; /* false: the topics differ from the plan, so no record was written */
    bool is_new;         /* its log id is `fresh` */
};

/*
 * The protocol above. `log` can read and write; `fresh` is a random log id, for a deployment that is not there yet.
 * With add_missing, topics that an existing deployment lacks are created, with its count of partitions: right for those
 * that a new release has added. batches.submitted is never added to one, since its offsets are the origins.
 *
 * A success may have differences: they are told, and not changed. REJECT "log_discontinuity": the deployment lacks a
 * topic, its count is not the topics' or the plan's, or there are records without a deployment; "bad_topic": the
 * brokers refuse the plan. TRANSIENT: run it again. UNKNOWN: the record may have been written; run it again.
 * ret_outcome holds what was found until then.
 */
MR_MUST_USE struct mr_error mr_topics_create(struct mr_topics_admin *admin, struct mr_log *log,
                                             const struct mr_topics_plan *plan, const struct mr_log_id *fresh,
                                             bool add_missing, struct mr_topics_outcome *ret_outcome);

#endif
