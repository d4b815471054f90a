/* millrace topics create | show: the topics on Apache Kafka, and the deployment that they make up. */
#include "cli_session.h"
#include "cli_table.h"

#include "millrace/hash.h"
#include "millrace/topics_create.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 4096, REPLICATION_MAX = 15, HOURS_MAX = 876000 };

struct create_config {
    struct cli_brokers brokers;
    uint64_t partitions, replication, submitted_retention_hours, validated_retention_hours;
    bool add_missing;
};
#define TYPE struct create_config
static const struct mr_option create_rows[] = {
    CLI_ROWS_BROKERS(TYPE),
    CLI_ROW_COUNT(TYPE, "partitions", partitions, "4", 1, PARTITIONS_MAX, "Partitions of every topic."),
    CLI_ROW_COUNT(TYPE, "replication", replication, "1", 1, REPLICATION_MAX,
                  "Replicas of every partition; from 3 on, two must have a record before it is acknowledged."),
    CLI_ROW_COUNT(TYPE, "submitted-retention-hours", submitted_retention_hours, "0", 0, HOURS_MAX,
                  "Hours that submitted records are kept, by the times that they carry; 0: for ever."),
    CLI_ROW_COUNT(TYPE, "validated-retention-hours", validated_retention_hours, "0", 0, HOURS_MAX,
                  "Hours that the models' log is kept, by the times that its records carry; 0: for ever."),
    CLI_ROW_FLAG(
        TYPE, "add-missing", add_missing,
        "Create topics that an existing deployment lacks: after an upgrade that adds some, never for lost ones."),
};
static const struct mr_option_table create_table = {
    "millrace topics create",
    "Creates the topics and the deployment on Apache Kafka; where they are, compares them and changes nothing: 0 as "
    "asked for, 1 settings differ.",
    create_rows, MR_COUNT_OF(create_rows)};
#undef TYPE

struct show_config {
    struct cli_brokers brokers;
    const char *format;
};
#define TYPE struct show_config
static const struct mr_option show_rows[] = {CLI_ROWS_BROKERS(TYPE), CLI_ROW_FORMAT(TYPE)};
static const struct mr_option_table show_table = {"millrace topics show",
                                                  "The topics and the deployment as the brokers have them.", show_rows,
                                                  MR_COUNT_OF(show_rows)};
#undef TYPE

struct topics {
    struct cli_session session;
    struct mr_topics_admin *admin;
};

static struct mr_error topics_open(const struct cli_brokers *brokers, enum cli_purpose purpose, struct topics *topics)
{
    char *settings = NULL;
    MR_TRY(cli_session_connect(brokers, purpose, &topics->session));
    MR_TRY(cli_read_settings(brokers->settings_file, &settings));
    const struct mr_error error = mr_topics_admin_open(brokers->list, settings, &topics->admin);
    free(settings);
    return error;
}

static void topics_close(struct topics *topics)
{
    mr_topics_admin_close(topics->admin);
    cli_session_close(&topics->session);
}

/* ---- create -------------------------------------------------------------------------------------------------- */

static struct mr_error create(const struct create_config *config, struct topics *topics,
                              struct mr_topics_outcome *ret_outcome)
{
    const struct mr_topics_plan plan = {
        .partitions = (uint32_t)config->partitions,
        .replication = (uint32_t)config->replication,
        .submitted_retention_hours = config->submitted_retention_hours,
        .validated_retention_hours = config->validated_retention_hours,
    };
    struct mr_log_id fresh;
    MR_TRY(topics_open(&config->brokers, CLI_READ_WRITE, topics));
    if (topics->session.development) {
        return mr_error_make(MR_ERROR_REJECT, "development_broker", 0,
                             "%s is millrace-devbroker, which makes the topics itself at its start: give it "
                             "--partitions",
                             config->brokers.list);
    }
    MR_TRY(mr_random(fresh.bytes, MR_LOG_ID_SIZE));
    return mr_topics_create(topics->admin, topics->session.log, &plan, &fresh, config->add_missing, ret_outcome);
}

static void tell_differences(const struct mr_topic_differences *differences)
{
    for (size_t i = 0; i < differences->count; i++) {
        const struct mr_topic_difference *const d = &differences->list[i];
        (void)fprintf(stderr, "%s: %s is %s, and should be %s\n", mr_topic_name(d->topic), d->what, d->found,
                      d->wanted);
    }
}

static void tell_deployment(const struct mr_topics_outcome *outcome)
{
    char log_id[2 * MR_LOG_ID_SIZE + 1];
    mr_hex(mr_bytes_of(outcome->deployment.log_id.bytes, MR_LOG_ID_SIZE), log_id);
    (void)printf("%zu topics created; deployment of log %s, %" PRIu32 " partitions, %s\n", outcome->created, log_id,
                 outcome->deployment.partitions, outcome->is_new ? "is new" : "was there");
    if (outcome->is_new) {
        (void)printf("models of another log go on in this one only after millrace log adopt\n");
    }
}

static int run_create(const void *options, const struct cli_rest *rest)
{
    struct topics topics = {.admin = NULL};
    struct mr_topics_outcome outcome = {.created = 0};
    (void)rest;
    const struct mr_error error = create(options, &topics, &outcome);
    topics_close(&topics);
    tell_differences(&outcome.differences);
    if (mr_failed(error)) {
        return cli_fail(&error);
    }
    if (outcome.has_deployment) {
        tell_deployment(&outcome);
    } else {
        (void)fprintf(stderr,
                      "millrace: topics that were there differ: no deployment was written; alter or delete them "
                      "and run this again\n");
    }
    return outcome.differences.count == 0 ? MR_EXIT_OK : MR_EXIT_FAILED;
}

/* ---- show ---------------------------------------------------------------------------------------------------- */

struct shown {
    struct mr_topics_found found;
    struct mr_deployment deployment;
    bool has_deployment;
    char log_id[2 * MR_LOG_ID_SIZE + 1];
};

static struct mr_error look(const struct show_config *config, struct topics *topics, struct shown *ret_shown)
{
    MR_TRY(topics_open(&config->brokers, CLI_READ, topics));
    /* The development broker has no settings to tell. */
    MR_TRY(mr_topics_find(topics->admin, !topics->session.development, &ret_shown->found));
    return mr_deployment_find(topics->session.log, &ret_shown->has_deployment, &ret_shown->deployment);
}

static struct mr_error add_count(struct cli_table *table, const struct mr_topic_found *topic, uint32_t count)
{
    return topic->exists ? cli_table_add(table, "%" PRIu32, count) : cli_table_add(table, "missing");
}

static struct mr_error add_topic(struct cli_table *table, size_t index, const struct mr_topic_found *topic)
{
    MR_TRY(cli_table_add(table, "%s", mr_topic_name(index)));
    MR_TRY(add_count(table, topic, topic->partitions));
    MR_TRY(add_count(table, topic, topic->replication));
    for (size_t i = 0; i < MR_TOPIC_SETTINGS_COUNT; i++) {
        MR_TRY(cli_table_add(table, "%s", topic->has_values ? topic->values.text[i] : "-"));
    }
    return mr_ok();
}

static struct mr_error print_table(const struct shown *shown)
{
    const char *titles[3 + MR_TOPIC_SETTINGS_COUNT] = {"TOPIC", ">PARTITIONS", ">REPLICATION"};
    struct cli_table out;
    struct mr_error error = mr_ok();
    memcpy(titles + 3, mr_topic_setting_names, sizeof mr_topic_setting_names);
    cli_table_init(&out, titles, MR_COUNT_OF(titles));
    for (size_t i = 0; i < MR_TOPICS_COUNT && !mr_failed(error); i++) {
        error = add_topic(&out, i, &shown->found.topics[i]);
    }
    if (!mr_failed(error)) {
        cli_table_print(&out, stdout);
        if (shown->has_deployment) {
            (void)printf("\nlog %s, %" PRIu32 " partitions, %zu logs before it\n", shown->log_id,
                         shown->deployment.partitions, shown->deployment.predecessor_count);
        }
    }
    cli_table_deinit(&out);
    return error;
}

static json_t *topic_json(size_t index, const struct mr_topic_found *topic)
{
    json_t *const settings = json_object();
    for (size_t i = 0; topic->has_values && i < MR_TOPIC_SETTINGS_COUNT; i++) {
        (void)json_object_set_new(settings, mr_topic_setting_names[i], json_string(topic->values.text[i]));
    }
    return json_pack("{s:s, s:b, s:I, s:I, s:o}", "topic", mr_topic_name(index), "exists", topic->exists, "partitions",
                     (json_int_t)topic->partitions, "replication", (json_int_t)topic->replication, "settings",
                     settings);
}

static int print_json(const struct shown *shown)
{
    json_t *const topics = json_array();
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        (void)json_array_append_new(topics, topic_json(i, &shown->found.topics[i]));
    }
    json_t *const deployment = !shown->has_deployment
                                   ? json_null()
                                   : json_pack("{s:s, s:I, s:I}", "log_id", shown->log_id, "partitions",
                                               (json_int_t)shown->deployment.partitions, "predecessors",
                                               (json_int_t)shown->deployment.predecessor_count);
    return cli_print_json(json_pack("{s:o, s:o}", "deployment", deployment, "topics", topics), false);
}

/* Whether services can start on it. */
static struct mr_error judge(const struct shown *shown)
{
    const struct mr_topics_plan plan = {.partitions = shown->deployment.partitions};
    if (!shown->has_deployment) {
        return mr_error_make(MR_ERROR_REJECT, "no_deployment", 0, "%s is missing or empty: millrace topics create",
                             MR_TOPIC_DEPLOYMENT);
    }
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        const struct mr_topic_found *const topic = &shown->found.topics[i];
        if (topic->partitions != mr_topic_partitions(&plan, i)) {
            return mr_error_make(MR_ERROR_REJECT, "log_discontinuity", 0,
                                 "%s has %" PRIu32 " partitions, the deployment wants %" PRIu32, mr_topic_name(i),
                                 topic->partitions, mr_topic_partitions(&plan, i));
        }
    }
    return mr_ok();
}

static int run_show(const void *options, const struct cli_rest *rest)
{
    const struct show_config *const config = options;
    struct topics topics = {.admin = NULL};
    struct shown shown = {.has_deployment = false};
    (void)rest;
    struct mr_error error = look(config, &topics, &shown);
    topics_close(&topics);
    if (mr_failed(error)) {
        return cli_fail(&error);
    }
    mr_hex(mr_bytes_of(shown.deployment.log_id.bytes, MR_LOG_ID_SIZE), shown.log_id);
    if (cli_wants_json(config->format)) {
        const int code = print_json(&shown);
        if (code != MR_EXIT_OK) {
            return code;
        }
    } else {
        error = print_table(&shown);
    }
    if (!mr_failed(error)) {
        error = judge(&shown);
    }
    return mr_failed(error) ? cli_fail(&error) : MR_EXIT_OK;
}

const struct cli_verb cli_verb_topics_create = {"topics create", "", 0, &create_table, sizeof(struct create_config),
                                                run_create};
const struct cli_verb cli_verb_topics_show = {"topics show", "", 0, &show_table, sizeof(struct show_config), run_show};
