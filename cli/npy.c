#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_MAX = 65536, ROWS_BYTES_MAX = 1 << 30 };

static struct mr_error bad(const char *why)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_npy", 0, "%s", why);
}

/* ---- The header's text: a Python literal {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), } --- */

struct cursor {
    const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t')) {
        c->at++;
    }
}

static bool take(struct cursor *c, const char *text)
{
    skip_blanks(c);
    const size_t size = strlen(text);
    if ((size_t)(c->end - c->at) < size || memcmp(c->at, text, size) != 0) {
        return false;
    }
    c->at += size;
    return true;
}

/* A quoted text without escapes. */
static bool take_text(struct cursor *c, struct mr_bytes *ret_text)
{
    skip_blanks(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) {
        return false;
    }
    const char quote = *c->at;
    const char *first = c->at + 1;
    const char *last = memchr(first, quote, (size_t)(c->end - first));
    if (last == NULL) {
        return false;
    }
    *ret_text = mr_bytes_of(first, (size_t)(last - first));
    c->at = last + 1;
    return true;
}

static bool take_number(struct cursor *c, uint64_t *ret_number)
{
    skip_blanks(c);
    const char *first = c->at;
    uint64_t number = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        const uint64_t digit = (uint64_t)(*c->at - '0');
        if (number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = 10 * number + digit;
        c->at++;
    }
    *ret_number = number;
    return c->at > first;
}

static struct mr_error take_shape(struct cursor *c, struct cli_npy_header *header)
{
    if (!take(c, "(")) {
        return bad("shape: expected a tuple");
    }
    header->axes = 0;
    while (!take(c, ")")) {
        if (header->axes == CLI_NPY_AXES_MAX) {
            return bad("shape: at most 4 axes");
        }
        if (!take_number(c, &header->shape[header->axes])) {
            return bad("shape: expected whole numbers");
        }
        header->axes++;
        if (!take(c, ",")) {
            if (!take(c, ")")) {
                return bad("shape: expected a tuple");
            }
            break;
        }
    }
    return mr_ok();
}

static struct mr_error take_descr(struct cursor *c)
{
    struct mr_bytes descr;
    if (!take_text(c, &descr)) {
        return bad("descr: expected '<f4'; structured types are not taken");
    }
    if (!mr_bytes_equal(descr, mr_bytes_of_text("<f4"))) {
        return mr_error_make(MR_ERROR_REJECT, "bad_npy", 0,
                             "descr '%.*s': expected '<f4' (little-endian float32): save with astype('<f4')",
                             descr.size > 32 ? 32 : (int)descr.size, (const char *)descr.data);
    }
    return mr_ok();
}

static struct mr_error take_order(struct cursor *c)
{
    if (take(c, "False")) {
        return mr_ok();
    }
    return bad(take(c, "True") ? "fortran_order True: expected C order: save np.ascontiguousarray(a)"
                               : "fortran_order: expected False");
}

static struct mr_error parse_text(struct cursor *c, struct cli_npy_header *header)
{
    bool seen_descr = false, seen_order = false, seen_shape = false;
    if (!take(c, "{")) {
        return bad("the header is no dictionary");
    }
    while (!take(c, "}")) {
        struct mr_bytes key;
        if (!take_text(c, &key) || !take(c, ":")) {
            return bad("the header is no dictionary");
        }
        bool *seen = NULL;
        if (mr_bytes_equal(key, mr_bytes_of_text("descr"))) {
            seen = &seen_descr;
            MR_TRY(take_descr(c));
        } else if (mr_bytes_equal(key, mr_bytes_of_text("fortran_order"))) {
            seen = &seen_order;
            MR_TRY(take_order(c));
        } else if (mr_bytes_equal(key, mr_bytes_of_text("shape"))) {
            seen = &seen_shape;
            MR_TRY(take_shape(c, header));
        }
        if (seen == NULL || *seen) {
            return bad("the header has a key that is unknown or given twice");
        }
        *seen = true;
        if (!take(c, ",")) {
            if (!take(c, "}")) {
                return bad("the header is no dictionary");
            }
            break;
        }
    }
    skip_blanks(c);
    if (c->at != c->end) {
        return bad("something follows the header's dictionary");
    }
    return seen_descr && seen_order && seen_shape ? mr_ok() : bad("the header lacks descr, fortran_order or shape");
}

struct mr_error cli_npy_parse(struct mr_bytes bytes, struct cli_npy_header *ret_header)
{
    static const uint8_t magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    const size_t known = bytes.size < sizeof magic ? bytes.size : sizeof magic;
    if (known > 0 && memcmp(bytes.data, magic, known) != 0) {
        return bad("not a .npy file");
    }
    if (bytes.size < 10) {
        return mr_error_make(MR_ERROR_REJECT, "short_npy", 0, "the file ends in its header");
    }
    const uint8_t *b = bytes.data;
    const bool first_version = b[6] == 1;
    if ((b[6] != 1 && b[6] != 2) || b[7] != 0) {
        return mr_error_make(MR_ERROR_REJECT, "bad_npy", 0, "format version %u.%u: expected 1.0 or 2.0", b[6], b[7]);
    }
    const size_t start = first_version ? 10 : 12;
    if (bytes.size < start) {
        return mr_error_make(MR_ERROR_REJECT, "short_npy", 0, "the file ends in its header");
    }
    const uint64_t size =
        (uint64_t)b[8] | (uint64_t)b[9] << 8 | (first_version ? 0 : (uint64_t)b[10] << 16 | (uint64_t)b[11] << 24);
    if (size > HEADER_MAX - start) {
        return bad("the header is over 64 KiB");
    }
    if (bytes.size - start < size) {
        return mr_error_make(MR_ERROR_REJECT, "short_npy", 0, "the file ends in its header");
    }
    struct cursor cursor = {(const char *)b + start, (const char *)b + start + size};
    struct cli_npy_header header = {.data_offset = start + size};
    MR_TRY(parse_text(&cursor, &header));
    *ret_header = header;
    return mr_ok();
}

/* ---- The file ------------------------------------------------------------------------------------------ */

static struct mr_error read_header(int descriptor, struct cli_npy_header *ret_header)
{
    uint8_t *bytes = malloc(HEADER_MAX);
    if (bytes == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "header");
    }
    size_t size = 0;
    ssize_t read = 1;
    while (read > 0 && size < HEADER_MAX) {
        read = pread(descriptor, bytes + size, HEADER_MAX - size, (off_t)size);
        size += read > 0 ? (size_t)read : 0;
    }
    const struct mr_error error = read < 0
                                      ? mr_error_make(MR_ERROR_TRANSIENT, "unreadable", errno, "%s", strerror(errno))
                                      : cli_npy_parse(mr_bytes_of(bytes, size), ret_header);
    free(bytes);
    return error;
}

/* Rows and elements of a row, when the file's size is what they say. */
static struct mr_error measure(struct cli_npy *npy)
{
    const struct cli_npy_header *header = &npy->header;
    if (header->axes < 2) {
        return bad("shape: expected at least 2 axes, (rows, ...)");
    }
    uint64_t elements = 1;
    for (size_t i = 1; i < header->axes; i++) {
        if (header->shape[i] == 0 || elements > UINT32_MAX / header->shape[i]) {
            return bad("shape: a row is empty or too large");
        }
        elements *= header->shape[i];
    }
    struct stat status;
    if (fstat(npy->descriptor, &status) != 0) {
        return mr_error_make(MR_ERROR_TRANSIENT, "unreadable", errno, "%s", strerror(errno));
    }
    const uint64_t size = (uint64_t)status.st_size;
    const uint64_t row_bytes = elements * sizeof(float);
    if (size < header->data_offset || header->shape[0] > (size - header->data_offset) / row_bytes ||
        size - header->data_offset != header->shape[0] * row_bytes) {
        return bad("the file's size is not what its shape says");
    }
    npy->rows = header->shape[0];
    npy->row_elements = elements;
    return mr_ok();
}

struct mr_error cli_npy_open(const char *path, struct cli_npy *ret_npy)
{
    struct cli_npy npy = {.descriptor = open(path, O_RDONLY | O_CLOEXEC), .path = path};
    if (npy.descriptor < 0) {
        return mr_error_make(MR_ERROR_REJECT, errno == ENOENT ? "not_found" : "unreadable", errno, "%s: %s", path,
                             strerror(errno));
    }
    struct mr_error error = read_header(npy.descriptor, &npy.header);
    if (!mr_failed(error)) {
        error = measure(&npy);
    }
    if (mr_failed(error)) {
        cli_npy_close(&npy);
        return mr_error_make(error.kind, error.code, error.native, "%.80s: %.100s", path, error.detail);
    }
    *ret_npy = npy;
    return mr_ok();
}

struct mr_error cli_npy_read(const struct cli_npy *npy, uint64_t first, uint64_t count, void *ret_data)
{
    MR_ASSERT(first <= npy->rows && count <= npy->rows - first);
    const uint64_t row_bytes = npy->row_elements * sizeof(float);
    MR_ASSERT(count == 0 || row_bytes <= ROWS_BYTES_MAX / count);
    size_t left = (size_t)(count * row_bytes);
    off_t at = (off_t)(npy->header.data_offset + first * row_bytes);
    uint8_t *to = ret_data;
    while (left > 0) {
        const ssize_t read = pread(npy->descriptor, to, left, at);
        if (read < 0 && errno == EINTR) {
            continue;
        }
        if (read <= 0) {
            return mr_error_make(MR_ERROR_TRANSIENT, "unreadable", errno, "%.80s: %s", npy->path,
                                 read == 0 ? "the file became shorter" : strerror(errno));
        }
        to += read;
        at += read;
        left -= (size_t)read;
    }
    return mr_ok();
}

void cli_npy_close(struct cli_npy *npy)
{
    if (npy->descriptor >= 0) {
        (void)close(npy->descriptor);
    }
    npy->descriptor = -1;
}
