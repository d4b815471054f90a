/*
 * One HTTP request at a time by libcurl, on connections that are kept: what came back, and how far it came. Nothing is
 * sent twice behind the caller's back: a request that has a body is never repeated once some of the body was sent.
 * HTTP/1.1; redirects are not followed. Any thread may call it; not across a fork.
 */
#ifndef MR_S3_HTTP_H
#define MR_S3_HTTP_H

#include "s3_outcome.h"
#include "s3_sign.h"

struct s3_http_options {
    const char *ca_file; /* trusts these authorities alone; "": those of the system. Kept by the caller */
    uint64_t connect_ms, idle_ms, total_ms; /* total_ms plus a second for each MiB of body */
    bool direct;                            /* never by a proxy */
};

struct s3_http_request {
    const char *method;
    const char *url;
    const struct s3_header *headers;
    size_t header_count;
    struct mr_bytes body;
    bool sends_body;               /* PUT and POST, of no bytes too */
    struct mr_buffer *ret_payload; /* takes the body of a 200 or 206 by appending; NULL: `text` takes it */
    size_t text_max;               /* of a body that goes into `text` */
};

struct s3_http_reply {
    enum s3_exchange exchange;
    int curl;   /* its code; 0 when WHOLE */
    int status; /* 0 unless BROKEN or WHOLE */
    bool has_length, has_range, has_etag, has_version;
    uint64_t length;             /* Content-Length */
    uint64_t first, last, total; /* Content-Range */
    struct mr_etag etag;
    struct mr_buffer text;
};
void s3_http_reply_deinit(struct s3_http_reply *reply);

struct s3_http;
MR_MUST_USE struct mr_error s3_http_open(const struct s3_http_options *options, struct s3_http **ret_http);
void s3_http_close(struct s3_http *http);
/* ret_payload is left as it was unless the exchange is WHOLE with 200 or 206. */
void s3_http_exchange(struct s3_http *http, const struct s3_http_request *request, struct s3_http_reply *ret_reply);
/* Why an exchange was not WHOLE. */
const char *s3_http_why(const struct s3_http_reply *reply);

#endif
