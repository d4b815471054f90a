/* Where a bucket is and how to talk to it: the URI and the environment, checked whole at the start. */
#ifndef MR_S3_SETTINGS_H
#define MR_S3_SETTINGS_H

#include "store_internal.h"

#include "millrace/config.h"

enum { S3_HOST_SIZE = 330, S3_BUCKET_SIZE = 64 };
/* A single PUT takes no more, by S3's own rule. */
static const uint64_t s3_put_bytes_max = 5368709120U;

struct s3_settings {
    /* From the environment: mr_store_s3_settings. Texts live as long as it does. */
    const char *endpoint, *region, *style, *ca_file, *instance_metadata;
    uint64_t connect_timeout_ms, idle_timeout_ms, timeout_ms, attempts, multipart_bytes;
    /* What follows from it and the URI. */
    char bucket[S3_BUCKET_SIZE];
    char prefix[MR_STORE_KEY_MAX + 1]; /* "" or with its '/' at the end */
    char origin[S3_HOST_SIZE + 8];     /* "https://host:port" */
    char host[S3_HOST_SIZE];           /* the header Host: with the port, unless it is the scheme's own */
    bool in_path;                      /* the bucket's name is in the path, not in the host */
};

/* REJECT "bad_uri" or "bad_setting". */
MR_MUST_USE struct mr_error s3_settings_load(const char *uri, struct s3_settings *ret_settings);

#endif
