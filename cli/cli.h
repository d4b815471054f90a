/* The millrace command: verbs, what they share, and how they answer. */
#ifndef CLI_H
#define CLI_H

#include "millrace/config.h"

#include <jansson.h>
#include <stdio.h>

enum { CLI_REST_MAX = 8, CLI_CONFIG_SIZE_MAX = 512 };

/* What follows the options on the command line. */
struct cli_rest {
    const char *words[CLI_REST_MAX];
    size_t count;
};

/* One verb: `words` are one or two words of the command line ("submit", "store verify"). */
struct cli_verb {
    const char *words;
    const char *arguments; /* what it takes besides options: "URI"; "" for nothing */
    size_t arguments_max;
    const struct mr_option_table *options;
    size_t config_size;                                          /* of the struct that `options` fills */
    int (*run)(const void *config, const struct cli_rest *rest); /* the exit code */
};

extern const struct cli_verb cli_verb_submit, cli_verb_status, cli_verb_top, cli_verb_versions, cli_verb_metrics,
    cli_verb_dlq_ls, cli_verb_dlq_show, cli_verb_dlq_replay, cli_verb_dlq_purge, cli_verb_store_list,
    cli_verb_store_inspect, cli_verb_store_verify, cli_verb_store_find, cli_verb_store_gc_preview,
    cli_verb_store_gc_run, cli_verb_store_pin, cli_verb_store_unpin, cli_verb_store_doctor, cli_verb_price,
    cli_verb_replay, cli_verb_log_adopt, cli_verb_topics_create, cli_verb_topics_show, cli_verb_serve,
    cli_verb_store_events;

/* ---- Options that verbs share -------------------------------------------------------------------------- */

/* clang-format off */
#define CLI_ROW(type, option, field_, kind_, fallback_, min_, max_, choices_, help_)                                  \
    {                                                                                                                 \
        .name = (option), .kind = (kind_), .offset = offsetof(type, field_), .fallback = (fallback_), .min = (min_),  \
        .max = (max_), .choices = (choices_), .help = (help_)                                                         \
    }
#define CLI_ROW_TEXT(type, option, field_, fallback_, help_) \
    CLI_ROW(type, option, field_, MR_OPTION_TEXT, fallback_, 0, 0, NULL, help_)
#define CLI_ROW_COUNT(type, option, field_, fallback_, min_, max_, help_) \
    CLI_ROW(type, option, field_, MR_OPTION_COUNT, fallback_, min_, max_, NULL, help_)
#define CLI_ROW_FLAG(type, option, field_, help_) \
    CLI_ROW(type, option, field_, MR_OPTION_FLAG, "false", 0, 0, NULL, help_)
#define CLI_ROW_FORMAT(type) \
    CLI_ROW(type, "format", format, MR_OPTION_CHOICE, "text", 0, 0, "text|json", "For people or for programs.")
#define CLI_ROWS_BROKERS(type)                                                                   \
    CLI_ROW_TEXT(type, "brokers", brokers.list, NULL, "Kafka bootstrap servers."),               \
    CLI_ROW_TEXT(type, "broker-settings", brokers.settings_file, "",                             \
                 "File of librdkafka settings, name=value one a line (TLS, SASL).")
/* clang-format on */

struct cli_brokers {
    const char *list, *settings_file;
};

static inline bool cli_wants_json(const char *format)
{
    return format[0] == 'j';
}

/* ---- Answers ------------------------------------------------------------------------------------------- */

/* The exit code that stands for an error. */
MR_MUST_USE int cli_exit_of(const struct mr_error *error);
/* One line on standard error, and the exit code. */
MR_MUST_USE int cli_fail(const struct mr_error *error);
/* A wrong command line: MR_EXIT_USAGE. */
MR_MUST_USE int cli_usage(const char *format, ...) MR_PRINTF(1, 2);

/* Prints it as one line (compact) or for people to read, and frees it. The exit code: MR_EXIT_OK, or that of a standard
 * output that cannot be written. */
MR_MUST_USE int cli_print_json(json_t *value, bool compact);

/* Replaces control characters by '?', in place: nothing in a record may steer the terminal. Gives `text`. */
char *cli_printable(char *text);

/* Turns "--name value" into "--name=value" for the options of the table, so that both are taken. ret_argv has room for
 * argc pointers; what it had to join is in ret_storage, which the caller frees with mr_buffer_deinit after use. */
MR_MUST_USE struct mr_error cli_join_options(const struct mr_option_table *table, int argc, char *argv[], int *ret_argc,
                                             char *ret_argv[], struct mr_buffer *ret_storage);

/* The verb of those arguments and how many words it has; NULL: none. */
const struct cli_verb *cli_find_verb(int argc, char *const argv[], int *ret_words);
extern const struct cli_verb *const cli_verbs[]; /* NULL ends it */

/* Runs the command; argv[0] is the program. The exit code. */
MR_MUST_USE int cli_run(int argc, char *argv[]);

#endif
