/* What a program says about its options: --help and its section of docs/configuration.md. */
#include "millrace/config.h"

#include "option_name.h"

#include <inttypes.h>
#include <string.h>

void mr_option_variable(const char *name, const char *suffix, char ret_variable[MR_OPTION_VARIABLE_SIZE])
{
    const int length = snprintf(ret_variable, MR_OPTION_VARIABLE_SIZE, "MILLRACE_%s%s", name, suffix);
    MR_ASSERT(length > 0 && length < MR_OPTION_VARIABLE_SIZE);
    for (char *c = ret_variable; *c != '\0'; c++) {
        if (*c == '-') {
            *c = '_';
        } else if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        }
    }
}

/* What stands behind the equals sign; `bar` between choices. */
static void print_expected(const struct mr_option *row, const char *bar, FILE *out)
{
    switch (row->kind) {
    case MR_OPTION_TEXT: (void)fputs("text", out); return;
    case MR_OPTION_SECRET: (void)fputs("secret", out); return;
    case MR_OPTION_FLAG: (void)fprintf(out, "true%sfalse", bar); return;
    case MR_OPTION_COUNT:
        if (row->max == UINT64_MAX) {
            (void)fprintf(out, "%" PRIu64 " or more", row->min);
        } else {
            (void)fprintf(out, "%" PRIu64 " to %" PRIu64, row->min, row->max);
        }
        return;
    case MR_OPTION_CHOICE:
        for (const char *c = row->choices; *c != '\0'; c++) {
            if (*c == '|') {
                (void)fputs(bar, out);
            } else {
                (void)fputc(*c, out);
            }
        }
        return;
    }
    mr_unreachable(__func__);
}

static void print_default(const struct mr_option *row, const char *quote, FILE *out)
{
    if (row->fallback == NULL) {
        (void)fputs("required", out);
    } else if (*row->fallback == '\0') {
        (void)fputs("none", out);
    } else {
        (void)fprintf(out, "%s%s%s", quote, row->fallback, quote);
    }
}

void mr_config_help(const struct mr_option_table *table, FILE *out)
{
    (void)fprintf(out, "%s: %s\n\nOptions are --name=value; an argument wins over the environment.\n", table->program,
                  table->summary);
    for (size_t i = 0; i < table->count; i++) {
        const struct mr_option *row = &table->rows[i];
        char variable[MR_OPTION_VARIABLE_SIZE];
        mr_option_variable(row->name, "", variable);
        if (row->kind == MR_OPTION_SECRET) {
            (void)fprintf(out, "\n  %s=<secret>, or %s_FILE=<path>; never an argument\n", variable, variable);
        } else {
            (void)fprintf(out, "\n  --%s=<", row->name);
            print_expected(row, "|", out);
            (void)fprintf(out, ">, or %s\n", variable);
        }
        (void)fprintf(out, "      %s (", row->help);
        if (row->fallback != NULL) {
            (void)fputs("default: ", out);
        }
        print_default(row, "", out);
        (void)fputs(")\n", out);
    }
}

void mr_config_markdown(const struct mr_option_table *table, FILE *out)
{
    (void)fprintf(out,
                  "## %s\n\n%s\n\n| option | environment | value | default | meaning |\n"
                  "| --- | --- | --- | --- | --- |\n",
                  table->program, table->summary);
    for (size_t i = 0; i < table->count; i++) {
        const struct mr_option *row = &table->rows[i];
        char variable[MR_OPTION_VARIABLE_SIZE];
        mr_option_variable(row->name, "", variable);
        if (row->kind == MR_OPTION_SECRET) {
            (void)fprintf(out, "| never an argument | `%s`, `%s_FILE` | ", variable, variable);
        } else {
            (void)fprintf(out, "| `--%s` | `%s` | ", row->name, variable);
        }
        print_expected(row, " \\| ", out);
        (void)fputs(" | ", out);
        print_default(row, "`", out);
        (void)fprintf(out, " | %s |\n", row->help);
    }
}

void mr_config_environment_markdown(const struct mr_option_table *table, FILE *out)
{
    (void)fprintf(out,
                  "## %s\n\n%s\n\n| environment | value | default | meaning |\n"
                  "| --- | --- | --- | --- |\n",
                  table->program, table->summary);
    for (size_t i = 0; i < table->count; i++) {
        const struct mr_option *row = &table->rows[i];
        char variable[MR_OPTION_VARIABLE_SIZE];
        mr_option_variable(row->name, "", variable);
        (void)fprintf(out, "| `%s` | ", variable);
        print_expected(row, " \\| ", out);
        (void)fputs(" | ", out);
        print_default(row, "`", out);
        (void)fprintf(out, " | %s |\n", row->help);
    }
}
