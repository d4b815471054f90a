/* What verification finds of one version, and of the chain that the versions make. */
#ifndef MR_VERSION_CHECK_H
#define MR_VERSION_CHECK_H

#include "version_internal.h"

/* corruption MR_CORRUPTION_NONE (or zeroed memory): nothing is wrong. */
struct mr_finding {
    enum mr_corruption corruption;
    uint64_t counter;
    char version_id[MR_VERSION_ID_SIZE];
    char detail[MR_ERROR_DETAIL_MAX];
};
static inline bool mr_finding_some(const struct mr_finding *finding)
{
    return finding->corruption > MR_CORRUPTION_NONE;
}
void mr_finding_set(struct mr_finding *ret_finding, enum mr_corruption corruption, uint64_t counter,
                    const char *version_id, const char *format, ...) MR_PRINTF(5, 6);

/* One folder of versions/. */
struct mr_version_seen {
    char version_id[MR_VERSION_ID_SIZE]; /* the folder's name */
    uint64_t counter;                    /* in that name */
    bool lists_checkpoint, lists_hash_file, lists_metadata;

    bool has_record;  /* the record hash is known */
    bool has_version; /* its metadata could be decoded */
    struct mr_version_entry entry;
    uint64_t audit_tag; /* of has_version */
    bool collected;
    uint64_t hashed_bytes;
    struct mr_finding finding; /* the first */
    struct mr_error undecided; /* the first that could not be read */
};

struct mr_verification_scope {
    struct mr_store *store;
    const char *model_id;
    bool metadata_only;
};
/* Reads the folder and checks what can be told of it alone: its record, identity, payload and hash file. */
void mr_version_check(const struct mr_verification_scope *scope, struct mr_version_seen *seen);

/* ---- The chain ------------------------------------------------------------------------------------------- */

/* The end of a line of versions, with what is known of all of them. */
struct mr_chain_tip {
    char version_id[MR_VERSION_ID_SIZE];
    uint64_t counter;
    bool has_record, has_version, audited;
    struct mr_version_entry entry;
    uint64_t versions, collected;
    struct mr_finding first;   /* the lowest */
    struct mr_finding pending; /* of the version below, as this one says; nothing until this one is confirmed */
    struct mr_error undecided;
};
struct mr_chain_level {
    uint64_t counter;
    struct mr_chain_tip *tips;
    size_t count, capacity;
};
/* Versions in ascending order of their counters. Several may have one counter: orphans of failed commits; which of them
 * is in the chain, a later one tells, and head of the last. So two counters are kept at a time. */
struct mr_chain {
    struct mr_chain_level below, top;
    const struct mr_audit_set *audits; /* NULL: they could not be read, and are not asked for */
};
MR_MUST_USE struct mr_error mr_chain_add(struct mr_chain *chain, const struct mr_version_seen *seen);
/* The line that ends in what head names. Fills corruption, version, counts and details of the result, and the first
 * thing that could not be read. */
void mr_chain_settle(const struct mr_chain *chain, const struct mr_head *head, struct mr_verify_result *result,
                     struct mr_error *ret_undecided);
void mr_chain_deinit(struct mr_chain *chain);

#endif
