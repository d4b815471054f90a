/* Options: every value is found and checked before the first is stored, so that a failure leaves config as it was. */
#include "millrace/config.h"

#include "option_name.h"
#include "secret.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_option(const char *argument)
{
    return strncmp(argument, "--", 2) == 0;
}

/* An argument's "name" in "--name=value": as long as this, beginning behind the dashes. */
static size_t name_length(const char *argument)
{
    return strcspn(argument + 2, "=");
}

static bool is_named(const char *argument, const char *name)
{
    return is_option(argument) && name_length(argument) == strlen(name) &&
           memcmp(argument + 2, name, strlen(name)) == 0;
}

static const struct mr_option *find_row(const struct mr_option_table *table, const char *argument)
{
    for (size_t i = 0; i < table->count; i++) {
        if (is_named(argument, table->rows[i].name)) {
            return &table->rows[i];
        }
    }
    return NULL;
}

/* Messages give the name only: the value of a misspelt option may be a secret. */
static struct mr_error check_option(const struct mr_option_table *table, const char *argument)
{
    const struct mr_option *row = find_row(table, argument);
    const int length = (int)name_length(argument);
    if (row == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "unknown_option", 0, "%.*s: there is no such option; see --help",
                             length + 2, argument);
    }
    if (row->kind == MR_OPTION_SECRET) {
        char variable[MR_OPTION_VARIABLE_SIZE];
        mr_option_variable(row->name, "", variable);
        return mr_error_make(MR_ERROR_REJECT, "secret_in_argument", 0,
                             "--%s: everyone on this machine can read arguments; set %s, or %s_FILE to a file's path",
                             row->name, variable, variable);
    }
    if (argument[length + 2] == '\0' && row->kind != MR_OPTION_FLAG) {
        return mr_error_make(MR_ERROR_REJECT, "missing_value", 0, "--%s needs a value: --%s=<value>", row->name,
                             row->name);
    }
    return mr_ok();
}

static struct mr_error check_arguments(const struct mr_option_table *table, int argc, char *const argv[],
                                       const char **ret_rest, size_t rest_max)
{
    size_t rest = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return mr_error_make(MR_ERROR_REJECT, "help", 0, "help was asked for");
        }
    }
    for (int i = 1; i < argc; i++) {
        if (!is_option(argv[i])) {
            rest++;
            if (ret_rest == NULL || rest > rest_max) {
                return mr_error_make(MR_ERROR_REJECT, "unexpected_argument", 0,
                                     "\"%s\" is not expected here; options are --name=value, see --help", argv[i]);
            }
            continue;
        }
        MR_TRY(check_option(table, argv[i]));
        for (int k = 1; k < i; k++) {
            const int length = (int)name_length(argv[i]);
            if (is_option(argv[k]) && (int)name_length(argv[k]) == length &&
                memcmp(argv[k], argv[i], (size_t)length + 2) == 0) {
                return mr_error_make(MR_ERROR_REJECT, "given_twice", 0, "%.*s is given twice", length + 2, argv[i]);
            }
        }
    }
    return mr_ok();
}

static const char *from_arguments(const struct mr_option *row, int argc, char *const argv[])
{
    for (int i = 1; i < argc; i++) {
        if (is_named(argv[i], row->name)) {
            const char *value = argv[i] + 2 + strlen(row->name);
            return *value == '=' ? value + 1 : "true";
        }
    }
    return NULL;
}

/* NULL: the environment does not give it. */
static struct mr_error from_environment(const struct mr_option *row, const char **ret_text)
{
    char variable[MR_OPTION_VARIABLE_SIZE];
    char file_variable[MR_OPTION_VARIABLE_SIZE];
    mr_option_variable(row->name, "", variable);
    mr_option_variable(row->name, "_FILE", file_variable);
    const char *text = getenv(variable);
    const char *path = row->kind == MR_OPTION_SECRET ? getenv(file_variable) : NULL;
    if (text != NULL && path != NULL) {
        return mr_error_make(MR_ERROR_REJECT, "given_twice", 0, "%s and %s are both set: keep one", variable,
                             file_variable);
    }
    if (path != NULL) {
        return mr_secret_read(path, ret_text);
    }
    *ret_text = text;
    return mr_ok();
}

static struct mr_error resolve(const struct mr_option *row, int argc, char *const argv[], const char **ret_text)
{
    const char *text = from_arguments(row, argc, argv);
    if (text == NULL) {
        MR_TRY(from_environment(row, &text));
    }
    if (text == NULL) {
        text = row->fallback;
    }
    if (text == NULL) {
        char variable[MR_OPTION_VARIABLE_SIZE];
        mr_option_variable(row->name, "", variable);
        return row->kind == MR_OPTION_SECRET
                   ? mr_error_make(MR_ERROR_REJECT, "missing_option", 0, "%s is required: set %s or %s_FILE", row->name,
                                   variable, variable)
                   : mr_error_make(MR_ERROR_REJECT, "missing_option", 0, "--%s is required: give it, or set %s",
                                   row->name, variable);
    }
    *ret_text = text;
    return mr_ok();
}

static bool parse_count(const char *text, uint64_t *ret_count)
{
    uint64_t count = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
        const uint64_t digit = (uint64_t)(*c - '0');
        if (count > (UINT64_MAX - digit) / 10) {
            return false;
        }
        count = count * 10 + digit;
    }
    *ret_count = count;
    return *text != '\0';
}

static bool is_choice(const char *choices, const char *text)
{
    for (const char *choice = choices; *choice != '\0';) {
        const size_t length = strcspn(choice, "|");
        if (length == strlen(text) && memcmp(choice, text, length) == 0) {
            return true;
        }
        choice += length + (choice[length] == '|' ? 1 : 0);
    }
    return false;
}

/* `label` is what the user knows the option by. */
static struct mr_error check_value(const struct mr_option *row, const char *label, const char *text)
{
    uint64_t count = 0;
    switch (row->kind) {
    case MR_OPTION_TEXT:
    case MR_OPTION_SECRET: return mr_ok();
    case MR_OPTION_COUNT:
        if (parse_count(text, &count) && count >= row->min && count <= row->max) {
            return mr_ok();
        }
        return mr_error_make(MR_ERROR_REJECT, "bad_value", 0,
                             "%s: expected a whole number from %" PRIu64 " to %" PRIu64 ", not \"%s\"", label, row->min,
                             row->max, text);
    case MR_OPTION_FLAG:
        if (is_choice("true|false", text)) {
            return mr_ok();
        }
        return mr_error_make(MR_ERROR_REJECT, "bad_value", 0, "%s: expected true or false, not \"%s\"", label, text);
    case MR_OPTION_CHOICE:
        if (is_choice(row->choices, text)) {
            return mr_ok();
        }
        return mr_error_make(MR_ERROR_REJECT, "bad_value", 0, "%s: expected one of %s, not \"%s\"", label, row->choices,
                             text);
    }
    mr_unreachable(__func__);
}

/* Of a checked value. */
static void store(const struct mr_option *row, void *config, const char *text)
{
    unsigned char *field = (unsigned char *)config + row->offset;
    uint64_t count = 0;
    bool flag;
    switch (row->kind) {
    case MR_OPTION_TEXT:
    case MR_OPTION_CHOICE:
    case MR_OPTION_SECRET: memcpy(field, &text, sizeof text); return;
    case MR_OPTION_COUNT:
        MR_ASSERT(parse_count(text, &count));
        memcpy(field, &count, sizeof count);
        return;
    case MR_OPTION_FLAG:
        flag = strcmp(text, "true") == 0;
        memcpy(field, &flag, sizeof flag);
        return;
    }
    mr_unreachable(__func__);
}

static struct mr_error load_rows(const struct mr_option_table *table, void *config, int argc, char *const argv[],
                                 const char **texts)
{
    for (size_t i = 0; i < table->count; i++) {
        char label[MR_OPTION_VARIABLE_SIZE];
        MR_TRY(resolve(&table->rows[i], argc, argv, &texts[i]));
        if (argv == NULL) {
            mr_option_variable(table->rows[i].name, "", label);
        } else {
            (void)snprintf(label, sizeof label, "--%s", table->rows[i].name);
        }
        MR_TRY(check_value(&table->rows[i], label, texts[i]));
    }
    for (size_t i = 0; i < table->count; i++) {
        store(&table->rows[i], config, texts[i]);
    }
    return mr_ok();
}

struct mr_error mr_config_load(const struct mr_option_table *table, void *config, int argc, char *const argv[],
                               const char **ret_rest, size_t rest_max, size_t *ret_rest_count)
{
    MR_TRY(check_arguments(table, argc, argv, ret_rest, rest_max));
    const char **texts = calloc(table->count + 1, sizeof *texts);
    if (texts == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for %zu options", table->count);
    }
    const struct mr_error error = load_rows(table, config, argc, argv, texts);
    free(texts);
    MR_TRY(error);
    size_t rest = 0;
    for (int i = 1; i < argc && ret_rest != NULL; i++) {
        if (!is_option(argv[i])) {
            ret_rest[rest++] = argv[i];
        }
    }
    if (ret_rest_count != NULL) {
        *ret_rest_count = rest;
    }
    return mr_ok();
}

struct mr_error mr_config_environment(const struct mr_option_table *table, void *config)
{
    return mr_config_load(table, config, 0, NULL, NULL, 0, NULL);
}
