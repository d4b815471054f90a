/*
 * millrace-bench-pipeline: submits a stream of small batches over many models to a running pipeline, and measures what
 * comes of it: events a second, latency behind every stage, freshness of versions, processor time and memory.
 *
 * With --rate it submits when a batch is due, whatever becomes of those before, and latency counts from then on: a
 * sender that was held up makes it longer, not shorter. Without, it keeps --backlog batches under way.
 */
#include "events.h"
#include "report.h"

#include "millrace/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 100, BURST = 64 };

struct config {
    const char *brokers, *name, *processes, *report, *poison_claim;
    uint64_t models, events, first, warm_up, rate, backlog, commit_every, slice, linger_ms, patience_s;
    uint64_t poison, poison_models;
    bool start, stop, all_points;
};
#define ROW(option, field_, kind_, fallback_, min_, max_, help_)                                               \
    {                                                                                                          \
        .name = (option), .kind = (kind_), .offset = offsetof(struct config, field_), .fallback = (fallback_), \
        .min = (min_), .max = (max_), .help = (help_)                                                          \
    }
#define ROW_TEXT(option, field, fallback, help) ROW(option, field, MR_OPTION_TEXT, fallback, 0, 0, help)
#define ROW_COUNT(option, field, fallback, min, max, help) ROW(option, field, MR_OPTION_COUNT, fallback, min, max, help)
#define ROW_FLAG(option, field, help) ROW(option, field, MR_OPTION_FLAG, "false", 0, 0, help)
static const struct mr_option rows[] = {
    ROW_TEXT("brokers", brokers, NULL, "Kafka bootstrap servers."),
    ROW_TEXT("name", name, "bench", "Of the run, and what the models' names begin with."),
    ROW_COUNT("models", models, "100", 1, 100000, "Models that the batches are dealt to, in turn."),
    ROW_COUNT("events", events, "10000", 0, 100000000, "Batches to submit."),
    ROW_COUNT("first", first, "0", 0, 1000000000,
              "Number of the first batch: what earlier loads of the name submitted."),
    ROW_COUNT("warm-up", warm_up, "0", 0, 100000000, "Batches at the beginning that no figure is of."),
    ROW_COUNT("rate", rate, "0", 0, 1000000, "Batches a second; 0: as fast as they are trained."),
    ROW_COUNT("backlog", backlog, "2000", 0, 100000000,
              "Without --rate: batches under way between submitted and trained at most; 0: no limit."),
    ROW_COUNT("commit-every", commit_every, "0", 0, 1000000,
              "Steps of a model between two versions; 0: only the last."),
    ROW_COUNT("poison", poison, "0", 0, 100000000,
              "Poisoned batches that are submitted among the others, to models of their own."),
    ROW_COUNT("poison-models", poison_models, "20", 1, 100000, "How many models these are dealt to."),
    ROW_TEXT("poison-claim", poison_claim, "", "Absolute path of a socket: a claim of it cannot be read."),
    ROW_FLAG("start", start, "Start the runs first."),
    ROW_FLAG("stop", stop, "Stop the runs at the end."),
    ROW_FLAG("all-points", all_points, "Measure behind every stage, not only trained and versions."),
    ROW_COUNT("slice", slice, "0", 0, 100000000, "Batches of a slice; what each costs is reported apart. 0: none."),
    ROW_TEXT("processes", processes, "", "Processes to measure: NAME:PID, joined by commas."),
    ROW_COUNT("linger-ms", linger_ms, "0", 0, 1000, "How long a submitted record may wait for others."),
    ROW_COUNT("patience", patience_s, "60", 1, 86400, "Seconds without any progress after which it gives up."),
    ROW_TEXT("report", report, "-", "File for the figures as JSON; - is standard output."),
};
static const struct mr_option_table table = {
    "millrace-bench-pipeline", "Submit a stream to a running pipeline, and measure it.", rows, MR_COUNT_OF(rows)};

struct load {
    const struct config *config;
    struct bench_plan plan;
    struct bench_session session;
    struct bench_processes processes;
    struct bench_measures measures;
    struct mr_buffer value;
    uint64_t starts, batches;            /* submitted */
    size_t first_measured, end_measured; /* records, from the end of the warm-up on */
    int64_t began_us;
    uint32_t *late_us; /* by batch: how much later than it was due it was submitted */
};

/* ---- Waiting -------------------------------------------------------------------------------------------------- */

static uint64_t trained_batches(const struct load *load)
{
    const uint64_t all = load->session.seen[BENCH_TRAINED];
    const uint64_t batches = all > load->starts ? all - load->starts : 0;
    return batches < load->batches ? batches : load->batches;
}

/* Whether the next snapshot is due: behind the warm-up, then behind each slice. The last is taken at the end. */
static bool snapshot_due(const struct load *load)
{
    const uint64_t taken = load->measures.count, trained = trained_batches(load);
    if (load->began_us == 0 || (taken > 0 && load->config->slice == 0)) {
        return false;
    }
    const uint64_t at = load->config->warm_up + taken * load->config->slice;
    return trained >= at && trained < load->config->events;
}

static struct mr_error hear(struct load *load, uint32_t wait_ms)
{
    MR_TRY(bench_session_hear(&load->session, wait_ms));
    const int64_t now_us = bench_now_us(&load->session);
    if (snapshot_due(load)) {
        MR_TRY(bench_measures_take(&load->measures, now_us, trained_batches(load)));
    }
    MR_TRY(bench_measures_look(&load->measures, now_us));
    if (now_us - load->session.progress_us > (int64_t)load->config->patience_s * 1000000) {
        return mr_error_make(MR_ERROR_TRANSIENT, "no_progress", 0,
                             "nothing came for %" PRIu64 " s; of %zu records %" PRIu64 " are acknowledged, %" PRIu64
                             " trained, %" PRIu64 " versions are published",
                             load->config->patience_s, load->session.sent, load->session.seen[BENCH_ACKNOWLEDGED],
                             load->session.seen[BENCH_TRAINED], load->session.seen[BENCH_VERSION]);
    }
    return mr_ok();
}

static struct mr_error await_trained(struct load *load)
{
    while (load->session.seen[BENCH_TRAINED] < load->session.sent - load->session.poisoned ||
           load->session.seen[BENCH_ACKNOWLEDGED] < load->session.sent) {
        MR_TRY(hear(load, WAIT_MS));
    }
    return mr_ok();
}

static struct mr_error await_buried(struct load *load)
{
    while (load->session.buried < load->session.poisoned) {
        MR_TRY(hear(load, WAIT_MS));
    }
    return mr_ok();
}

static struct mr_error await_versions(struct load *load, bool stop)
{
    const uint64_t due = bench_versions_due(&load->plan, load->config->first, load->config->events, stop);
    while (load->session.seen[BENCH_VERSION] < due ||
           (load->config->all_points && load->session.seen[BENCH_METRIC] < load->session.sent)) {
        MR_TRY(hear(load, WAIT_MS));
    }
    return mr_ok();
}

/* ---- Submitting ----------------------------------------------------------------------------------------------- */

static struct mr_error send_to_each(struct load *load, uint64_t models,
                                    struct mr_error (*encode)(const struct bench_plan *, uint64_t, struct mr_buffer *))
{
    for (uint64_t model = 0; model < models; model++) {
        char model_id[MR_ID_SIZE];
        bench_model_id(&load->plan, model, model_id);
        MR_TRY(encode(&load->plan, model, &load->value));
        MR_TRY(
            bench_session_send(&load->session, model_id, mr_buffer_view(&load->value), bench_now_us(&load->session)));
        MR_TRY(hear(load, 0));
    }
    return mr_ok();
}

static int64_t due_us(const struct load *load)
{
    return load->began_us + (int64_t)(load->batches * 1000000 / load->config->rate);
}

/* Whether another batch may go now; if not, how long nothing will change but by what is heard. */
static bool may_send(const struct load *load, uint32_t *ret_wait_ms)
{
    *ret_wait_ms = WAIT_MS;
    if (load->batches == load->config->events) {
        return false;
    }
    if (load->config->rate == 0) {
        return load->config->backlog == 0 || load->batches - trained_batches(load) < load->config->backlog;
    }
    const int64_t left_us = due_us(load) - bench_now_us(&load->session);
    if (left_us > 0 && left_us < WAIT_MS * INT64_C(1000)) {
        *ret_wait_ms = (uint32_t)(left_us + 999) / 1000;
    }
    return left_us <= 0;
}

/* Poison is spread evenly among the batches. */
static struct mr_error send_poison(struct load *load)
{
    const struct config *config = load->config;
    while (load->session.poisoned * config->events < load->batches * config->poison) {
        char model_id[MR_ID_SIZE];
        bench_model_id(&load->plan, bench_poison_model_of(&load->plan, load->session.poisoned), model_id);
        MR_TRY(bench_encode_poison(&load->plan, load->session.poisoned, config->poison_claim, &load->value));
        MR_TRY(
            bench_session_poison(&load->session, model_id, mr_buffer_view(&load->value), bench_now_us(&load->session)));
    }
    return mr_ok();
}

static struct mr_error send_batch(struct load *load)
{
    const uint64_t number = load->config->first + load->batches;
    char model_id[MR_ID_SIZE];
    bench_model_id(&load->plan, bench_model_of(&load->plan, number), model_id);
    MR_TRY(bench_encode_batch(&load->plan, number, &load->value));
    const int64_t now_us = bench_now_us(&load->session), from_us = load->config->rate > 0 ? due_us(load) : now_us;
    load->late_us[load->batches] = (uint32_t)(now_us - from_us);
    MR_TRY(bench_session_send(&load->session, model_id, mr_buffer_view(&load->value), from_us));
    load->batches++;
    MR_TRY(send_poison(load));
    load->first_measured = load->batches == load->config->warm_up ? load->session.sent : load->first_measured;
    return mr_ok();
}

static struct mr_error send_batches(struct load *load)
{
    load->began_us = bench_now_us(&load->session);
    load->first_measured = load->session.sent;
    while (load->batches < load->config->events) {
        uint32_t wait_ms = 0;
        bool sent = false;
        for (int burst = 0; burst < BURST && may_send(load, &wait_ms); burst++) {
            MR_TRY(send_batch(load));
            sent = true;
        }
        MR_TRY(hear(load, sent ? 0 : wait_ms));
    }
    return mr_ok();
}

static struct mr_error run(struct load *load)
{
    if (load->config->start) {
        load->starts = load->plan.models + (load->config->poison > 0 ? load->plan.poison_models : 0);
        MR_TRY(send_to_each(load, load->starts, bench_encode_start));
        MR_TRY(await_trained(load));
    }
    MR_TRY(send_batches(load));
    load->end_measured = load->session.sent;
    MR_TRY(await_trained(load));
    MR_TRY(bench_measures_take(&load->measures, bench_now_us(&load->session), load->batches));
    MR_TRY(await_versions(load, false));
    MR_TRY(await_buried(load));
    if (load->config->stop) {
        MR_TRY(send_to_each(load, load->plan.models, bench_encode_stop));
        MR_TRY(await_trained(load));
        MR_TRY(await_versions(load, true));
    }
    return mr_ok();
}

/* ---- Reporting ------------------------------------------------------------------------------------------------ */

static json_t *slices_json(const struct bench_measures *measures)
{
    json_t *slices = json_array();
    for (size_t i = 1; i < measures->count; i++) {
        (void)json_array_append_new(
            slices, bench_report_between(measures->processes, &measures->snapshots[i - 1], &measures->snapshots[i]));
    }
    return slices;
}

static json_t *repeated_json(const struct bench_session *session)
{
    json_t *repeated = json_object();
    for (size_t point = 0; point < BENCH_POINTS; point++) {
        (void)json_object_set_new(repeated, bench_point_text((enum bench_point)point),
                                  json_integer((json_int_t)session->repeated[point]));
    }
    return repeated;
}

static json_t *report_json(const struct load *load)
{
    const struct config *config = load->config;
    const struct bench_measures *measures = &load->measures;
    const size_t first = load->first_measured, end = load->end_measured;
    json_t *report = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", config->name, "partitions",
        (json_int_t)load->session.deployment.partitions, "models", (json_int_t)config->models, "events",
        (json_int_t)config->events, "first", (json_int_t)config->first, "warm_up", (json_int_t)config->warm_up, "rate",
        (json_int_t)config->rate, "backlog", (json_int_t)(config->rate > 0 ? 0 : config->backlog), "payload_bytes",
        (json_int_t)BENCH_PAYLOAD_BYTES, "commit_every", (json_int_t)config->commit_every, "versions",
        (json_int_t)load->session.seen[BENCH_VERSION], "dead_letters", (json_int_t)load->session.buried);
    (void)json_object_set_new(report, "latency_ms", bench_report_latency(&load->session, first, end));
    struct bench_percentiles late;
    if (bench_percentiles_sort(load->late_us + config->warm_up, (size_t)(load->batches - config->warm_up), &late)) {
        (void)json_object_set_new(report, "sender_late_ms", bench_report_percentiles(&late));
    }
    (void)json_object_set_new(
        report, "steady",
        bench_report_between(measures->processes, &measures->snapshots[0], &measures->snapshots[measures->count - 1]));
    (void)json_object_set_new(report, "processes", bench_report_processes(measures));
    (void)json_object_set_new(report, "slices", config->slice > 0 ? slices_json(measures) : json_array());
    (void)json_object_set_new(report, "repeated", repeated_json(&load->session));
    return report;
}

/* ---- Running -------------------------------------------------------------------------------------------------- */

static struct mr_error open_load(const struct config *config, struct load *ret_load)
{
    *ret_load = (struct load){.config = config,
                              .plan = {.name = config->name,
                                       .models = config->models,
                                       .poison_models = config->poison_models,
                                       .commit_every = config->commit_every}};
    if (!mr_id_valid(mr_bytes_of_text(config->name)) || strlen(config->name) > 40) {
        return mr_error_make(MR_ERROR_REJECT, "bad_id", 0, "--name: expected 1 to 40 of a-z 0-9 . _ -");
    }
    if (config->warm_up > config->events) {
        return mr_error_make(MR_ERROR_REJECT, "bad_warm_up", 0, "--warm-up is more than --events");
    }
    if (config->poison > 0 && (config->poison_claim[0] != '/' || config->events == 0)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_poison", 0, "--poison takes --events and --poison-claim=/...");
    }
    MR_TRY(bench_processes_parse(config->processes, &ret_load->processes));
    MR_TRY(bench_processes_add_self("load", &ret_load->processes));
    ret_load->late_us = calloc((size_t)config->events + 1, sizeof *ret_load->late_us);
    if (ret_load->late_us == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the benchmark's records");
    }
    const size_t slices = config->slice == 0 ? 0 : (size_t)(config->events / config->slice);
    MR_TRY(bench_measures_open(&ret_load->processes, slices + 4, &ret_load->measures));
    return bench_session_open(config->brokers, (uint32_t)config->linger_ms, config->all_points,
                              (size_t)(config->events + config->poison + 2 * config->models + config->poison_models),
                              &ret_load->session);
}

static void close_load(struct load *load)
{
    if (load->session.log != NULL) {
        bench_session_close(&load->session);
    }
    bench_measures_close(&load->measures);
    mr_buffer_deinit(&load->value);
    free(load->late_us);
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
    struct load load;
    error = open_load(&config, &load);
    if (!mr_failed(error)) {
        error = run(&load);
    }
    if (!mr_failed(error)) {
        error = bench_report_write(report_json(&load), config.report);
    }
    close_load(&load);
    if (mr_failed(error)) {
        (void)fprintf(stderr, "%s: %s\n", table.program, error.detail);
        return error.kind == MR_ERROR_TRANSIENT ? MR_EXIT_RETRY : MR_EXIT_FAILED;
    }
    return MR_EXIT_OK;
}
