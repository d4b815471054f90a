/* millrace versions | metrics: follow the public topics, each event once. */
#include "public_event.h"

#include <inttypes.h>
#include <string.h>

enum { WAIT_MS = 200 };

struct follow_config {
    struct cli_brokers brokers;
    const char *model, *from, *format;
    uint64_t count;
};
#define TYPE struct follow_config
static const struct mr_option rows[] = {
    CLI_ROWS_BROKERS(TYPE),
    CLI_ROW_TEXT(TYPE, "model", model, "", "Only this model's."),
    CLI_ROW(TYPE, "from", from, MR_OPTION_CHOICE, "beginning", 0, 0, "beginning|now", "Where to begin."),
    CLI_ROW_COUNT(TYPE, "count", count, "0", 0, INT64_MAX, "End after so many; 0: follow until interrupted."),
    CLI_ROW_FORMAT(TYPE),
};
static const struct mr_option_table versions_table = {"millrace versions", "Follow the versions that are published.",
                                                      rows, MR_COUNT_OF(rows)};
static const struct mr_option_table metrics_table = {"millrace metrics", "Follow the metrics that are published.", rows,
                                                     MR_COUNT_OF(rows)};

struct follower {
    const struct follow_config *config;
    struct cli_seen seen;
    uint64_t shown;
};

/* Whether an event is to be shown. */
static struct mr_error admit(struct follower *follower, const struct cli_stamp *stamp, bool *ret_show)
{
    *ret_show = false;
    if (follower->config->model[0] != '\0' && strcmp(follower->config->model, stamp->model_id) != 0) {
        return mr_ok();
    }
    return cli_seen_note(&follower->seen, stamp, ret_show);
}

static struct mr_error shown(struct follower *follower, json_t *object)
{
    follower->shown++;
    if (object != NULL && cli_print_json(object, true) != MR_EXIT_OK) {
        return mr_error_make(MR_ERROR_TRANSIENT, "standard_output", 0, "cannot write the answer");
    }
    (void)fflush(stdout);
    return mr_ok();
}

static struct mr_error show_version(void *self, const struct mr_log_record *record)
{
    struct follower *follower = self;
    struct cli_published version;
    bool show = false;
    char ce_id[128];
    MR_TRY(cli_published_read(record, &version));
    MR_TRY(admit(follower, &version.stamp, &show));
    if (!show) {
        return mr_ok();
    }
    if (cli_wants_json(follower->config->format)) {
        cli_header_text(record, "ce_id", ce_id, sizeof ce_id);
        return shown(follower, cli_published_json(&version, ce_id));
    }
    (void)printf("%s version %" PRIu64 " (%s) step %" PRIu64 " loss %.6g content %.16s  %s\n", version.stamp.model_id,
                 version.counter, version.semantic_version, version.step, (double)version.loss, version.content_hash,
                 cli_printable(version.message));
    return shown(follower, NULL);
}

static struct mr_error show_metric(void *self, const struct mr_log_record *record)
{
    struct follower *follower = self;
    struct cli_metric metric;
    bool show = false;
    char ce_id[128];
    MR_TRY(cli_metric_read(record, &metric));
    MR_TRY(admit(follower, &metric.stamp, &show));
    if (!show) {
        return mr_ok();
    }
    if (cli_wants_json(follower->config->format)) {
        cli_header_text(record, "ce_id", ce_id, sizeof ce_id);
        return shown(follower, cli_metric_json(&metric, ce_id));
    }
    (void)printf("%s %s step %" PRIu64 " %s", metric.stamp.model_id, metric.run_id, metric.step, metric.event);
    if (strcmp(metric.event, "stepped") == 0) {
        (void)printf(" loss %.6g gradient %.6g rate %.3g samples %" PRIu64, (double)metric.loss,
                     (double)metric.gradient_norm, (double)metric.learning_rate, metric.samples);
    }
    (void)printf("%s%s\n", metric.detail[0] == '\0' ? "" : " ", cli_printable(metric.detail));
    return shown(follower, NULL);
}

static int follow(const struct follow_config *config, const char *topic,
                  struct mr_error (*show)(void *self, const struct mr_log_record *record))
{
    struct cli_session session;
    struct mr_error error = cli_session_open(&config->brokers, CLI_READ, &session);
    if (mr_failed(error)) {
        return cli_fail(&error);
    }
    struct follower follower = {.config = config};
    error = cli_follow(&session, topic, config->from[0] == 'b');
    while (!mr_failed(error) && (config->count == 0 || follower.shown < config->count)) {
        bool some = false;
        error = cli_next(&session, WAIT_MS, &some, show, &follower);
    }
    cli_seen_deinit(&follower.seen);
    cli_session_close(&session);
    return mr_failed(error) ? cli_fail(&error) : MR_EXIT_OK;
}

static int run_versions(const void *options, const struct cli_rest *rest)
{
    (void)rest;
    return follow(options, MR_TOPIC_VERSIONS, show_version);
}

static int run_metrics(const void *options, const struct cli_rest *rest)
{
    (void)rest;
    return follow(options, MR_TOPIC_METRICS, show_metric);
}

const struct cli_verb cli_verb_versions = {"versions", "", 0, &versions_table, sizeof(TYPE), run_versions};
const struct cli_verb cli_verb_metrics = {"metrics", "", 0, &metrics_table, sizeof(TYPE), run_metrics};
