/* millrace store gc-preview | gc-run: what garbage collection would remove, and its removal. */
#include "cli_store.h"
#include "cli_table.h"
#include "cli_version.h"

#include "millrace/gc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct gc_config {
    const char *store, *model, *protect, *format;
    uint64_t keep;
    bool yes;
};
#define TYPE struct gc_config

#define GC_ROWS                                                                                                        \
    CLI_ROWS_STORE(TYPE),                                                                                              \
        CLI_ROW_COUNT(TYPE, "keep", keep, "10", 0, INT64_MAX, "Payloads of the last versions that stay; at least 3."), \
        CLI_ROW_TEXT(TYPE, "protect", protect, "", "Counters or version ids whose payloads stay too, by commas.")

static const struct mr_option preview_rows[] = {GC_ROWS};
static const struct mr_option run_rows[] = {GC_ROWS, CLI_ROW_FLAG(TYPE, "yes", yes, "Do not ask.")};

static const struct mr_option_table preview_table = {
    "millrace store gc-preview", "What gc-run would remove. Changes nothing.", preview_rows, MR_COUNT_OF(preview_rows)};
static const struct mr_option_table run_table = {
    "millrace store gc-run",
    "Remove payloads of old versions, leftovers of failed commits, and spooled checkpoints "
    "that nothing needs.",
    run_rows, MR_COUNT_OF(run_rows)};

/* ---- What is asked for -------------------------------------------------------------------------------------- */

struct protection {
    char *words; /* the choices point into it */
    struct mr_version_choice choices[MR_GC_PROTECT_MAX];
    size_t count;
};

static struct mr_error parse_protection(const char *text, struct protection *protection)
{
    char *rest = NULL;
    protection->words = strdup(text);
    if (protection->words == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "--protect");
    }
    for (char *word = strtok_r(protection->words, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        if (protection->count == MR_GC_PROTECT_MAX) {
            return mr_error_make(MR_ERROR_REJECT, "out_of_range", 0, "--protect: at most %d; pin the others",
                                 MR_GC_PROTECT_MAX);
        }
        if (!mr_version_choice_parse(word, &protection->choices[protection->count++])) {
            return mr_error_make(MR_ERROR_REJECT, "bad_version", 0,
                                 "--protect: \"%.60s\" is no counter and no version id", word);
        }
    }
    return mr_ok();
}

/* ---- Answers ------------------------------------------------------------------------------------------------ */

/* An array for each kind of item. */
struct told {
    json_t *kept, *collected, *orphans, *spool;
};

static void note(void *self, const struct mr_gc_item *item)
{
    struct told *told = self;
    json_t *array = item->kind == MR_GC_ORPHAN       ? told->orphans
                    : item->kind == MR_GC_SPOOL      ? told->spool
                    : item->reason == MR_GC_NOT_KEPT ? told->collected
                                                     : told->kept;
    json_array_append_new(array, json_pack("{s:s, s:I, s:s}", "name", item->name, "bytes", (json_int_t)item->bytes,
                                           "reason", mr_gc_reason_text(item->reason)));
}

static struct told told_new(void)
{
    return (struct told){json_array(), json_array(), json_array(), json_array()};
}

static void told_free(struct told *told)
{
    json_decref(told->kept);
    json_decref(told->collected);
    json_decref(told->orphans);
    json_decref(told->spool);
}

static uint64_t bytes_of(const struct mr_gc_report *report)
{
    return report->collected.bytes + report->orphans.bytes + report->spool.bytes;
}

static uint64_t count_of(const struct mr_gc_report *report)
{
    return report->collected.count + report->orphans.count + report->spool.count;
}

static json_t *report_json(const struct gc_config *config, const struct mr_gc_report *report, const struct told *told,
                           bool dry)
{
    return json_pack("{s:b, s:s, s:s, s:I, s:I, s:O, s:O, s:O, s:O, s:I}", "dry_run", dry, "model_id", config->model,
                     "head", report->head_version_id, "versions", (json_int_t)report->versions, "collected_before",
                     (json_int_t)report->collected_before, "kept", told->kept, "collected", told->collected, "orphans",
                     told->orphans, "spool", told->spool, "bytes_freed", (json_int_t)bytes_of(report));
}

static struct mr_error add_items(struct cli_table *table, const char *what, json_t *items)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        MR_TRY(cli_table_add(table, "%s", what));
        MR_TRY(cli_table_add(table, "%s", json_string_value(json_object_get(item, "name"))));
        MR_TRY(cli_table_add(table, "%" PRId64, (int64_t)json_integer_value(json_object_get(item, "bytes"))));
        MR_TRY(cli_table_add(table, "%s", json_string_value(json_object_get(item, "reason"))));
    }
    return mr_ok();
}

static int print_text(const struct gc_config *config, const struct mr_gc_report *report, const struct told *told,
                      bool dry)
{
    static const char *const titles[] = {"WHAT", "NAME", ">BYTES", "WHY"};
    struct cli_table table;
    cli_table_init(&table, titles, MR_COUNT_OF(titles));
    struct mr_error error = add_items(&table, "keep", told->kept);
    if (!mr_failed(error)) {
        error = add_items(&table, "payload", told->collected);
    }
    if (!mr_failed(error)) {
        error = add_items(&table, "orphan", told->orphans);
    }
    if (!mr_failed(error)) {
        error = add_items(&table, "spool", told->spool);
    }
    if (!mr_failed(error)) {
        cli_table_print(&table, stdout);
        (void)printf("%s: %" PRIu64 " versions, head %s; %s %" PRIu64 " payloads, %" PRIu64 " orphans, %" PRIu64
                     " spooled: %" PRIu64 " bytes; %" PRIu64 " payloads stay, %" PRIu64 " were gone before\n",
                     config->model, report->versions, report->head_version_id, dry ? "would remove" : "removed",
                     report->collected.count, report->orphans.count, report->spool.count, bytes_of(report),
                     report->kept, report->collected_before);
    }
    cli_table_deinit(&table);
    return mr_failed(error) ? cli_fail(&error) : MR_EXIT_OK;
}

static int print_report(const struct gc_config *config, const struct mr_gc_report *report, const struct told *told,
                        bool dry)
{
    return cli_wants_json(config->format) ? cli_print_json(report_json(config, report, told, dry), false)
                                          : print_text(config, report, told, dry);
}

/* ---- Verbs -------------------------------------------------------------------------------------------------- */

static struct mr_error open_request(const struct gc_config *config, const struct cli_rest *rest,
                                    struct protection *protection, struct mr_gc_request *ret_request)
{
    MR_TRY(parse_protection(config->protect, protection));
    *ret_request = (struct mr_gc_request){
        .model_id = config->model,
        .keep_last = config->keep,
        .protect = protection->choices,
        .protect_count = protection->count,
        .each = note,
    };
    return cli_store_open(config->store, config->model, rest, &ret_request->store);
}

static int preview(const struct gc_config *config, struct mr_gc_request *request, struct mr_gc_report *ret_report)
{
    struct told told = told_new();
    request->self = &told;
    const struct mr_error error = mr_gc_preview(request, ret_report);
    const int code = mr_failed(error) ? cli_fail(&error) : print_report(config, ret_report, &told, true);
    told_free(&told);
    return code;
}

static int collect(const struct gc_config *config, struct mr_gc_request *request)
{
    struct told told = told_new();
    struct mr_gc_report report;
    request->self = &told;
    const struct mr_error error = mr_gc_run(request, &report);
    int code = MR_EXIT_OK;
    if (!mr_failed(error) || count_of(&report) > 0) {
        code = print_report(config, &report, &told, false); /* also of what was removed until it failed */
    }
    told_free(&told);
    return mr_failed(error) ? cli_fail(&error) : code;
}

/* Nobody there to ask is a no. */
static bool confirmed(const struct mr_gc_report *report)
{
    char line[16] = "";
    (void)fprintf(stderr, "Remove %" PRIu64 " bytes for good? [y/N] ", bytes_of(report));
    return fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
}

static int ask_and_collect(const struct gc_config *config, struct mr_gc_request *request)
{
    struct mr_gc_report report;
    if (!isatty(STDIN_FILENO)) {
        return cli_usage("millrace store gc-run: nobody to ask: give --yes, or look at gc-preview first");
    }
    const int code = preview(config, request, &report);
    if (code != MR_EXIT_OK || count_of(&report) == 0) {
        return code;
    }
    if (!confirmed(&report)) {
        (void)fprintf(stderr, "Nothing was removed.\n");
        return MR_EXIT_FAILED;
    }
    return collect(config, request);
}

static int run(const struct gc_config *config, const struct cli_rest *rest, bool dry)
{
    struct protection protection = {.count = 0};
    struct mr_gc_request request = {.store = NULL};
    struct mr_gc_report report;
    const struct mr_error error = open_request(config, rest, &protection, &request);
    const int code = mr_failed(error) ? cli_fail(&error)
                     : dry            ? preview(config, &request, &report)
                     : config->yes    ? collect(config, &request)
                                      : ask_and_collect(config, &request);
    free(protection.words);
    mr_store_close(request.store);
    return code;
}

static int run_preview(const void *config, const struct cli_rest *rest)
{
    return run(config, rest, true);
}

static int run_gc(const void *config, const struct cli_rest *rest)
{
    return run(config, rest, false);
}

const struct cli_verb cli_verb_store_gc_preview = {"store gc-preview", "[URI]",      1,
                                                   &preview_table,     sizeof(TYPE), run_preview};
const struct cli_verb cli_verb_store_gc_run = {"store gc-run", "[URI]", 1, &run_table, sizeof(TYPE), run_gc};
