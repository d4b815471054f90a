/* Good versions for tests and benchmarks, written as fast as the store takes them: one run, one log, a patch each. */
#ifndef VERSION_MAKER_H
#define VERSION_MAKER_H

#include "millrace/versions.h"

struct version_maker {
    const char *model;
    size_t payload_bytes;
    void (*put)(void *self, const char *key, struct mr_bytes body);
    void *self;
};

/* Writes the version with its payload, hash file, metadata and audit entry. parent NULL: it is genesis. */
struct mr_version_entry version_maker_add(const struct version_maker *maker, const struct mr_version_entry *parent);
void version_maker_set_head(const struct version_maker *maker, const struct mr_version_entry *entry);
/* `count` (at least 1) of them with head, in a store that takes what it is given: a failed put ends the process. Gives
 * the last. */
struct mr_version_entry version_maker_fill(struct mr_store *store, const char *model, uint64_t count,
                                           size_t payload_bytes);

#endif
