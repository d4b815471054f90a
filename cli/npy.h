/* Rows of float32 from a NumPy .npy file, versions 1.0 and 2.0: little-endian, C order. Others are refused by name. */
#ifndef CLI_NPY_H
#define CLI_NPY_H

#include "millrace/base.h"

enum { CLI_NPY_AXES_MAX = 4 };

/* What a header says. */
struct cli_npy_header {
    size_t axes;
    uint64_t shape[CLI_NPY_AXES_MAX];
    uint64_t data_offset; /* of the first element in the file */
};

/* Total over any bytes. `bytes` is the beginning of a file, at least its whole header: REJECT "short_npy" when it may
 * be one that goes on; REJECT "bad_npy" says what is wrong. */
MR_MUST_USE struct mr_error cli_npy_parse(struct mr_bytes bytes, struct cli_npy_header *ret_header);

struct cli_npy {
    int descriptor;
    const char *path;
    struct cli_npy_header header;
    uint64_t rows, row_elements;
};

/* Opens and checks the header and that the file holds exactly what it says. REJECT "bad_npy" or "not_found". */
MR_MUST_USE struct mr_error cli_npy_open(const char *path, struct cli_npy *ret_npy);
/* `count` rows from `first`, in file order: count * row_elements * 4 bytes, as they are in the file. */
MR_MUST_USE struct mr_error cli_npy_read(const struct cli_npy *npy, uint64_t first, uint64_t count, void *ret_data);
void cli_npy_close(struct cli_npy *npy);

#endif
