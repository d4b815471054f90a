/* Between the files of the s3:// back end. */
#ifndef MR_S3_INTERNAL_H
#define MR_S3_INTERNAL_H

#include "s3_credentials.h"
#include "s3_http.h"
#include "s3_settings.h"

#include "millrace/clock.h"

struct mr_s3_store {
    struct mr_store base;
    struct s3_settings settings;
    struct s3_http *http;
    struct s3_provider *provider;
    struct mr_clock clock;
};

enum { S3_CALL_HEADERS_MAX = 3 };
/* One operation of S3, sent as often as it may be. */
struct s3_call {
    enum s3_operation operation;
    const char *method;
    const char *key;                               /* without the store's prefix; NULL: the bucket itself */
    const char *query;                             /* as of s3_to_sign */
    struct s3_header headers[S3_CALL_HEADERS_MAX]; /* that are signed besides the usual ones */
    size_t header_count;
    bool sends_body;
    struct mr_bytes body;
    struct mr_buffer *ret_payload; /* of GET */
};
/* The outcome, with native and detail; the caller frees what ret_reply holds, whatever the outcome is. */
struct mr_store_result s3_call(struct mr_s3_store *store, const struct s3_call *call, struct s3_http_reply *ret_reply);

/* For messages: "put m/head.json". */
const char *s3_operation_text(enum s3_operation operation);

/* An unconditional put in parts. */
MR_MUST_USE struct mr_store_result s3_put_parts(struct mr_s3_store *store, const char *key, struct mr_bytes body);
MR_MUST_USE struct mr_store_result s3_list(struct mr_store *store, const char *prefix, const char *after,
                                           uint32_t limit, struct mr_store_page *ret_page);

#endif
