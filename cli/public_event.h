/* The public events, metrics and versions, as people and programs see them. */
#ifndef CLI_PUBLIC_EVENT_H
#define CLI_PUBLIC_EVENT_H

#include "cli_session.h"

#include "millrace/hash.h"

enum { CLI_MESSAGE_SIZE = 256 };

/* Where an event came from in the log. */
struct cli_stamp {
    char model_id[MR_ID_SIZE];
    struct mr_log_id log_id;
    uint32_t partition;
    uint64_t origin;
};

struct cli_metric {
    struct cli_stamp stamp;
    char run_id[MR_ID_SIZE];
    const char *event;   /* "run_opened", "stepped", "diverged", "skipped", "run_closed"; static storage */
    const char *outcome; /* of "run_closed": "completed", "failed", "cancelled", "unknown"; static storage */
    uint64_t step;
    char batch_id[CLI_MESSAGE_SIZE];
    char detail[CLI_MESSAGE_SIZE];            /* why it diverged or was closed */
    float loss, gradient_norm, learning_rate; /* of "stepped" */
    uint64_t rows, samples;
};

struct cli_published {
    struct cli_stamp stamp;
    char version_id[MR_ID_SIZE], semantic_version[MR_ID_SIZE], run_id[MR_ID_SIZE], message[CLI_MESSAGE_SIZE];
    char content_hash[MR_SHA256_TEXT_SIZE], record_hash[MR_SHA256_TEXT_SIZE], commit_id[MR_SHA256_TEXT_SIZE];
    uint64_t counter, step, size, samples;
    int64_t event_time_ms;
    float loss;
};

/* REJECT "unreadable" names the record. */
MR_MUST_USE struct mr_error cli_metric_read(const struct mr_log_record *record, struct cli_metric *ret_metric);
MR_MUST_USE struct mr_error cli_published_read(const struct mr_log_record *record, struct cli_published *ret_version);
/* NULL: out of memory. */
MR_MUST_USE json_t *cli_metric_json(const struct cli_metric *metric, const char *ce_id);
MR_MUST_USE json_t *cli_published_json(const struct cli_published *version, const char *ce_id);

/* Which events of a topic were seen already. A model's origins only grow, and equal ce_ids have equal origins: so the
 * last origin of each model is all that has to be remembered. Zeroed memory has seen none. */
struct cli_seen {
    void *tree;
    struct seen_model *list;
};
/* *ret_new false: an event that repeats an earlier one. FATAL "out_of_memory". */
MR_MUST_USE struct mr_error cli_seen_note(struct cli_seen *seen, const struct cli_stamp *stamp, bool *ret_new);
void cli_seen_deinit(struct cli_seen *seen);

#endif
