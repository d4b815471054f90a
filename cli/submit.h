/* Submitting: one producer that numbers its batches, and the sources that give it events. */
#ifndef CLI_SUBMIT_H
#define CLI_SUBMIT_H

#include "cli_session.h"

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/clock.h"

enum { SUBMIT_INLINE_MAX = 512 * 1024 };

struct submit_config {
    struct cli_brokers brokers;
    const char *format;
    const char *model, *run;
    bool start, stop;
    const char *spec, *outcome, *reason;
    const char *jsonl, *contracts, *sobol, *features, *targets;
    uint64_t rows_per_batch;
    const char *producer;
    uint64_t epoch, sequence;
    uint64_t rate, timeout_s;
};

struct submitter {
    const struct submit_config *config;
    struct cli_session session;
    struct mr_clock clock;
    char producer_id[MR_ID_SIZE];
    uint32_t epoch;
    uint64_t next_sequence; /* of the next batch */
    uint64_t events;        /* sent so far */
    uint64_t starts, batches, rows, stops;
    uint64_t accepted; /* acknowledged by the broker */
    int64_t began_us, told_us;
    int64_t waiting_us; /* since when nothing was acknowledged, while something is awaited */
};

/* Opens the session and chooses producer id and epoch. */
MR_MUST_USE struct mr_error submit_open(const struct submit_config *config, struct submitter *ret_submitter);
void submit_close(struct submitter *submitter);

/* Sends a start or a stop. */
MR_MUST_USE struct mr_error submit_event(struct submitter *submitter, const Millrace__Batch__V1__Submitted *event);
/* Sends a batch, when its turn has come (--rate); numbers it unless it names a producer. `batch_id` empty: made from
 * the number. REJECT "too_large" when it holds over 512 KiB of payload. */
MR_MUST_USE struct mr_error submit_batch(struct submitter *submitter, Millrace__Batch__V1__Batch *batch);
/* Waits until all that was sent is acknowledged. Like the two above, TRANSIENT "unacknowledged" when nothing has been
 * for --timeout seconds. */
MR_MUST_USE struct mr_error submit_finish(struct submitter *submitter);

/* The sources, each whole; the config says which. */
MR_MUST_USE struct mr_error submit_start_run(struct submitter *submitter);
MR_MUST_USE struct mr_error submit_stop_run(struct submitter *submitter);
MR_MUST_USE struct mr_error submit_jsonl(struct submitter *submitter);
MR_MUST_USE struct mr_error submit_contracts(struct submitter *submitter);
MR_MUST_USE struct mr_error submit_sobol(struct submitter *submitter);
MR_MUST_USE struct mr_error submit_tensors(struct submitter *submitter);

/* "START:COUNT". */
MR_MUST_USE bool submit_parse_range(const char *text, uint64_t *ret_start, uint64_t *ret_count);

#endif
