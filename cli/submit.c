/* millrace submit: starts, batches and stops, numbered, and accepted once the broker has acknowledged them. */
#include "submit.h"

#include <inttypes.h>

#define TYPE struct submit_config
static const struct mr_option rows[] = {
    CLI_ROWS_BROKERS(TYPE),
    CLI_ROW_FORMAT(TYPE),
    CLI_ROW_TEXT(TYPE, "model", model, "", "Model id; JSON lines may name their own."),
    CLI_ROW_TEXT(TYPE, "run", run, "", "Run id; JSON lines may name their own."),
    CLI_ROW_FLAG(TYPE, "start", start, "Start the run first, with --spec."),
    CLI_ROW_TEXT(TYPE, "spec", spec, "", "Run spec as JSON, for --start."),
    CLI_ROW_TEXT(TYPE, "jsonl", jsonl, "", "Events, one JSON object a line; - is standard input."),
    CLI_ROW_TEXT(TYPE, "contracts", contracts, "",
                 "CSV of contracts with the header X0,K,T,r,d,v; - is standard input."),
    CLI_ROW_TEXT(TYPE, "sobol", sobol, "", "START:COUNT points of the run's Sobol sequence."),
    CLI_ROW_TEXT(TYPE, "features", features, "", "Features of a labelled job, .npy of float32 (rows, features)."),
    CLI_ROW_TEXT(TYPE, "targets", targets, "", "Targets of a labelled job, .npy of float32 (rows, targets, 2)."),
    CLI_ROW_COUNT(TYPE, "rows-per-batch", rows_per_batch, "32", 1, UINT32_MAX,
                  "Rows of one batch; the last may have fewer."),
    CLI_ROW_FLAG(TYPE, "stop", stop, "Stop the run at the end."),
    CLI_ROW(TYPE, "outcome", outcome, MR_OPTION_CHOICE, "completed", 0, 0, "completed|failed|cancelled",
            "How --stop says it ended."),
    CLI_ROW_TEXT(TYPE, "reason", reason, "", "Why, for --stop."),
    CLI_ROW_TEXT(TYPE, "producer", producer, "", "Producer id; made up when it is not given."),
    CLI_ROW_COUNT(TYPE, "epoch", epoch, "0", 0, UINT32_MAX, "Producer epoch; 0: the seconds since 1970."),
    CLI_ROW_COUNT(TYPE, "sequence", sequence, "1", 0, INT64_MAX, "Sequence number of the first batch."),
    CLI_ROW_COUNT(TYPE, "rate", rate, "0", 0, 1000000, "Batches a second at most; 0: no limit."),
    CLI_ROW_COUNT(TYPE, "timeout", timeout_s, "30", 1, 86400,
                  "Seconds without any acknowledgement after which it gives up, with exit code 75."),
};
static const struct mr_option_table table = {"millrace submit", "Send run starts, batches and run stops.", rows,
                                             MR_COUNT_OF(rows)};

static bool given(const char *text)
{
    return text[0] != '\0';
}

static bool is_id(const char *text)
{
    return mr_id_valid(mr_bytes_of_text(text));
}

/* MR_EXIT_OK, or the mistake is told. */
static int check(const struct submit_config *config)
{
    const bool batches = given(config->contracts) || given(config->sobol) || given(config->features);
    if (!config->start && !config->stop && !batches && !given(config->jsonl)) {
        return cli_usage("millrace submit: nothing to send: --start, --jsonl, --contracts, --sobol, --features with "
                         "--targets, --stop");
    }
    if (config->start != given(config->spec)) {
        return cli_usage("millrace submit: --start and --spec go together");
    }
    if (given(config->features) != given(config->targets)) {
        return cli_usage("millrace submit: --features and --targets go together");
    }
    const bool named = config->start || config->stop || batches;
    if ((named || given(config->model)) && !is_id(config->model)) {
        return cli_usage(
            "millrace submit: --model: expected 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit");
    }
    if ((named || given(config->run)) && !is_id(config->run)) {
        return cli_usage("millrace submit: --run: expected 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit");
    }
    return MR_EXIT_OK;
}

/* In the order in which they make sense for one run. */
static struct mr_error send_all(struct submitter *submitter)
{
    const struct submit_config *config = submitter->config;
    const struct {
        bool wanted;
        struct mr_error (*send)(struct submitter *);
    } sources[] = {
        {config->start, submit_start_run},         {given(config->jsonl), submit_jsonl},
        {given(config->sobol), submit_sobol},      {given(config->contracts), submit_contracts},
        {given(config->features), submit_tensors}, {config->stop, submit_stop_run},
    };
    for (size_t i = 0; i < MR_COUNT_OF(sources); i++) {
        if (sources[i].wanted) {
            MR_TRY(sources[i].send(submitter));
        }
    }
    return mr_ok();
}

static int report(const struct submitter *submitter)
{
    if (cli_wants_json(submitter->config->format)) {
        return cli_print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I}", "accepted",
                                        (json_int_t)submitter->accepted, "starts", (json_int_t)submitter->starts,
                                        "batches", (json_int_t)submitter->batches, "rows", (json_int_t)submitter->rows,
                                        "stops", (json_int_t)submitter->stops, "producer_id", submitter->producer_id,
                                        "epoch", (json_int_t)submitter->epoch, "next_sequence",
                                        (json_int_t)submitter->next_sequence),
                              true);
    }
    (void)printf("accepted %" PRIu64 " of %" PRIu64 ": %" PRIu64 " starts, %" PRIu64 " batches, %" PRIu64 " stops\n",
                 submitter->accepted, submitter->events, submitter->starts, submitter->batches, submitter->stops);
    return MR_EXIT_OK;
}

/* Not acknowledged is not known, so that the way on is to send the same again under the same numbers. */
static void advise(const struct submitter *submitter)
{
    if (submitter->accepted == submitter->events) {
        return;
    }
    (void)fprintf(stderr,
                  "submit: %" PRIu64 " of %" PRIu64 " events are accepted; whether the others arrived is not known. To "
                  "send the same batches\nagain, which is safe: the same command with --producer=%s --epoch=%" PRIu32
                  " --sequence=%" PRIu64 "\n%sBatches that were accepted are recognised as duplicates.\n",
                  submitter->accepted, submitter->events, submitter->producer_id, submitter->epoch,
                  submitter->config->sequence,
                  submitter->starts > 0 ? "(without --start and --spec if the run is open).\n" : "");
}

static int run(const void *options, const struct cli_rest *rest)
{
    (void)rest;
    const struct submit_config *config = options;
    const int wrong = check(config);
    if (wrong != MR_EXIT_OK) {
        return wrong;
    }
    struct submitter submitter;
    struct mr_error error = submit_open(config, &submitter);
    if (mr_failed(error)) {
        return cli_fail(&error);
    }
    error = send_all(&submitter);
    /* What was sent before a mistake is on its way, and is counted. */
    const struct mr_error finished =
        error.kind == MR_ERROR_NONE || error.kind == MR_ERROR_REJECT ? submit_finish(&submitter) : mr_ok();
    error = mr_failed(error) ? error : finished;
    const int reported = report(&submitter);
    if (mr_failed(error)) {
        advise(&submitter);
    }
    submit_close(&submitter);
    return mr_failed(error) ? cli_fail(&error) : reported;
}

const struct cli_verb cli_verb_submit = {"submit", "", 0, &table, sizeof(TYPE), run};
