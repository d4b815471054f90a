/* Topics on the brokers: Kafka's admin API. */
#include "kafka_topics.h"

#include "kafka_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADMIN_WAIT_MS = 30000, LOOK_EVERY_MS = 100, WHY_SIZE = 256 };

struct mr_topics_admin {
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue; /* of the answers */
};

struct mr_error mr_topics_admin_open(const char *brokers, const char *settings, struct mr_topics_admin **ret_admin)
{
    const struct mr_log_kafka_config config = {
        .brokers = brokers, .settings = settings, .client_id = "millrace-topics", .mode = MR_LOG_ASSIGN};
    struct mr_topics_admin *const admin = calloc(1, sizeof *admin);
    if (admin == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a Kafka client");
    }
    const struct mr_error error = kafka_handle_open(&config, KAFKA_ROLE_QUERY, &admin->handle);
    if (mr_failed(error)) {
        free(admin);
        return error;
    }
    admin->queue = rd_kafka_queue_new(admin->handle);
    *ret_admin = admin;
    return mr_ok();
}

void mr_topics_admin_close(struct mr_topics_admin *admin)
{
    if (admin != NULL) {
        rd_kafka_queue_destroy(admin->queue);
        rd_kafka_destroy(admin->handle);
        free(admin);
    }
}

/* ---- Questions and answers ----------------------------------------------------------------------------------- */

/* The brokers say why in words; whoever gave the plan can change it. */
static struct mr_error admin_error(rd_kafka_resp_err_t code, const char *what, const char *text)
{
    if (code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR || code == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS ||
        code == RD_KAFKA_RESP_ERR_INVALID_CONFIG || code == RD_KAFKA_RESP_ERR_POLICY_VIOLATION) {
        return mr_error_make(MR_ERROR_REJECT, "bad_topic", code, "%s: %s", what,
                             text != NULL ? text : rd_kafka_err2str(code));
    }
    return kafka_error(code, what, text);
}

static struct mr_error options_new(struct mr_topics_admin *admin, rd_kafka_admin_op_t operation,
                                   rd_kafka_AdminOptions_t **ret_options)
{
    char why[WHY_SIZE];
    rd_kafka_AdminOptions_t *const options = rd_kafka_AdminOptions_new(admin->handle, operation);
    rd_kafka_resp_err_t code = rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_WAIT_MS, why, sizeof why);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && operation == RD_KAFKA_ADMIN_OP_CREATETOPICS) {
        code = rd_kafka_AdminOptions_set_operation_timeout(options, ADMIN_WAIT_MS, why, sizeof why);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_AdminOptions_destroy(options);
        return kafka_error(code, "an admin request", why);
    }
    *ret_options = options;
    return mr_ok();
}

/* The answer to the one request under way; the caller destroys it. */
static struct mr_error answer(struct mr_topics_admin *admin, const char *what, rd_kafka_event_t **ret_event)
{
    rd_kafka_event_t *const event = rd_kafka_queue_poll(admin->queue, ADMIN_WAIT_MS + KAFKA_CALL_WAIT_MS);
    if (event == NULL) {
        return mr_error_make(MR_ERROR_TRANSIENT, "broker_unavailable", 0, "%s: no answer", what);
    }
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        const struct mr_error error = admin_error(code, what, rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
        return error;
    }
    *ret_event = event;
    return mr_ok();
}

/* ---- What there is ------------------------------------------------------------------------------------------- */

static struct mr_topic_found found_of(const struct rd_kafka_metadata_topic *topic)
{
    struct mr_topic_found found = {.exists = topic->partition_cnt > 0, .ready = topic->partition_cnt > 0};
    found.partitions = (uint32_t)topic->partition_cnt;
    for (int i = 0; i < topic->partition_cnt; i++) {
        const struct rd_kafka_metadata_partition *const partition = &topic->partitions[i];
        const uint32_t replicas = (uint32_t)partition->replica_cnt;
        found.replication = i == 0 || replicas < found.replication ? replicas : found.replication;
        found.ready = found.ready && partition->leader >= 0;
    }
    return found;
}

static struct mr_error find_counts(struct mr_topics_admin *admin, struct mr_topics_found *found)
{
    const struct rd_kafka_metadata *metadata;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(admin->handle, 1, NULL, &metadata, KAFKA_CALL_WAIT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(code, "asking the brokers for their topics", NULL);
    }
    memset(found, 0, sizeof *found);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        for (size_t j = 0; j < MR_TOPICS_COUNT; j++) {
            if (strcmp(metadata->topics[i].topic, mr_topic_name(j)) == 0) {
                found->topics[j] = found_of(&metadata->topics[i]);
            }
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return mr_ok();
}

static void take_values(const rd_kafka_ConfigResource_t *resource, struct mr_topic_found *topic)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **const entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *const name = rd_kafka_ConfigEntry_name(entries[i]);
        const char *const value = rd_kafka_ConfigEntry_value(entries[i]);
        for (size_t j = 0; j < MR_TOPIC_SETTINGS_COUNT; j++) {
            if (strcmp(name, mr_topic_setting_names[j]) == 0) {
                (void)snprintf(topic->values.text[j], MR_TOPIC_VALUE_SIZE, "%s", value == NULL ? "" : value);
            }
        }
    }
    topic->has_values = true;
}

static struct mr_error take_all_values(rd_kafka_event_t *event, struct mr_topics_found *found)
{
    size_t count;
    const rd_kafka_ConfigResource_t **const resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const char *const name = rd_kafka_ConfigResource_name(resources[i]);
        const rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return admin_error(code, name, rd_kafka_ConfigResource_error_string(resources[i]));
        }
        for (size_t j = 0; j < MR_TOPICS_COUNT; j++) {
            if (strcmp(name, mr_topic_name(j)) == 0) {
                take_values(resources[i], &found->topics[j]);
            }
        }
    }
    return mr_ok();
}

static struct mr_error find_values(struct mr_topics_admin *admin, struct mr_topics_found *found)
{
    rd_kafka_ConfigResource_t *asked[MR_TOPICS_COUNT];
    rd_kafka_AdminOptions_t *options;
    rd_kafka_event_t *event;
    size_t count = 0;
    MR_TRY(options_new(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, &options));
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        if (found->topics[i].exists) {
            asked[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, mr_topic_name(i));
        }
    }
    if (count > 0) {
        rd_kafka_DescribeConfigs(admin->handle, asked, count, options, admin->queue);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy_array(asked, count);
    if (count == 0) {
        return mr_ok();
    }
    MR_TRY(answer(admin, "asking the brokers for the topics' settings", &event));
    const struct mr_error error = take_all_values(event, found);
    rd_kafka_event_destroy(event);
    return error;
}

struct mr_error mr_topics_find(struct mr_topics_admin *admin, bool with_values, struct mr_topics_found *ret_found)
{
    struct mr_topics_found found;
    MR_TRY(find_counts(admin, &found));
    if (with_values) {
        MR_TRY(find_values(admin, &found));
    }
    *ret_found = found;
    return mr_ok();
}

/* ---- Until they can be used ---------------------------------------------------------------------------------- */

static rd_kafka_topic_partition_list_t *partitions_of(const struct mr_topics_found *found)
{
    rd_kafka_topic_partition_list_t *const list = rd_kafka_topic_partition_list_new(MR_TOPICS_COUNT);
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        for (uint32_t p = 0; p < found->topics[i].partitions; p++) {
            rd_kafka_topic_partition_list_add(list, mr_topic_name(i), (int32_t)p)->offset = RD_KAFKA_OFFSET_END;
        }
    }
    return list;
}

static void take_end(const rd_kafka_topic_partition_t *end, struct mr_topics_found *found)
{
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        if (strcmp(end->topic, mr_topic_name(i)) == 0) {
            found->topics[i].ready = found->topics[i].ready && end->err == RD_KAFKA_RESP_ERR_NO_ERROR;
            found->topics[i].written = found->topics[i].written || end->offset > 0;
        }
    }
}

/* A broker names itself as leader a moment before it serves the partition: only its answer says that it does. */
static struct mr_error find_ends(struct mr_topics_admin *admin, struct mr_topics_found *found)
{
    rd_kafka_topic_partition_list_t *const list = partitions_of(found);
    const rd_kafka_resp_err_t code = list->cnt == 0
                                         ? RD_KAFKA_RESP_ERR_NO_ERROR
                                         : rd_kafka_offsets_for_times(admin->handle, list, KAFKA_CALL_WAIT_MS);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        take_end(&list->elems[i], found);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? mr_ok() : kafka_error(code, "asking for the topics' ends", NULL);
}

static const char *not_ready(const struct mr_topics_found *found, bool every)
{
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        const struct mr_topic_found *const topic = &found->topics[i];
        if (!topic->ready && (topic->exists || every)) {
            return mr_topic_name(i);
        }
    }
    return NULL;
}

static struct mr_error look(struct mr_topics_admin *admin, bool every, struct mr_topics_found *found)
{
    MR_TRY(find_counts(admin, found));
    MR_TRY(find_ends(admin, found));
    const char *const topic = not_ready(found, every);
    return topic == NULL ? mr_ok()
                         : mr_error_make(MR_ERROR_TRANSIENT, "broker_unavailable", 0,
                                         "%s has no leader for each partition yet", topic);
}

struct mr_error kafka_topics_settle(struct mr_topics_admin *admin, bool every, struct mr_topics_found *ret_found)
{
    const int64_t deadline_ms = kafka_now_ms() + ADMIN_WAIT_MS;
    struct mr_topics_found found;
    struct mr_error error = look(admin, every, &found);
    while (error.kind == MR_ERROR_TRANSIENT && kafka_remaining_ms(deadline_ms) > 0) {
        (void)rd_kafka_poll(admin->handle, LOOK_EVERY_MS);
        error = look(admin, every, &found);
    }
    MR_TRY(error);
    MR_TRY(find_values(admin, &found));
    *ret_found = found;
    return mr_ok();
}

/* ---- Creating ------------------------------------------------------------------------------------------------ */

static struct mr_error topic_new(const struct mr_topics_plan *plan, size_t index, rd_kafka_NewTopic_t **ret_topic)
{
    char why[WHY_SIZE];
    struct mr_topic_values values;
    rd_kafka_NewTopic_t *const topic = rd_kafka_NewTopic_new(
        mr_topic_name(index), (int)mr_topic_partitions(plan, index), (int)plan->replication, why, sizeof why);
    if (topic == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "bad_topic", 0, "%s: %s", mr_topic_name(index), why);
    }
    mr_topic_plan_values(plan, index, &values);
    for (size_t i = 0; i < MR_TOPIC_SETTINGS_COUNT; i++) {
        const rd_kafka_resp_err_t code = rd_kafka_NewTopic_set_config(topic, mr_topic_setting_names[i], values.text[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_NewTopic_destroy(topic);
            return kafka_error(code, mr_topic_setting_names[i], NULL);
        }
    }
    *ret_topic = topic;
    return mr_ok();
}

/* One that another creator was faster with is there as well. */
static struct mr_error count_created(rd_kafka_event_t *event, size_t *ret_created)
{
    size_t count, created = 0;
    const rd_kafka_topic_result_t **const results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            created++;
        } else if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            return admin_error(code, rd_kafka_topic_result_name(results[i]),
                               rd_kafka_topic_result_error_string(results[i]));
        }
    }
    *ret_created = created;
    return mr_ok();
}

static struct mr_error send_create(struct mr_topics_admin *admin, rd_kafka_NewTopic_t **topics, size_t count)
{
    rd_kafka_AdminOptions_t *options;
    MR_TRY(options_new(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS, &options));
    rd_kafka_CreateTopics(admin->handle, topics, count, options, admin->queue);
    rd_kafka_AdminOptions_destroy(options);
    return mr_ok();
}

struct mr_error kafka_topics_add(struct mr_topics_admin *admin, const struct mr_topics_plan *plan,
                                 const struct mr_topics_found *found, size_t *ret_created)
{
    rd_kafka_NewTopic_t *topics[MR_TOPICS_COUNT];
    rd_kafka_event_t *event;
    size_t count = 0;
    struct mr_error error = mr_ok();
    *ret_created = 0;
    for (size_t i = 0; i < MR_TOPICS_COUNT && !mr_failed(error); i++) {
        if (!found->topics[i].exists) {
            error = topic_new(plan, i, &topics[count]);
            count += mr_failed(error) ? 0 : 1;
        }
    }
    if (!mr_failed(error) && count > 0) {
        error = send_create(admin, topics, count);
    }
    rd_kafka_NewTopic_destroy_array(topics, count);
    if (mr_failed(error) || count == 0) {
        return error;
    }
    MR_TRY(answer(admin, "creating the topics", &event));
    error = count_created(event, ret_created);
    rd_kafka_event_destroy(event);
    return error;
}
