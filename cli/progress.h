/* Where each stage and each model stands, gathered from Kafka alone. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "public_event.h"

#include "millrace/clock.h"
#include "millrace/lag.h"

enum { PROGRESS_STAGES = 7, PROGRESS_MODELS_MAX = 256 };

/* A stage's input topic, and the group that commits how far it was read. */
struct progress_stage {
    const char *stage, *topic, *group;
};
extern const struct progress_stage progress_stages[PROGRESS_STAGES];

struct progress_model {
    char model_id[MR_ID_SIZE], run_id[MR_ID_SIZE];
    /* "training", "diverged", "completed", "failed", "cancelled"; "unknown" until an event says it; static storage */
    const char *phase;
    uint64_t step, samples;
    bool has_loss, has_version;
    float loss;
    uint64_t version;
    char semantic_version[MR_ID_SIZE];
    uint64_t steps_seen; /* since the rate was last taken */
    double steps_per_second;
};

struct progress {
    struct cli_session *session;
    struct mr_lag_asker *asker;
    struct mr_lag lags[PROGRESS_STAGES]; /* of each stage's input */
    struct progress_model models[PROGRESS_MODELS_MAX];
    size_t model_count;
    uint64_t models_left_out; /* records of models beyond the bound */
    struct cli_seen seen_metrics, seen_versions;
};

MR_MUST_USE struct mr_error progress_open(struct progress *progress, struct cli_session *session,
                                          const struct cli_brokers *brokers);
void progress_close(struct progress *progress);

/* Asks for ends and committed offsets. */
MR_MUST_USE struct mr_error progress_measure(struct progress *progress);
/* Takes a record of the metrics or versions topic into account; others are ignored. `self` is the progress. */
MR_MUST_USE struct mr_error progress_note(void *self, const struct mr_log_record *record);
/* The steps of each model since the last call, over that many seconds. */
void progress_take_rates(struct progress *progress, double seconds);

/* NULL: out of memory. */
MR_MUST_USE json_t *progress_json(const struct progress *progress);
MR_MUST_USE struct mr_error progress_print(const struct progress *progress, FILE *out);

#endif
