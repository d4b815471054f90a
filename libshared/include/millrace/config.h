/*
 * Options from one table per program: default < environment MILLRACE_<NAME> < --name=value.
 * The table gives parsing, bounds, --help and docs/configuration.md.
 */
#ifndef MR_CONFIG_H
#define MR_CONFIG_H

#include "millrace/base.h"

#include <stdio.h>

enum mr_option_kind {
    MR_OPTION_TEXT = 1, /* const char *; lives as long as argv and the environment */
    MR_OPTION_COUNT,    /* uint64_t within min .. max */
    MR_OPTION_FLAG,     /* bool: true or false; a bare --name is true */
    MR_OPTION_CHOICE,   /* const char * that must be one of `choices` */
    MR_OPTION_SECRET,   /* const char *: from MILLRACE_<NAME> or the file MILLRACE_<NAME>_FILE names, never from
                         * arguments; lives as long as the process
                         */
    MR_OPTION_LAST = MR_OPTION_SECRET,
};

struct mr_option {
    const char *name; /* lower case, words joined by '-' (the environment joins them by '_') */
    enum mr_option_kind kind;
    size_t offset;        /* of the field in the program's config struct */
    const char *fallback; /* NULL: required, there is no default */
    uint64_t min, max;
    const char *choices; /* "text|json" */
    const char *help;    /* one sentence */
};

struct mr_option_table {
    const char *program; /* "millrace-validate" */
    const char *summary; /* one sentence */
    const struct mr_option *rows;
    size_t count;
};

/* Fills config. REJECT with the option's name and what was expected; nothing is printed. "--help" gives
 * REJECT with code "help". Arguments that do not begin with "--" go to ret_rest (may be NULL: then they are
 * an error), at most rest_max of them. */
MR_MUST_USE struct mr_error mr_config_load(const struct mr_option_table *table, void *config, int argc,
                                           char *const argv[], const char **ret_rest, size_t rest_max,
                                           size_t *ret_rest_count);
/* For a table whose options are set by the environment alone; errors name the variable. */
MR_MUST_USE struct mr_error mr_config_environment(const struct mr_option_table *table, void *config);
void mr_config_environment_markdown(const struct mr_option_table *table, FILE *out);
void mr_config_help(const struct mr_option_table *table, FILE *out);
/* The same table as a section of docs/configuration.md. */
void mr_config_markdown(const struct mr_option_table *table, FILE *out);

/* Exit codes, after sysexits.h: the command's and the services'. */
enum mr_exit {
    MR_EXIT_OK = 0,
    MR_EXIT_FAILED = 1,       /* ran, and the answer is no (corruption found, rejected, not equal) */
    MR_EXIT_UNDECIDED = 2,    /* could not tell */
    MR_EXIT_USAGE = 64,       /* 400: bad option or bad input file */
    MR_EXIT_NOT_FOUND = 66,   /* 404 */
    MR_EXIT_UNAVAILABLE = 69, /* a component or device that is not there */
    MR_EXIT_SOFTWARE = 70,    /* a bug: FAULT */
    MR_EXIT_CONFLICT = 73,    /* 409 */
    MR_EXIT_RETRY = 75,       /* 429, or a timeout: try again */
    MR_EXIT_LOG = 76,         /* LogDiscontinuity, LogGap */
    MR_EXIT_DENIED = 77,      /* 401, 403 */
};

#endif
