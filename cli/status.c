/* millrace status | top: stages, lag, rate, loss and versions, once or live. */
#include "progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

struct status_config {
    struct cli_brokers brokers;
    const char *format;
    uint64_t last, count, interval_ms;
};
#define TYPE struct status_config
static const struct mr_option status_rows[] = {
    CLI_ROWS_BROKERS(TYPE),
    CLI_ROW_FORMAT(TYPE),
    CLI_ROW_COUNT(TYPE, "last", last, "1000", 1, INT64_MAX,
                  "How far back the models are looked for, in records of a partition."),
};
static const struct mr_option top_rows[] = {
    CLI_ROWS_BROKERS(TYPE),
    CLI_ROW_FORMAT(TYPE),
    CLI_ROW_COUNT(TYPE, "last", last, "1000", 1, INT64_MAX,
                  "How far back the models are looked for at first, in records of a partition."),
    CLI_ROW_COUNT(TYPE, "count", count, "0", 0, INT64_MAX, "End after so many pictures; 0: until interrupted."),
    CLI_ROW_COUNT(TYPE, "interval-ms", interval_ms, "1000", 100, 60000, "Between two pictures."),
};
static const struct mr_option_table status_table = {"millrace status", "Stages, lag, models and versions, once.",
                                                    status_rows, MR_COUNT_OF(status_rows)};
static const struct mr_option_table top_table = {"millrace top", "The same with rates, live.", top_rows,
                                                 MR_COUNT_OF(top_rows)};

/* What the public topics said last of each model. */
static struct mr_error look_back(struct progress *progress, uint64_t last)
{
    MR_TRY(cli_scan(progress->session, MR_TOPIC_VERSIONS, last, progress_note, progress));
    return cli_scan(progress->session, MR_TOPIC_METRICS, last, progress_note, progress);
}

static struct mr_error show(const struct progress *progress, const char *format, bool redraw)
{
    if (cli_wants_json(format)) {
        return cli_print_json(progress_json(progress), true) == MR_EXIT_OK
                   ? mr_ok()
                   : mr_error_make(MR_ERROR_TRANSIENT, "standard_output", 0, "cannot write the answer");
    }
    if (redraw) {
        (void)fputs("\033[H\033[2J", stdout); /* home, clear */
    }
    MR_TRY(progress_print(progress, stdout));
    (void)fputs(redraw ? "" : "\n", stdout);
    return fflush(stdout) == 0 ? mr_ok()
                               : mr_error_make(MR_ERROR_TRANSIENT, "standard_output", 0, "cannot write the answer");
}

/* Reads what is published until the next picture is due. */
static struct mr_error watch(struct progress *progress, const struct mr_clock *clock, uint64_t interval_ms)
{
    int64_t now_us = mr_clock_monotonic_us(clock);
    const int64_t due_us = now_us + (int64_t)interval_ms * 1000;
    while (now_us < due_us) {
        bool some = false;
        MR_TRY(cli_next(progress->session, (uint32_t)((due_us - now_us) / 1000 + 1), &some, progress_note, progress));
        now_us = mr_clock_monotonic_us(clock);
    }
    return mr_ok();
}

static struct mr_error live(struct progress *progress, const struct status_config *config)
{
    const struct mr_clock clock = mr_clock_system();
    const bool redraw = !cli_wants_json(config->format) && isatty(STDOUT_FILENO) == 1;
    MR_TRY(cli_follow(progress->session, MR_TOPIC_METRICS, false));
    MR_TRY(cli_follow(progress->session, MR_TOPIC_VERSIONS, false));
    /* After the ends were taken: what falls between is seen twice, not missed. */
    MR_TRY(look_back(progress, config->last));
    progress_take_rates(progress, 0);
    int64_t taken_us = mr_clock_monotonic_us(&clock);
    for (uint64_t shown = 0; config->count == 0 || shown < config->count; shown++) {
        MR_TRY(watch(progress, &clock, config->interval_ms));
        /* Over all the time since the last picture: what comes while offsets are asked for is read in the next watch.
         */
        const int64_t now_us = mr_clock_monotonic_us(&clock);
        progress_take_rates(progress, (double)(now_us - taken_us) / 1e6);
        taken_us = now_us;
        MR_TRY(progress_measure(progress));
        MR_TRY(show(progress, config->format, redraw));
    }
    return mr_ok();
}

static struct mr_error once(struct progress *progress, const struct status_config *config)
{
    MR_TRY(look_back(progress, config->last));
    MR_TRY(progress_measure(progress));
    return show(progress, config->format, false);
}

static int run(const struct status_config *config,
               struct mr_error (*picture)(struct progress *progress, const struct status_config *config))
{
    struct cli_session session;
    struct progress *progress = calloc(1, sizeof *progress);
    if (progress == NULL) {
        const struct mr_error error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "status");
        return cli_fail(&error);
    }
    struct mr_error error = cli_session_open(&config->brokers, CLI_READ, &session);
    if (!mr_failed(error)) {
        error = progress_open(progress, &session, &config->brokers);
        if (!mr_failed(error)) {
            error = picture(progress, config);
            progress_close(progress);
        }
        cli_session_close(&session);
    }
    free(progress);
    return mr_failed(error) ? cli_fail(&error) : MR_EXIT_OK;
}

static int run_status(const void *options, const struct cli_rest *rest)
{
    (void)rest;
    return run(options, once);
}

static int run_top(const void *options, const struct cli_rest *rest)
{
    (void)rest;
    return run(options, live);
}

const struct cli_verb cli_verb_status = {"status", "", 0, &status_table, sizeof(TYPE), run_status};
const struct cli_verb cli_verb_top = {"top", "", 0, &top_table, sizeof(TYPE), run_top};
