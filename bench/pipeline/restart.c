/*
 * millrace-bench-restart: kills one service after the other (SIGKILL) and measures, from the kill on, until its
 * successor says that it is ready, and until it has handled the record that was submitted right after the kill. The
 * supervisor of ./dev up starts the successor, with the port of the one before.
 */
#include "events.h"
#include "probe.h"
#include "report.h"

#include "millrace/config.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_MS = 5, RECORDS_MAX = 1024 };

struct config {
    const char *brokers, *name, *processes, *report;
    uint64_t patience_s;
};
#define ROW(option, field_, kind_, fallback_, min_, max_, help_)                                               \
    {                                                                                                          \
        .name = (option), .kind = (kind_), .offset = offsetof(struct config, field_), .fallback = (fallback_), \
        .min = (min_), .max = (max_), .help = (help_)                                                          \
    }
static const struct mr_option rows[] = {
    ROW("brokers", brokers, MR_OPTION_TEXT, NULL, 0, 0, "Kafka bootstrap servers."),
    ROW("name", name, MR_OPTION_TEXT, "restart", 0, 0,
        "Of the run, and what its model's name begins with; new each time."),
    ROW("processes", processes, MR_OPTION_TEXT, NULL, 0, 0,
        "The services to kill, in this order: NAME:PID:PORT of /readyz, joined by commas."),
    ROW("patience", patience_s, MR_OPTION_COUNT, "60", 1, 86400, "Seconds that a service may take."),
    ROW("report", report, MR_OPTION_TEXT, "-", 0, 0, "File for the figures as JSON; - is standard output."),
};
static const struct mr_option_table table = {"millrace-bench-restart", "Kill each service, and time its return.", rows,
                                             MR_COUNT_OF(rows)};

/* What a service writes when it has handled a record. */
static const struct {
    const char *service;
    enum bench_point point;
} outputs[] = {
    {"ingest", BENCH_INGESTED}, {"validate", BENCH_VALIDATED}, {"stage_gpu", BENCH_STAGED},
    {"train", BENCH_TRAINED},   {"persist", BENCH_COMMITTED},  {"publish", BENCH_METRIC},
};

struct restarts {
    const struct config *config;
    struct bench_plan plan;
    struct bench_session session;
    struct mr_buffer value;
    uint64_t batches;
    json_t *figures;
};

static struct mr_error find_output(const struct bench_process *process, enum bench_point *ret_point)
{
    for (size_t i = 0; i < MR_COUNT_OF(outputs); i++) {
        if (strcmp(outputs[i].service, process->name) == 0 && process->port > 0) {
            *ret_point = outputs[i].point;
            return mr_ok();
        }
    }
    return mr_error_make(MR_ERROR_REJECT, "bad_processes", 0,
                         "--processes: expected SERVICE:PID:PORT of Millrace's services, not %s", process->name);
}

static struct mr_error send(struct restarts *restarts, struct mr_error error)
{
    char model_id[MR_ID_SIZE];
    MR_TRY(error);
    bench_model_id(&restarts->plan, 0, model_id);
    return bench_session_send(&restarts->session, model_id, mr_buffer_view(&restarts->value),
                              bench_now_us(&restarts->session));
}

static struct mr_error send_batch(struct restarts *restarts)
{
    MR_TRY(send(restarts, bench_encode_batch(&restarts->plan, restarts->batches, &restarts->value)));
    restarts->batches++;
    return mr_ok();
}

static bool came(const struct restarts *restarts, enum bench_point point, size_t record)
{
    return restarts->session.latency_us[point][record] != BENCH_NEVER;
}

static struct mr_error hear(struct restarts *restarts, uint32_t wait_ms, int64_t since_us)
{
    MR_TRY(bench_session_hear(&restarts->session, wait_ms));
    if (bench_now_us(&restarts->session) - since_us > (int64_t)restarts->config->patience_s * 1000000) {
        return mr_error_make(MR_ERROR_TRANSIENT, "no_progress", 0, "a record did not come through within %" PRIu64 " s",
                             restarts->config->patience_s);
    }
    return mr_ok();
}

/* Until the last record has come everywhere: a start makes no version, every batch and no stop behind one does. */
static struct mr_error settle(struct restarts *restarts, bool version)
{
    const size_t record = restarts->session.sent - 1;
    const int64_t since_us = bench_now_us(&restarts->session);
    while (!came(restarts, BENCH_METRIC, record) || (version && !came(restarts, BENCH_VERSION, record))) {
        MR_TRY(hear(restarts, LOOK_MS, since_us));
    }
    return mr_ok();
}

static struct mr_error restart(struct restarts *restarts, const struct bench_process *process)
{
    enum bench_point point = BENCH_TRAINED;
    MR_TRY(find_output(process, &point));
    MR_TRY(send_batch(restarts));
    MR_TRY(settle(restarts, true));
    const int64_t killed_us = bench_now_us(&restarts->session);
    if (kill(process->pid, SIGKILL) != 0) {
        return mr_error_make(MR_ERROR_REJECT, "process_ended", errno, "%s (pid %ld) is not there", process->name,
                             (long)process->pid);
    }
    MR_TRY(send_batch(restarts));
    const size_t record = restarts->session.sent - 1;
    int64_t ready_us = 0;
    while (ready_us == 0 || !came(restarts, point, record)) {
        char reason[SUPERVISE_REASON_SIZE];
        MR_TRY(hear(restarts, LOOK_MS, killed_us));
        if (ready_us == 0 && supervise_probe_http(process->port, reason)) {
            ready_us = bench_now_us(&restarts->session);
        }
    }
    MR_TRY(settle(restarts, true));
    const struct bench_record *sent = &restarts->session.records[record];
    const double handled_us = (double)(sent->due_us - killed_us) + restarts->session.latency_us[point][record];
    (void)json_object_set_new(restarts->figures, process->name,
                              json_pack("{s:f, s:f}", "ready_ms", (double)(ready_us - killed_us) / 1000,
                                        "next_record_ms", handled_us / 1000));
    return mr_ok();
}

static struct mr_error run(struct restarts *restarts, const struct bench_processes *processes)
{
    MR_TRY(send(restarts, bench_encode_start(&restarts->plan, 0, &restarts->value)));
    MR_TRY(settle(restarts, false));
    for (size_t i = 0; i < processes->count; i++) {
        MR_TRY(restart(restarts, &processes->of[i]));
    }
    MR_TRY(send(restarts, bench_encode_stop(&restarts->plan, 0, &restarts->value)));
    MR_TRY(settle(restarts, false));
    return bench_report_write(json_incref(restarts->figures), restarts->config->report);
}

static struct mr_error measure(const struct config *config)
{
    struct bench_processes processes;
    MR_TRY(bench_processes_parse(config->processes, &processes));
    struct restarts restarts = {.config = config, .plan = {.name = config->name, .models = 1, .commit_every = 1}};
    MR_TRY(bench_session_open(config->brokers, 0, true, RECORDS_MAX, &restarts.session));
    restarts.figures = json_object();
    const struct mr_error error = run(&restarts, &processes);
    json_decref(restarts.figures);
    bench_session_close(&restarts.session);
    mr_buffer_deinit(&restarts.value);
    return error;
}

int main(int argc, char *argv[])
{
    struct config config = {0};
    struct mr_error error = mr_config_load(&table, &config, argc, argv, NULL, 0, NULL);
    if (mr_failed(error)) {
        const bool help = strcmp(error.code, "help") == 0;
        mr_config_help(&table, help ? stdout : stderr);
        if (!help) {
            (void)fprintf(stderr, "%s: %s\n", table.program, error.detail);
        }
        return help ? MR_EXIT_OK : MR_EXIT_USAGE;
    }
    error = measure(&config);
    if (mr_failed(error)) {
        (void)fprintf(stderr, "%s: %s\n", table.program, error.detail);
        return error.kind == MR_ERROR_TRANSIENT ? MR_EXIT_RETRY : MR_EXIT_FAILED;
    }
    return MR_EXIT_OK;
}
