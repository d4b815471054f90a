/* AWS Signature Version 4 of one request, its payload's hash included. */
#ifndef MR_S3_SIGN_H
#define MR_S3_SIGN_H

#include "s3_text.h"

struct s3_header {
    const char *name, *value; /* lower case; no space at either end */
};

enum { S3_SIGNED_HEADERS_MAX = 12, S3_TIME_SIZE = 17, S3_AUTHORIZATION_SIZE = 1024 };
struct s3_to_sign {
    const char *method;
    const char *path;                /* as in the URL: encoded */
    const char *query;               /* encoded, in the order of its names, each with '=': "" for none */
    const struct s3_header *headers; /* all that are signed, in any order; host is among them */
    size_t header_count;
    const char *payload_hash; /* lower-case hexadecimal SHA-256 */
    const char *time;         /* "20130524T000000Z" */
    const char *region, *service;
};

/* ISO 8601's short form in UTC. */
void s3_time_text(int64_t seconds, char ret_text[S3_TIME_SIZE]);
/* The value of the header Authorization. FATAL when memory is out. */
MR_MUST_USE struct mr_error s3_sign(const struct s3_to_sign *request, const struct s3_credentials *credentials,
                                    char ret_authorization[S3_AUTHORIZATION_SIZE]);

#endif
