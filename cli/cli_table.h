/* Columns for people: widths from the content, numbers to the right. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "millrace/base.h"

#include <stdio.h>

enum { CLI_TABLE_COLUMNS_MAX = 12 };

struct cli_table {
    size_t columns;
    const char *titles[CLI_TABLE_COLUMNS_MAX]; /* static storage */
    bool right[CLI_TABLE_COLUMNS_MAX];
    struct mr_buffer cells; /* texts, each with its NUL, row by row */
    size_t count;
};

/* Titles that begin with '>' are columns of numbers. */
void cli_table_init(struct cli_table *table, const char *const titles[], size_t columns);
/* The next cell. FATAL "out_of_memory". */
MR_MUST_USE struct mr_error cli_table_add(struct cli_table *table, const char *format, ...) MR_PRINTF(2, 3);
/* Without the titles when there is no row. */
void cli_table_print(const struct cli_table *table, FILE *out);
void cli_table_deinit(struct cli_table *table);

#endif
