/* Contracts from CSV: the header X0,K,T,r,d,v, then one contract a line. */
#ifndef CLI_CONTRACTS_CSV_H
#define CLI_CONTRACTS_CSV_H

#include "millrace/spec.h"

#include <stdio.h>

struct cli_contracts_csv {
    FILE *file;
    const char *path;
    uint64_t line; /* of the file, the last read */
    char *text;    /* getline's */
    size_t text_size;
};

/* "-" is standard input. Reads and checks the header. REJECT "bad_csv" or "not_found"; ret_csv is then nothing that has
 * to be closed. */
MR_MUST_USE struct mr_error cli_contracts_csv_open(const char *path, struct cli_contracts_csv *ret_csv);
/* Up to `rows` further contracts; fewer: the file ended. REJECT "bad_csv" names line and field: each is a decimal
 * number that a float32 holds. Empty lines are skipped. */
MR_MUST_USE struct mr_error cli_contracts_csv_read(struct cli_contracts_csv *csv, size_t rows,
                                                   float (*ret_contracts)[MR_CONTRACT_FIELDS], size_t *ret_rows);
void cli_contracts_csv_close(struct cli_contracts_csv *csv);

/* A decimal number that a float32 holds, and nothing else: no "nan", no hexadecimal, no blanks. */
MR_MUST_USE bool cli_parse_float(const char *text, size_t size, float *ret_value);

#endif
