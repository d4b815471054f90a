/* millrace store doctor: whether a store keeps the promises that versions rest on. */
#include "cli.h"
#include "cli_table.h"
#include "cli_version.h"

#include "millrace/store_doctor.h"

#include <stdlib.h>

enum { LARGE_MIB_MAX = 5120 };

struct doctor_config {
    const char *store, *format;
    uint64_t writers, rounds, large_mib;
};
#define TYPE struct doctor_config
static const struct mr_option rows[] = {
    CLI_ROW_TEXT(TYPE, "store", store, "",
                 "Object store, unless it is the argument: file:///dir or s3://bucket/prefix."),
    CLI_ROW_COUNT(TYPE, "writers", writers, "16", 2, MR_DOCTOR_WRITERS_MAX, "Writers that race for one object."),
    CLI_ROW_COUNT(TYPE, "rounds", rounds, "50", 1, MR_DOCTOR_ROUNDS_MAX, "Rounds of each race."),
    CLI_ROW_COUNT(TYPE, "large-mib", large_mib, "65", 0, LARGE_MIB_MAX,
                  "Size of the large objects, in memory too; 0: none. Above MILLRACE_S3_MULTIPART_BYTES, in parts."),
    CLI_ROW_FORMAT(TYPE),
};
#undef TYPE
static const struct mr_option_table table = {
    "millrace store doctor",
    "Try what versions rest on, beside what is stored, and name what is broken: 0 good, 1 broken, 2 could not tell.",
    rows, MR_COUNT_OF(rows)};

static int exit_of(enum mr_doctor_verdict verdict)
{
    switch (verdict) {
    case MR_DOCTOR_GOOD: return MR_EXIT_OK;
    case MR_DOCTOR_BROKEN: return MR_EXIT_FAILED;
    case MR_DOCTOR_COULD_NOT_TELL: return MR_EXIT_UNDECIDED;
    }
    mr_unreachable(__func__);
}

static json_t *report_json(const struct mr_doctor_report *report)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const struct mr_doctor_finding *finding = &report->findings[i];
        json_array_append_new(
            checks,
            json_pack("{s:s, s:s, s:o, s:o}", "name", mr_doctor_check_text(finding->check), "verdict",
                      mr_doctor_verdict_text(finding->verdict), "detail", cli_json_text(finding->detail), "would_lose",
                      finding->would_lose == NULL ? json_null() : cli_json_text(finding->would_lose)));
    }
    return json_pack("{s:s, s:o}", "verdict", mr_doctor_verdict_text(report->verdict), "checks", checks);
}

static struct mr_error add_finding(struct cli_table *out, const struct mr_doctor_finding *finding)
{
    MR_TRY(cli_table_add(out, "%s", mr_doctor_check_text(finding->check)));
    MR_TRY(cli_table_add(out, "%s", mr_doctor_verdict_text(finding->verdict)));
    return cli_table_add(out, "%s", finding->detail);
}

static int print_text(const struct mr_doctor_report *report)
{
    static const char *const titles[] = {"CHECK", "VERDICT", "WHAT WAS SEEN"};
    struct cli_table out;
    cli_table_init(&out, titles, MR_COUNT_OF(titles));
    struct mr_error error = mr_ok();
    for (size_t i = 0; i < report->count && !mr_failed(error); i++) {
        error = add_finding(&out, &report->findings[i]);
    }
    if (!mr_failed(error)) {
        cli_table_print(&out, stdout);
    }
    cli_table_deinit(&out);
    if (mr_failed(error)) {
        return cli_fail(&error);
    }
    (void)printf("\n");
    for (size_t i = 0; i < report->count; i++) {
        if (report->findings[i].would_lose != NULL) {
            (void)printf("%s would lose: %s\n", mr_doctor_check_text(report->findings[i].check),
                         report->findings[i].would_lose);
        }
    }
    switch (report->verdict) {
    case MR_DOCTOR_GOOD: (void)printf("good\n"); break;
    case MR_DOCTOR_BROKEN: (void)printf("broken: versions are not safe here; use another store\n"); break;
    case MR_DOCTOR_COULD_NOT_TELL: (void)printf("could not tell: see above, and ask again\n"); break;
    }
    return MR_EXIT_OK;
}

static int run(const void *options, const struct cli_rest *rest)
{
    const struct doctor_config *config = options;
    const char *uri = rest->count > 0 ? rest->words[0] : config->store;
    const struct mr_doctor_options how = {.writers = (uint32_t)config->writers,
                                          .rounds = (uint32_t)config->rounds,
                                          .large_bytes = config->large_mib << 20};
    struct mr_store *store = NULL;
    struct mr_doctor_report *report = calloc(1, sizeof *report);
    struct mr_error error =
        report == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a report") : mr_store_open(uri, &store);
    if (!mr_failed(error)) {
        error = mr_store_doctor(store, &how, report);
    }
    int code;
    if (mr_failed(error)) {
        /* Three answers, whatever keeps it from asking; a wrong command line is none. */
        code = cli_fail(&error);
        code = code == MR_EXIT_USAGE ? code : MR_EXIT_UNDECIDED;
    } else {
        const int printed =
            cli_wants_json(config->format) ? cli_print_json(report_json(report), false) : print_text(report);
        code = printed != MR_EXIT_OK ? printed : exit_of(report->verdict);
    }
    mr_store_close(store);
    free(report);
    return code;
}

const struct cli_verb cli_verb_store_doctor = {"store doctor", "[URI]", 1, &table, sizeof(struct doctor_config), run};
