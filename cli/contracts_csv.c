#include "contracts_csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char header[] = "X0,K,T,r,d,v";

bool cli_parse_float(const char *text, size_t size, float *ret_value)
{
    char copy[64];
    if (size == 0 || size >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (strspn(copy, "0123456789+-.eE") != size || strpbrk(copy, "0123456789") == NULL) {
        return false;
    }
    char *end = NULL;
    const float value = strtof(copy, &end);
    if (end != copy + size || !isfinite(value)) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* The next line without its end and without blanks around it; NULL at the end of the file. */
static struct mr_error next_line(struct cli_contracts_csv *csv, char **ret_line)
{
    errno = 0;
    const ssize_t length = getline(&csv->text, &csv->text_size, csv->file);
    if (length < 0) {
        if (ferror(csv->file) != 0) {
            return mr_error_make(MR_ERROR_TRANSIENT, "unreadable", errno, "%s: %s", csv->path, strerror(errno));
        }
        *ret_line = NULL;
        return mr_ok();
    }
    csv->line++;
    if (strlen(csv->text) != (size_t)length) {
        return mr_error_make(MR_ERROR_REJECT, "bad_csv", 0, "%s line %llu: holds a NUL byte", csv->path,
                             (unsigned long long)csv->line);
    }
    size_t size = (size_t)length;
    while (size > 0 && strchr(" \t\r\n", csv->text[size - 1]) != NULL) {
        csv->text[--size] = '\0';
    }
    *ret_line = csv->text + strspn(csv->text, " \t");
    return mr_ok();
}

struct mr_error cli_contracts_csv_open(const char *path, struct cli_contracts_csv *ret_csv)
{
    struct cli_contracts_csv csv = {.path = path, .file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r")};
    if (csv.file == NULL) {
        return mr_error_make(MR_ERROR_REJECT, errno == ENOENT ? "not_found" : "unreadable", errno, "%s: %s", path,
                             strerror(errno));
    }
    char *line = NULL;
    struct mr_error error = next_line(&csv, &line);
    if (!mr_failed(error) && line != NULL && strncmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3; /* a byte order mark, as spreadsheets write it */
    }
    if (!mr_failed(error) && (line == NULL || strcmp(line, header) != 0)) {
        error = mr_error_make(MR_ERROR_REJECT, "bad_csv", 0, "%s line 1: expected the header %s", path, header);
    }
    if (mr_failed(error)) {
        cli_contracts_csv_close(&csv);
        return error;
    }
    *ret_csv = csv;
    return mr_ok();
}

static struct mr_error parse_row(const struct cli_contracts_csv *csv, const char *line,
                                 float ret_contract[MR_CONTRACT_FIELDS])
{
    const unsigned long long number = csv->line;
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        const size_t size = strcspn(line, ",");
        const char *field = mr_contract_field_text((enum mr_contract_field)i);
        const bool last = i + 1 == MR_CONTRACT_FIELDS;
        if ((line[size] == '\0') != last) {
            return mr_error_make(MR_ERROR_REJECT, "bad_csv", 0, "%s line %llu: expected the six fields %s", csv->path,
                                 number, header);
        }
        const size_t blanks = strspn(line, " \t");
        const size_t start = blanks < size ? blanks : size;
        size_t end = size;
        while (end > start && (line[end - 1] == ' ' || line[end - 1] == '\t')) {
            end--;
        }
        if (!cli_parse_float(line + start, end - start, &ret_contract[i])) {
            return mr_error_make(MR_ERROR_REJECT, "bad_csv", 0, "%s line %llu field %s: \"%.*s\" is no finite number",
                                 csv->path, number, field, size > 32 ? 32 : (int)size, line);
        }
        line += size + 1;
    }
    return mr_ok();
}

struct mr_error cli_contracts_csv_read(struct cli_contracts_csv *csv, size_t rows,
                                       float (*ret_contracts)[MR_CONTRACT_FIELDS], size_t *ret_rows)
{
    size_t read = 0;
    while (read < rows) {
        char *line = NULL;
        MR_TRY(next_line(csv, &line));
        if (line == NULL) {
            break;
        }
        if (*line != '\0') {
            MR_TRY(parse_row(csv, line, ret_contracts[read]));
            read++;
        }
    }
    *ret_rows = read;
    return mr_ok();
}

void cli_contracts_csv_close(struct cli_contracts_csv *csv)
{
    if (csv->file != NULL && csv->file != stdin) {
        (void)fclose(csv->file);
    }
    free(csv->text);
    *csv = (struct cli_contracts_csv){0};
}
