/* Between the files of mr_store. */
#ifndef MR_STORE_INTERNAL_H
#define MR_STORE_INTERNAL_H

#include "millrace/store.h"

enum { MR_STORE_KEY_MAX = 1024, MR_STORE_KEY_PARTS_MAX = 32 };

/* The key grammar of store.h, at most MR_STORE_KEY_MAX bytes and MR_STORE_KEY_PARTS_MAX parts. */
MR_MUST_USE bool mr_store_key_valid(const char *key);
/* One part of a key: `size` bytes of name. */
MR_MUST_USE bool mr_store_part_valid(const char *name, size_t size);

MR_MUST_USE struct mr_store_result mr_store_answer(enum mr_store_outcome outcome, int64_t native, const char *format,
                                                   ...) MR_PRINTF(3, 4);

/* file:///dir, the path decoded. */
MR_MUST_USE struct mr_error mr_file_store_open(const char *path, struct mr_store **ret_store);
/* s3://bucket/prefix, as it was given. */
MR_MUST_USE struct mr_error mr_s3_store_open(const char *uri, struct mr_store **ret_store);

#endif
