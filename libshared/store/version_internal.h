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

/* A model's audit keys, ordered by the 8 digits of the commit id in their names. */
struct mr_audit_index {
    char **keys;
    size_t count, capacity;
};
MR_MUST_USE struct mr_error mr_audit_index_read(struct mr_store *store, const char *model_id,
                                                struct mr_audit_index *ret_index);
void mr_audit_index_deinit(struct mr_audit_index *index);
/* Reads the entries that may name the version: how many do, and the first of them that cannot be read as one. */
MR_MUST_USE struct mr_error mr_audit_count(struct mr_store *store, const struct mr_audit_index *index,
                                           const struct mr_version_entry *entry, bool stop_at_first,
                                           uint64_t *ret_count);

#endif
