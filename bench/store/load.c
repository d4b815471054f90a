/*
 * millrace-bench-store: what a store takes for one request, and for what Millrace does with it: commits of one model
 * and of many side by side, and verification. Beside them SHA-256 as the library hashes, to compare verification with.
 */
#include "commits.h"
#include "report.h"

#include "millrace/config.h"
#include "millrace/versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_BYTES = 1024, HASH_BYTES = 1 << 20 };

struct config {
    const char *store, *report;
    uint64_t requests, commits, models, payload_bytes, workers, threads, hash_ms;
};
#define ROW(option, field_, kind_, fallback_, min_, max_, help_)                                               \
    {                                                                                                          \
        .name = (option), .kind = (kind_), .offset = offsetof(struct config, field_), .fallback = (fallback_), \
        .min = (min_), .max = (max_), .help = (help_)                                                          \
    }
static const struct mr_option rows[] = {
    ROW("store", store, MR_OPTION_TEXT, NULL, 0, 0, "file:///DIR or s3://BUCKET/PREFIX, empty."),
    ROW("requests", requests, MR_OPTION_COUNT, "200", 1, 1000000, "Puts and gets of 1 KiB, one after another."),
    ROW("commits", commits, MR_OPTION_COUNT, "100", 1, 100000, "Of each model."),
    ROW("models", models, MR_OPTION_COUNT, "16", 1, 10000, "That commit side by side."),
    ROW("payload-bytes", payload_bytes, MR_OPTION_COUNT, "65536", 8, 1073741824, "Of each checkpoint."),
    ROW("workers", workers, MR_OPTION_COUNT, "16", 1, 1024, "Operations on the store at once; persist has 16."),
    ROW("threads", threads, MR_OPTION_COUNT, "2", 0, 64, "That verify."),
    ROW("hash-ms", hash_ms, MR_OPTION_COUNT, "1000", 1, 60000, "How long to hash."),
    ROW("report", report, MR_OPTION_TEXT, "-", 0, 0, "File for the figures as JSON; - is standard output."),
};
static const struct mr_option_table table = {
    "millrace-bench-store", "Measure a store, and commits and verification on it.", rows, MR_COUNT_OF(rows)};

struct load {
    const struct config *config;
    struct mr_clock clock;
    struct mr_store *store;
    json_t *report;
};

static int64_t now_us(const struct load *load)
{
    return mr_clock_monotonic_us(&load->clock);
}

static void add_percentiles(json_t *to, const char *name, uint32_t *values, size_t count)
{
    struct bench_percentiles percentiles;
    if (bench_percentiles_sort(values, count, &percentiles)) {
        (void)json_object_set_new(to, name, bench_report_percentiles(&percentiles));
    }
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static struct mr_error one_request(struct load *load, bool put, uint64_t number, struct mr_bytes body, uint32_t *ret_us)
{
    char key[64];
    struct mr_buffer got = {0};
    (void)snprintf(key, sizeof key, "requests/%lu", (unsigned long)number);
    const int64_t began_us = now_us(load);
    const struct mr_store_result result =
        put ? mr_store_put(load->store, key, body, (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT})
            : mr_store_get(load->store, key, &got);
    *ret_us = (uint32_t)(now_us(load) - began_us);
    mr_buffer_deinit(&got);
    return result.outcome == MR_STORE_DONE
               ? mr_ok()
               : mr_error_make(MR_ERROR_TRANSIENT, "no_answer", result.native, "%s", result.detail);
}

/* The first ones connect and make folders, and are left out. */
static struct mr_error requests(struct load *load)
{
    static const char *const names[] = {"get", "put"};
    const uint64_t count = load->config->requests, warm_up = 5;
    static uint8_t body[REQUEST_BYTES];
    uint32_t *us = calloc(count + warm_up, sizeof *us);
    struct mr_error error = us == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "requests") : mr_ok();
    json_t *report = json_object();
    for (int put = 1; put >= 0 && !mr_failed(error); put--) {
        for (uint64_t i = 0; i < count + warm_up && !mr_failed(error); i++) {
            body[0] = (uint8_t)i;
            error = one_request(load, put == 1, i, mr_bytes_of(body, sizeof body), &us[i]);
        }
        add_percentiles(report, names[put], us + warm_up, count);
    }
    free(us);
    (void)json_object_set_new(load->report, "request_ms", report);
    return error;
}

/* ---- Commits ----------------------------------------------------------------------------------------------------- */

static struct mr_error commit(struct load *load, const char *name, uint32_t models)
{
    const struct config *config = load->config;
    const struct bench_commits commits = {
        load->store, name, models, (uint32_t)config->commits, config->payload_bytes, (uint32_t)config->workers};
    const size_t count = (size_t)models * commits.each;
    uint32_t *us = calloc(count, sizeof *us);
    uint64_t trips = 0;
    int64_t total_us = 1, spool_us = -now_us(load);
    if (us == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "commits");
    }
    struct mr_error error = bench_commits_spool(&commits);
    spool_us += now_us(load);
    if (!mr_failed(error)) {
        error = bench_commits_run(&commits, us, &trips, &total_us);
    }
    json_t *report = json_pack("{s:I, s:f, s:f, s:f}", "models", (json_int_t)models, "commits_per_second",
                               (double)count * 1e6 / (double)total_us, "trips_per_commit",
                               (double)trips / (double)count, "spool_ms", (double)spool_us / 1e3 / (double)count);
    add_percentiles(report, "commit_ms", us, count);
    free(us);
    (void)json_object_set_new(load->report, name, report);
    return error;
}

/* ---- Verification and hashing ------------------------------------------------------------------------------------ */

static struct mr_error verify(struct load *load)
{
    const struct bench_commits many = {.name = "many"};
    const struct mr_verify_options options = {.threads = (uint32_t)load->config->threads};
    uint64_t versions = 0, bytes = 0;
    const int64_t began_us = now_us(load);
    for (uint32_t i = 0; i < load->config->models; i++) {
        char model_id[MR_ID_SIZE];
        bench_commits_model(&many, i, model_id);
        const struct mr_verify_result result = mr_versions_verify_with(load->store, model_id, &options);
        if (result.verdict != MR_VERIFY_GOOD) {
            return mr_error_make(MR_ERROR_FATAL, "not_good", 0, "%s: %.150s", model_id, result.detail);
        }
        versions += result.versions;
        bytes += result.hashed_bytes;
    }
    const double seconds = (double)(now_us(load) - began_us) / 1e6;
    (void)json_object_set_new(load->report, "verify",
                              json_pack("{s:I, s:f, s:f}", "threads", (json_int_t)load->config->threads,
                                        "versions_per_second", (double)versions / seconds, "mib_per_second",
                                        (double)bytes / seconds / (1 << 20)));
    return mr_ok();
}

static void hash(struct load *load)
{
    static uint8_t block[HASH_BYTES];
    uint64_t count = 0;
    const int64_t began_us = now_us(load), end_us = began_us + (int64_t)load->config->hash_ms * 1000;
    while (now_us(load) < end_us) {
        const struct mr_sha256 sum = mr_sha256_of(mr_bytes_of(block, sizeof block));
        memcpy(block, sum.bytes, sizeof sum.bytes);
        count++;
    }
    (void)json_object_set_new(
        load->report, "sha256_mib_per_second",
        json_real((double)(count * HASH_BYTES) / (1 << 20) * 1e6 / (double)(now_us(load) - began_us)));
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

static struct mr_error run(struct load *load)
{
    MR_TRY(mr_store_open(load->config->store, &load->store));
    MR_TRY(requests(load));
    MR_TRY(commit(load, "alone", 1));
    MR_TRY(commit(load, "many", (uint32_t)load->config->models));
    MR_TRY(verify(load));
    hash(load);
    return mr_ok();
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
    struct load load = {.config = &config, .clock = mr_clock_system(), .report = json_object()};
    error = run(&load);
    mr_store_close(load.store);
    if (!mr_failed(error)) {
        error = bench_report_write(load.report, config.report);
    } else {
        json_decref(load.report);
    }
    if (mr_failed(error)) {
        (void)fprintf(stderr, "%s: %s\n", table.program, error.detail);
        return error.kind == MR_ERROR_TRANSIENT ? MR_EXIT_RETRY : MR_EXIT_FAILED;
    }
    return MR_EXIT_OK;
}
