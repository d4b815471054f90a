#include "cli_table.h"

#include "cli.h"

#include <stdarg.h>
#include <string.h>

enum { CELL_MAX = 1024 };

void cli_table_init(struct cli_table *table, const char *const titles[], size_t columns)
{
    MR_ASSERT(columns > 0 && columns <= CLI_TABLE_COLUMNS_MAX);
    *table = (struct cli_table){.columns = columns};
    for (size_t i = 0; i < columns; i++) {
        table->right[i] = titles[i][0] == '>';
        table->titles[i] = titles[i] + (table->right[i] ? 1 : 0);
    }
}

struct mr_error cli_table_add(struct cli_table *table, const char *format, ...)
{
    char text[CELL_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)cli_printable(text);
    MR_TRY(mr_buffer_append(&table->cells, text, strlen(text) + 1));
    table->count++;
    return mr_ok();
}

static const char *next_cell(const char *cell)
{
    return cell + strlen(cell) + 1;
}

static void print_cell(const struct cli_table *table, size_t column, const char *text, size_t width, FILE *out)
{
    const bool last = column + 1 == table->columns;
    if (table->right[column]) {
        (void)fprintf(out, "%*s", (int)width, text);
    } else {
        (void)fprintf(out, "%-*s", last ? 0 : (int)width, text);
    }
    (void)fputs(last ? "\n" : "  ", out);
}

void cli_table_print(const struct cli_table *table, FILE *out)
{
    if (table->count == 0) {
        return;
    }
    size_t widths[CLI_TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < table->columns; i++) {
        widths[i] = strlen(table->titles[i]);
    }
    const char *cell = (const char *)table->cells.data;
    for (size_t i = 0; i < table->count; i++, cell = next_cell(cell)) {
        const size_t length = strlen(cell);
        size_t *width = &widths[i % table->columns];
        *width = length > *width ? length : *width;
    }
    for (size_t i = 0; i < table->columns; i++) {
        print_cell(table, i, table->titles[i], widths[i], out);
    }
    cell = (const char *)table->cells.data;
    for (size_t i = 0; i < table->count; i++, cell = next_cell(cell)) {
        print_cell(table, i % table->columns, cell, widths[i % table->columns], out);
    }
}

void cli_table_deinit(struct cli_table *table)
{
    mr_buffer_deinit(&table->cells);
}
