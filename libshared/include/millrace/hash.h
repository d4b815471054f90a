/* SHA-256 (OpenSSL) and random bytes. Not for *_core code: hand them the result. */
#ifndef MR_HASH_H
#define MR_HASH_H

#include "millrace/base.h"

enum { MR_SHA256_SIZE = 32, MR_SHA256_TEXT_SIZE = 65 };
struct mr_sha256 {
    uint8_t bytes[MR_SHA256_SIZE];
};
struct mr_sha256 mr_sha256_of(struct mr_bytes bytes);
void mr_sha256_text(const struct mr_sha256 *hash, char ret_text[MR_SHA256_TEXT_SIZE]);
/* False when text is not 64 lowercase hexadecimal digits. */
MR_MUST_USE bool mr_sha256_parse(const char *text, struct mr_sha256 *ret_hash);
MR_MUST_USE bool mr_sha256_equal(const struct mr_sha256 *a, const struct mr_sha256 *b);

struct mr_sha256_stream; /* for data that does not fit in memory */
MR_MUST_USE struct mr_sha256_stream *mr_sha256_begin(void);
void mr_sha256_update(struct mr_sha256_stream *stream, struct mr_bytes bytes);
struct mr_sha256 mr_sha256_end(struct mr_sha256_stream *stream); /* frees it */

/* From the kernel; FATAL when it has none. */
MR_MUST_USE struct mr_error mr_random(void *ret_data, size_t size);

#endif
