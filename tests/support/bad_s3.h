/*
 * An S3 server in memory that is honest but for one thing: what a doctor of stores has to find. It takes any signature,
 * and does not know uploads in parts.
 */
#ifndef BAD_S3_H
#define BAD_S3_H

#include "millrace/base.h"

enum bad_s3_kind {
    BAD_S3_NOTHING = 1,        /* honest */
    BAD_S3_IGNORES_CONDITIONS, /* writes whatever they say */
    BAD_S3_CHECKS_THEN_WRITES, /* in two steps: others come between */
    BAD_S3_REFUSES_CONDITIONS, /* 501 */
    BAD_S3_SWAPS_WHAT_IS_NONE, /* If-Match creates a missing object */
    BAD_S3_NEVER_MATCHES,      /* 412 to the right ETag */
    BAD_S3_APPLIES_LATER,      /* what was refused is written after the next read */
    BAD_S3_ETAG_OF_SIZE,
    BAD_S3_READS_STALE,         /* the first read after a write gives what was there before */
    BAD_S3_BAD_RANGES,          /* one byte more than was asked for */
    BAD_S3_LISTS_LATE,          /* the newest object is not listed */
    BAD_S3_LISTS_REMOVED,       /* what was removed is listed */
    BAD_S3_SKIPS_BETWEEN_PAGES, /* the first key of each page but the first */
    BAD_S3_KEEPS_VERSIONS,      /* and is honest: a versioned bucket whose conditions hold */
    BAD_S3_VERSIONED,           /* a versioned bucket as Ceph 16 has it: no create is refused, no ETag matches */
    BAD_S3_LAST = BAD_S3_VERSIONED,
};
struct bad_s3;
struct bad_s3 *bad_s3_start(enum bad_s3_kind kind);
void bad_s3_stop(struct bad_s3 *server);
uint16_t bad_s3_port(const struct bad_s3 *server);
/* Objects that it holds now. */
size_t bad_s3_objects(struct bad_s3 *server);

#endif
