/* The small texts of S3: encoded paths and queries, ETags, ranges, profile files. Pure. */
#ifndef MR_S3_TEXT_H
#define MR_S3_TEXT_H

#include "millrace/store.h"

/* Percent-encoding as SigV4 wants it: all but A-Z a-z 0-9 - . _ ~, and '/' too unless keep_slashes. False: it does not
 * fit in `size` bytes with its zero. */
MR_MUST_USE bool s3_encode(const char *text, bool keep_slashes, char *ret_text, size_t size);
/* In place: %XX, and '+' for a space. False: a broken escape, or one for a zero byte. */
MR_MUST_USE bool s3_decode(char *text);

/* Without quotes and without the mark of a weak one. False: empty, too long, or with what cannot stand in a header. */
MR_MUST_USE bool s3_etag_take(const char *header, struct mr_etag *ret_etag);
/* "bytes 3-6/10" and "bytes *" "/10" (then *ret_last < *ret_first). False: it is neither. */
MR_MUST_USE bool s3_content_range_take(const char *header, uint64_t *ret_first, uint64_t *ret_last,
                                       uint64_t *ret_total);

/* AWS's rule for names of buckets: 3 to 63 of a-z 0-9 . -, with a letter or digit at both ends. */
MR_MUST_USE bool s3_bucket_valid(const char *name, size_t size);

enum { S3_ACCESS_KEY_SIZE = 129, S3_SECRET_SIZE = 257, S3_TOKEN_SIZE = 8193 };
struct s3_credentials {
    char access_key[S3_ACCESS_KEY_SIZE];
    char secret[S3_SECRET_SIZE];
    char token[S3_TOKEN_SIZE]; /* of a session; "" for none */
};
/* Whether a value can stand in a credential: 1 to size - 1 visible ASCII characters. */
MR_MUST_USE bool s3_credential_take(struct mr_bytes value, char *ret_text, size_t size);

enum s3_profile {
    S3_PROFILE_FOUND = 1,
    S3_PROFILE_ABSENT,     /* no such section */
    S3_PROFILE_INCOMPLETE, /* without its key or its secret */
    S3_PROFILE_BAD,        /* one of its values is no credential */
    S3_PROFILE_LAST = S3_PROFILE_BAD,
};
/* A section of ~/.aws/credentials. ret_credentials is whole, or untouched. */
MR_MUST_USE enum s3_profile s3_profile_find(struct mr_bytes file, const char *name,
                                            struct s3_credentials *ret_credentials);

#endif
