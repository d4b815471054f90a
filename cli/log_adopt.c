/*
 * millrace log adopt: a model goes on in a log that is not the one it was trained from (rule O1).
 *
 * Topics that were made anew, or a development broker that was started again, count their offsets from 0: good records
 * would look like duplicates of old ones. Services therefore refuse to start (LogDiscontinuity) until somebody says
 * that the log which the model knows lies before the one that is there now.
 */
#include "progress.h"

#include "millrace/hash.h"
#include "millrace/versions.h"

#include <string.h>

enum { DELIVERY_WAIT_MS = 30000 };

struct adopt_config {
    struct cli_brokers brokers;
    const char *store, *model;
};
#define TYPE struct adopt_config
static const struct mr_option rows[] = {
    CLI_ROWS_BROKERS(TYPE),
    CLI_ROW_TEXT(TYPE, "store", store, NULL, "Object store: file:///dir or s3://bucket/prefix."),
    CLI_ROW_TEXT(TYPE, "model", model, NULL, "The model that LogDiscontinuity names."),
};
static const struct mr_option_table table = {
    "millrace log adopt", "Lets a model go on in a new log; stop the services first, and start them again after.", rows,
    MR_COUNT_OF(rows)};

static struct mr_error head_of(const struct adopt_config *config, struct mr_head *ret_head)
{
    struct mr_store *store;
    bool some = false;
    MR_TRY(mr_store_open(config->store, &store));
    const struct mr_error error = mr_head_read(store, config->model, &some, ret_head, NULL);
    mr_store_close(store);
    MR_TRY(error);
    return some ? mr_ok() : mr_error_make(MR_ERROR_REJECT, "not_found", 0, "there is no model %s", config->model);
}

/* Whether the log is the one that the head knows by its id, but ends before the head's position: the topics were made
 * anew under an old deployment. */
static struct mr_error is_behind(struct cli_session *session, const struct mr_head *head, bool *ret_behind)
{
    uint64_t low, high;
    *ret_behind = true;
    if (head->position.partition >= session->deployment.partitions) {
        return mr_ok();
    }
    MR_TRY(session->log->ops->watermarks(session->log, MR_TOPIC_SUBMITTED, head->position.partition, &low, &high));
    *ret_behind = head->position.offset >= high;
    return mr_ok();
}

static struct mr_error add_predecessor(struct mr_deployment *deployment, const uint8_t log_id[MR_LOG_ID_SIZE])
{
    if (deployment->predecessor_count == MR_PREDECESSORS_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "too_many_logs", 0, "the deployment has followed %d logs already",
                             (int)MR_PREDECESSORS_MAX);
    }
    memcpy(deployment->predecessors[deployment->predecessor_count++].bytes, log_id, MR_LOG_ID_SIZE);
    return mr_ok();
}

/* What the deployment must become. *ret_changed false: nothing; *ret_is_this: the head's log is the one that is there.
 */
static struct mr_error adopt(struct cli_session *session, const struct mr_head *head, bool *ret_changed,
                             bool *ret_is_this)
{
    struct mr_deployment *deployment = &session->deployment;
    struct mr_log_id of_head;
    size_t place;
    memcpy(of_head.bytes, head->position.log_id, MR_LOG_ID_SIZE);
    *ret_changed = true;
    if (!mr_deployment_place(deployment, &of_head, &place)) {
        return add_predecessor(deployment, of_head.bytes);
    }
    if (place < deployment->predecessor_count) {
        *ret_changed = false;
        return mr_ok();
    }
    MR_TRY(is_behind(session, head, ret_changed));
    *ret_is_this = !*ret_changed;
    if (*ret_changed) {
        MR_TRY(add_predecessor(deployment, deployment->log_id.bytes));
        MR_TRY(mr_random(deployment->log_id.bytes, MR_LOG_ID_SIZE));
    }
    return mr_ok();
}

/* Offsets that were committed in the log before, and lie beyond the end of this one, begin anew. */
static struct mr_error rewind_topic(struct mr_log *log, const char *topic, uint32_t partitions, uint64_t *rewound)
{
    for (uint32_t partition = 0; partition < partitions; partition++) {
        uint64_t low, high, next;
        bool some;
        MR_TRY(log->ops->watermarks(log, topic, partition, &low, &high));
        MR_TRY(log->ops->committed(log, topic, partition, &some, &next));
        if (some && next > high) {
            MR_TRY(log->ops->commit(log, topic, partition, low));
            MR_TRY(log->ops->commit_wait(log, DELIVERY_WAIT_MS));
            (*rewound)++;
        }
    }
    return mr_ok();
}

static struct mr_error rewind_stage(struct mr_log *log, const struct progress_stage *stage, uint32_t partitions,
                                    uint64_t *rewound)
{
    MR_TRY(rewind_topic(log, stage->topic, partitions, rewound));
    if (strcmp(stage->stage, "ingest") == 0) {
        return rewind_topic(log, MR_TOPIC_RETRIES_INGEST, partitions, rewound);
    }
    return strcmp(stage->stage, "validate") == 0 ? rewind_topic(log, MR_TOPIC_RETRIES_VALIDATE, partitions, rewound)
                                                 : mr_ok();
}

static struct mr_error rewind_groups(const struct cli_session *session, const struct cli_brokers *brokers,
                                     uint64_t *rewound)
{
    struct mr_error error = mr_ok();
    for (size_t i = 0; i < PROGRESS_STAGES && !mr_failed(error); i++) {
        const struct progress_stage *stage = &progress_stages[i];
        struct mr_log *log;
        MR_TRY(cli_session_group(session, brokers, stage->group, &log));
        error = rewind_stage(log, stage, session->deployment.partitions, rewound);
        log->ops->close(log);
    }
    return error;
}

static struct mr_error carry_out(const struct adopt_config *config, struct cli_session *session)
{
    struct mr_head head;
    bool changed = false, is_this = false;
    uint64_t rewound = 0;
    char text[2 * MR_LOG_ID_SIZE + 1];
    MR_TRY(head_of(config, &head));
    MR_TRY(cli_session_open(&config->brokers, CLI_READ_WRITE, session));
    MR_TRY(adopt(session, &head, &changed, &is_this));
    if (changed) {
        MR_TRY(mr_deployment_append(session->log, &session->deployment, MR_DEPLOYMENT_REPLACED, DELIVERY_WAIT_MS));
    }
    MR_TRY(rewind_groups(session, &config->brokers, &rewound));
    mr_hex(mr_bytes_of(head.position.log_id, MR_LOG_ID_SIZE), text);
    (void)printf("%s: its log %s %s; %llu committed offsets begin anew\n", config->model, text,
                 changed   ? "now lies before this one"
                 : is_this ? "is this one: nothing to adopt"
                           : "is known and lies before this one",
                 (unsigned long long)rewound);
    return mr_ok();
}

static int run(const void *options, const struct cli_rest *rest)
{
    const struct adopt_config *config = options;
    (void)rest;
    if (!mr_id_valid(mr_bytes_of_text(config->model))) {
        return cli_usage("millrace log adopt: --model: expected 1 to 63 of a-z 0-9 . _ -");
    }
    struct cli_session session = {.log = NULL};
    const struct mr_error error = carry_out(config, &session);
    cli_session_close(&session);
    return mr_failed(error) ? cli_fail(&error) : MR_EXIT_OK;
}

const struct cli_verb cli_verb_log_adopt = {"log adopt", "", 0, &table, sizeof(TYPE), run};
