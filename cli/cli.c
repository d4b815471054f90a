/* From a command line to a verb. */
#include "cli.h"

#include "millrace/store.h"

#include <stdlib.h>
#include <string.h>

const struct cli_verb *const cli_verbs[] = {
    &cli_verb_submit,        &cli_verb_status,
    &cli_verb_top,           &cli_verb_versions,
    &cli_verb_metrics,       &cli_verb_price,
    &cli_verb_replay,        &cli_verb_store_verify,
    &cli_verb_store_find,    &cli_verb_store_list,
    &cli_verb_store_inspect, &cli_verb_store_gc_preview,
    &cli_verb_store_gc_run,  &cli_verb_store_pin,
    &cli_verb_store_unpin,   &cli_verb_store_doctor,
    &cli_verb_store_events,  &cli_verb_dlq_ls,
    &cli_verb_dlq_show,      &cli_verb_dlq_replay,
    &cli_verb_dlq_purge,     &cli_verb_log_adopt,
    &cli_verb_topics_create, &cli_verb_topics_show,
    &cli_verb_serve,         NULL,
};

/* How many arguments the verb's words take up; 0: they are not its words. */
static int words_matched(const struct cli_verb *verb, int argc, char *const argv[])
{
    const char *at = verb->words;
    int matched = 0;
    while (*at != '\0') {
        const size_t length = strcspn(at, " ");
        if (matched == argc || strlen(argv[matched]) != length || memcmp(argv[matched], at, length) != 0) {
            return 0;
        }
        matched++;
        at += length + (at[length] == ' ' ? 1 : 0);
    }
    return matched;
}

const struct cli_verb *cli_find_verb(int argc, char *const argv[], int *ret_words)
{
    for (size_t i = 0; cli_verbs[i] != NULL; i++) {
        const int matched = words_matched(cli_verbs[i], argc, argv);
        if (matched > 0) {
            *ret_words = matched;
            return cli_verbs[i];
        }
    }
    return NULL;
}

static void help(FILE *out)
{
    (void)fprintf(out, "millrace: batch events in, verified model versions out\n\n");
    for (size_t i = 0; cli_verbs[i] != NULL; i++) {
        (void)fprintf(out, "  millrace %-20s %s\n", cli_verbs[i]->words, cli_verbs[i]->options->summary);
    }
    (void)fprintf(out,
                  "\n`millrace VERB --help` says what a verb takes. Exit codes: 0 good, 1 the answer is no, 2 could "
                  "not tell,\n64 usage, 66 not found, 69 unavailable, 70 a bug, 73 conflict, 75 try again, 76 the "
                  "log, 77 denied.\n");
}

/* The sections of docs/configuration.md. */
static void help_markdown(FILE *out)
{
    for (size_t i = 0; cli_verbs[i] != NULL; i++) {
        (void)fputs(i > 0 ? "\n" : "", out);
        mr_config_markdown(cli_verbs[i]->options, out);
    }
    (void)fputs("\n", out);
    mr_config_environment_markdown(&mr_store_s3_settings, out);
}

static void verb_help(const struct cli_verb *verb, FILE *out)
{
    (void)fprintf(out, "usage: millrace %s%s%s [--name value ...]\n\n", verb->words,
                  verb->arguments[0] != '\0' ? " " : "", verb->arguments);
    mr_config_help(verb->options, out);
}

static int run_verb(const struct cli_verb *verb, int argc, char *argv[])
{
    _Alignas(max_align_t) unsigned char config[CLI_CONFIG_SIZE_MAX] = {0};
    MR_ASSERT(verb->config_size <= sizeof config);
    struct cli_rest rest = {.count = 0};
    const struct mr_error error =
        mr_config_load(verb->options, config, argc, argv, rest.words, verb->arguments_max, &rest.count);
    if (!mr_failed(error)) {
        return verb->run(config, &rest);
    }
    if (strcmp(error.code, "help") == 0) {
        verb_help(verb, stdout);
        return MR_EXIT_OK;
    }
    return cli_usage("millrace %s: %s", verb->words, error.detail);
}

/* argv[0] stands for the program in what is left of the arguments. */
static int run_joined(const struct cli_verb *verb, int argc, char *argv[])
{
    char **joined = calloc((size_t)argc + 1, sizeof *joined);
    struct mr_buffer storage = {0};
    int joined_count = 0;
    struct mr_error error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "arguments");
    if (joined != NULL) {
        error = cli_join_options(verb->options, argc, argv, &joined_count, joined, &storage);
    }
    const int code = mr_failed(error) ? cli_fail(&error) : run_verb(verb, joined_count, joined);
    mr_buffer_deinit(&storage);
    free(joined);
    return code;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

int cli_run(int argc, char *argv[])
{
    int words = 0;
    const struct cli_verb *verb = argc < 2 ? NULL : cli_find_verb(argc - 1, argv + 1, &words);
    if (verb != NULL) {
        return run_joined(verb, argc - words, argv + words);
    }
    if (argc == 2 && strcmp(argv[1], "--help-markdown") == 0) {
        help_markdown(stdout);
        return MR_EXIT_OK;
    }
    /* "millrace store --help" and the like list everything too. */
    if (argc >= 2 && is_help(argv[argc - 1])) {
        help(stdout);
        return MR_EXIT_OK;
    }
    help(stderr);
    return argc < 2 ? MR_EXIT_USAGE : cli_usage("\"%s\" is not a verb of millrace", argv[1]);
}
