/* How verbs answer: errors, exit codes, JSON. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    const char *code;
    enum mr_exit exit;
} exits_by_code[] = {
    {"not_found", MR_EXIT_NOT_FOUND},
    {"version_gone", MR_EXIT_UNAVAILABLE},
    {"unknown_topic", MR_EXIT_NOT_FOUND},
    {"no_deployment", MR_EXIT_NOT_FOUND},
    {"denied", MR_EXIT_DENIED},
    {"conflict", MR_EXIT_CONFLICT},
    {"head_went_back", MR_EXIT_CONFLICT},
    {"offset_gone", MR_EXIT_LOG},
    {"log_gap", MR_EXIT_LOG},
    {"payload_missing", MR_EXIT_LOG},
    {"log_discontinuity", MR_EXIT_LOG},
    {"device_unavailable", MR_EXIT_UNAVAILABLE},
    {"unsupported_scheme", MR_EXIT_UNAVAILABLE},
    {"corrupt", MR_EXIT_FAILED},
    {"corrupt_record", MR_EXIT_FAILED},
    {"bad_checkpoint", MR_EXIT_FAILED},
    {"rejected", MR_EXIT_FAILED},
};

int cli_exit_of(const struct mr_error *error)
{
    for (size_t i = 0; i < MR_COUNT_OF(exits_by_code); i++) {
        if (strcmp(error->code, exits_by_code[i].code) == 0) {
            return (int)exits_by_code[i].exit;
        }
    }
    switch (error->kind) {
    case MR_ERROR_NONE: return MR_EXIT_OK;
    case MR_ERROR_TRANSIENT: return MR_EXIT_RETRY;
    case MR_ERROR_REJECT: return MR_EXIT_USAGE;
    case MR_ERROR_FENCED: return MR_EXIT_CONFLICT;
    case MR_ERROR_FATAL: return MR_EXIT_SOFTWARE;
    case MR_ERROR_UNKNOWN: return MR_EXIT_UNDECIDED;
    }
    mr_unreachable(__func__);
}

int cli_fail(const struct mr_error *error)
{
    (void)fprintf(stderr, "millrace: %s: %s\n", error->code, error->detail);
    return cli_exit_of(error);
}

int cli_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    return MR_EXIT_USAGE;
}

int cli_print_json(json_t *value, bool compact)
{
    const size_t flags = JSON_REAL_PRECISION(9) | (compact ? (size_t)JSON_COMPACT : (size_t)JSON_INDENT(2));
    const bool written =
        value != NULL && json_dumpf(value, stdout, flags) == 0 && fputc('\n', stdout) != EOF && fflush(stdout) == 0;
    const struct mr_error error =
        value == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a JSON answer")
                      : mr_error_make(MR_ERROR_TRANSIENT, "standard_output", errno, "cannot write the answer");
    json_decref(value);
    return written ? MR_EXIT_OK : cli_fail(&error);
}

char *cli_printable(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    return text;
}

static const struct mr_option *row_of(const struct mr_option_table *table, const char *argument)
{
    if (strncmp(argument, "--", 2) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(argument + 2, table->rows[i].name) == 0) {
            return &table->rows[i];
        }
    }
    return NULL;
}

struct mr_error cli_join_options(const struct mr_option_table *table, int argc, char *argv[], int *ret_argc,
                                 char *ret_argv[], struct mr_buffer *ret_storage)
{
    /* Reserved first: pointers into it must stay where they are. */
    size_t size = 0;
    for (int i = 0; i < argc; i++) {
        size += strlen(argv[i]) + 1;
    }
    MR_TRY(mr_buffer_reserve(ret_storage, size + 1));
    int count = 0;
    for (int i = 0; i < argc; i++) {
        const struct mr_option *row = i == 0 ? NULL : row_of(table, argv[i]);
        if (row == NULL || row->kind == MR_OPTION_FLAG || i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0) {
            ret_argv[count++] = argv[i];
            continue;
        }
        const size_t at = ret_storage->size;
        MR_TRY(mr_buffer_append_text(ret_storage, "%s=%s", argv[i], argv[i + 1]));
        MR_TRY(mr_buffer_append(ret_storage, "", 1));
        ret_argv[count++] = (char *)ret_storage->data + at;
        i++;
    }
    *ret_argc = count;
    return mr_ok();
}
