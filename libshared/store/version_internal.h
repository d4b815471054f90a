/* Between the files about versions. */
#ifndef MR_VERSION_INTERNAL_H
#define MR_VERSION_INTERNAL_H

#include "millrace/versions.h"

/* A store's answer to a read, as an error of versions.h. DONE gives mr_ok. */
MR_MUST_USE struct mr_error mr_version_error(const struct mr_store_result *result);

/* Calls `each` for every key under the prefix, in byte order, until it fails. */
MR_MUST_USE struct mr_error mr_version_each_key(struct mr_store *store, const char *prefix,
                                                struct mr_error (*each)(void *self, const struct mr_store_entry *entry),
                                                void *self);

/* Reads a record's bytes; ret_hash is their SHA-256. */
MR_MUST_USE struct mr_error mr_version_read_object(struct mr_store *store, const char *key, struct mr_buffer *ret_body,
                                                   struct mr_sha256 *ret_hash);
/* The SHA-256 and size of an object of any size, in little memory. */
MR_MUST_USE struct mr_error mr_version_hash_object(struct mr_store *store, const char *key, struct mr_sha256 *ret_hash,
                                                   uint64_t *ret_size);

/* ---- Audit entries ----------------------------------------------------------------------------------------- */

/* Reads one and checks all that can be told of it alone. "not_found" when it is gone, "corrupt" when it is not what was
 * written. */
MR_MUST_USE struct mr_error mr_audit_read(struct mr_store *store, const char *model_id, const char *key,
                                          struct mr_audit *ret_audit);
/* 64 bits of a hash over everything of an entry that names a version. An accident does not make two of them equal. */
MR_MUST_USE uint64_t mr_audit_tag(const struct mr_version *version, const struct mr_sha256 *record_hash);

enum { MR_AUDIT_BAD_MAX = 64 };
struct mr_audit_bad {
    char commit8[9]; /* in its key */
    char detail[MR_ERROR_DETAIL_MAX];
};
/* All audit entries of a model, in eight bytes each. */
struct mr_audit_set {
    uint64_t *tags; /* ascending */
    size_t count, capacity;
    struct mr_audit_bad bad[MR_AUDIT_BAD_MAX]; /* the first ones */
    size_t bad_count;                          /* of all */
    bool complete;                             /* every entry could be read */
};
/* On failure, the set holds what could be read. The error is of the first entry that could not. `each` (may be NULL) is
 * called after each entry. */
MR_MUST_USE struct mr_error mr_audit_set_read(struct mr_store *store, const char *model_id, uint32_t threads,
                                              void (*each)(void *self), void *self, struct mr_audit_set *ret_set);
MR_MUST_USE bool mr_audit_set_has(const struct mr_audit_set *set, uint64_t tag);
/* An entry of that commit, by the digits in its key, that is not what was written. NULL: none. */
const struct mr_audit_bad *mr_audit_set_bad(const struct mr_audit_set *set, const struct mr_sha256 *commit_id);
void mr_audit_set_deinit(struct mr_audit_set *set);

/* How many audit entries name the version, and how many seem to, but are not what was written. */
MR_MUST_USE struct mr_error mr_audit_count(struct mr_store *store, const struct mr_version_entry *entry,
                                           uint64_t *ret_count, uint64_t *ret_bad);

#endif
