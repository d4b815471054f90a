/* millrace store verify | find-corruption: whether what a store holds of a model is whole, and what is not. */
#include "cli_store.h"
#include "cli_version.h"

#include "millrace/clock.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct verify_config {
    const char *store, *model, *format;
    uint64_t threads;
    bool metadata_only;
};
#define TYPE struct verify_config

static const struct mr_option rows[] = {
    CLI_ROWS_STORE(TYPE), CLI_ROW_COUNT(TYPE, "threads", threads, "8", 1, 64, "How many objects are read at once."),
    CLI_ROW_FLAG(TYPE, "metadata-only", metadata_only,
                 "Leave out what payloads and hash files hold; that they are there is checked.")};
static const struct mr_option_table verify_table = {
    "millrace store verify", "Check every version from genesis to head: 0 good, 1 corruption, 2 could not tell.", rows,
    MR_COUNT_OF(rows)};
static const struct mr_option_table find_table = {
    "millrace store find-corruption", "Name the first bad version and how: 0 none, 1 there is one, 2 could not tell.",
    rows, MR_COUNT_OF(rows)};

static int exit_of_verdict(enum mr_verify_verdict verdict)
{
    switch (verdict) {
    case MR_VERIFY_GOOD: return MR_EXIT_OK;
    case MR_VERIFY_CORRUPT: return MR_EXIT_FAILED;
    case MR_VERIFY_UNDECIDED:
    case MR_VERIFY_NO_MODEL: return MR_EXIT_UNDECIDED;
    }
    mr_unreachable(__func__);
}

/* ---- Progress -------------------------------------------------------------------------------------------- */

enum { PROGRESS_EVERY_US = 500000 };

struct shown {
    struct mr_clock clock;
    int64_t next_us;
    bool any;
};

/* On a terminal alone: one line, written over. */
static void show(void *self, const struct mr_verify_progress *progress)
{
    struct shown *shown = self;
    const int64_t now_us = mr_clock_monotonic_us(&shown->clock);
    if (now_us >= shown->next_us) {
        shown->next_us = now_us + PROGRESS_EVERY_US;
        shown->any = true;
        (void)fprintf(
            stderr, "\r%" PRIu64 " audit entries, %" PRIu64 " of %" PRIu64 " versions, %" PRIu64 " MB hashed\033[K",
            progress->audits, progress->versions, progress->versions_expected, progress->hashed_bytes / 1000000);
    }
}

/* ---- Answers --------------------------------------------------------------------------------------------- */

static json_t *verdict_json(const struct mr_verify_result *result)
{
    char hash[MR_SHA256_TEXT_SIZE] = "";
    if (result->has_head) {
        mr_sha256_text(&result->head.content_hash, hash);
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o}", "verdict",
                     mr_verify_verdict_text(result->verdict), "corruption", mr_corruption_text(result->corruption),
                     "counter", result->has_version ? json_integer((json_int_t)result->counter) : json_null(),
                     "version_id", result->has_version ? cli_json_text(result->version_id) : json_null(), "versions",
                     (json_int_t)result->versions, "collected", (json_int_t)result->collected, "audit_entries",
                     (json_int_t)result->audits, "hashed_bytes", (json_int_t)result->hashed_bytes, "metadata_only",
                     result->metadata_only, "head",
                     result->has_head ? cli_json_text(result->head.version_id) : json_null(), "head_content_hash",
                     result->has_head ? cli_json_text(hash) : json_null(), "detail", cli_json_text(result->detail));
}

static void print_good(const struct mr_verify_result *result)
{
    (void)printf(": %" PRIu64 " versions, head %s", result->versions, result->head.version_id);
    if (result->collected > 0) {
        (void)printf(", %" PRIu64 " payloads collected", result->collected);
    }
    if (result->metadata_only) {
        (void)printf(", payloads not read");
    }
}

/* What detail says came from the store: nothing in it may steer the terminal. */
static void print_verdict(const char *model, struct mr_verify_result *result)
{
    const char *detail = cli_printable(result->detail);
    (void)printf("%s: %s", model, mr_verify_verdict_text(result->verdict));
    switch (result->verdict) {
    case MR_VERIFY_GOOD: print_good(result); break;
    case MR_VERIFY_CORRUPT:
        (void)printf(": %s of %s: %s", mr_corruption_text(result->corruption),
                     result->has_version ? result->version_id : "head", detail);
        break;
    case MR_VERIFY_UNDECIDED: (void)printf(": could not tell: %s", detail); break;
    case MR_VERIFY_NO_MODEL: (void)printf(": nothing is stored under this name"); break;
    }
    (void)putchar('\n');
}

/* The same check, told from the other end: what is the first that is bad? */
static json_t *corruption_json(const struct mr_verify_result *result)
{
    const bool found = result->verdict == MR_VERIFY_CORRUPT, clean = result->verdict == MR_VERIFY_GOOD;
    return json_pack(
        "{s:o, s:s, s:o, s:o, s:I, s:b, s:o}", "corrupted", found || clean ? json_boolean(found) : json_null(),
        "corruption", mr_corruption_text(result->corruption), "counter",
        result->has_version ? json_integer((json_int_t)result->counter) : json_null(), "version_id",
        result->has_version ? cli_json_text(result->version_id) : json_null(), "versions", (json_int_t)result->versions,
        "metadata_only", result->metadata_only, "detail", cli_json_text(result->detail));
}

static void print_corruption(const char *model, struct mr_verify_result *result)
{
    if (result->verdict == MR_VERIFY_GOOD) {
        (void)printf("%s: no corruption in %" PRIu64 " versions%s\n", model, result->versions,
                     result->metadata_only ? ", payloads not read" : "");
    } else if (result->verdict == MR_VERIFY_CORRUPT) {
        (void)printf("version     %s\ncorruption  %s\nhow         %s\n",
                     result->has_version ? result->version_id : "none: head, or an audit entry of no version",
                     mr_corruption_text(result->corruption), cli_printable(result->detail));
    } else {
        print_verdict(model, result);
    }
}

/* Three answers, whatever keeps it from reading; a wrong command line is none. */
static int could_not_open(const struct mr_error *error)
{
    const int code = cli_fail(error);
    return code == MR_EXIT_USAGE ? code : MR_EXIT_UNDECIDED;
}

static int run(const struct verify_config *config, const struct cli_rest *rest,
               json_t *(*as_json)(const struct mr_verify_result *result),
               void (*print)(const char *model, struct mr_verify_result *result))
{
    struct mr_store *store = NULL;
    struct shown shown = {.clock = mr_clock_system()};
    const struct mr_verify_options options = {
        .threads = (uint32_t)config->threads,
        .metadata_only = config->metadata_only,
        .progress = isatty(STDERR_FILENO) == 1 ? show : NULL,
        .self = &shown,
    };
    const struct mr_error error = cli_store_open(config->store, config->model, rest, &store);
    if (mr_failed(error)) {
        return could_not_open(&error);
    }
    struct mr_verify_result result = mr_versions_verify_with(store, config->model, &options);
    mr_store_close(store);
    (void)fputs(shown.any ? "\r\033[K" : "", stderr);
    int printed = MR_EXIT_OK;
    if (cli_wants_json(config->format)) {
        printed = cli_print_json(as_json(&result), false);
    } else {
        print(config->model, &result);
    }
    return printed != MR_EXIT_OK ? printed : exit_of_verdict(result.verdict);
}

static int run_verify(const void *options, const struct cli_rest *rest)
{
    return run(options, rest, verdict_json, print_verdict);
}

static int run_find(const void *options, const struct cli_rest *rest)
{
    return run(options, rest, corruption_json, print_corruption);
}

const struct cli_verb cli_verb_store_verify = {"store verify", "[URI]", 1, &verify_table, sizeof(TYPE), run_verify};
const struct cli_verb cli_verb_store_find = {"store find-corruption", "[URI]", 1, &find_table, sizeof(TYPE), run_find};
