/*
 * Garbage collection of one model: payloads of old versions, what failed commits left, spool objects that no commit can
 * need. Metadata of the chain stays, so that it still verifies; payloads that were claimed (<model>/payloads/) are part
 * of the model's log and are never touched.
 *
 * Safe beside writers and other GCs, killed anywhere, begun again at any time. No clock is asked: heads only go
 * forward, so what could not become live under the head that was read never can. A head that went back breaks that, and
 * GC refuses: REJECT "head_went_back".
 */
#ifndef MR_GC_H
#define MR_GC_H

#include "millrace/versions.h"

enum { MR_GC_KEEP_LAST_MIN = 3, MR_GC_PROTECT_MAX = 64 };

/* Why the payload of a version of the chain stays. */
enum mr_gc_reason {
    MR_GC_NOT_KEPT = 1,
    MR_GC_KEPT_HEAD,
    MR_GC_KEPT_GENESIS,
    MR_GC_KEPT_RECENT, /* one of the last */
    MR_GC_KEPT_PROTECTED,
    MR_GC_KEPT_PINNED,
    MR_GC_KEPT_SOURCE, /* a version that is kept restarted from it */
    MR_GC_REASON_LAST = MR_GC_KEPT_SOURCE,
};
const char *mr_gc_reason_text(enum mr_gc_reason reason); /* "genesis" */

enum mr_gc_kind {
    MR_GC_VERSION = 1, /* of the chain: its payload */
    MR_GC_ORPHAN,      /* what is left of a commit that failed: all of it */
    MR_GC_SPOOL,       /* a checkpoint on its way to persist that no commit can need */
};

struct mr_gc_item {
    enum mr_gc_kind kind;
    const char *name; /* version id, or the spool object's key; until the callback returns */
    uint64_t bytes;
    enum mr_gc_reason reason; /* NOT_KEPT: it is removed, or would be */
};

struct mr_gc_request {
    struct mr_store *store;
    const char *model_id;
    uint64_t keep_last; /* below MR_GC_KEEP_LAST_MIN it is that */
    const struct mr_version_choice *protect;
    size_t protect_count; /* up to MR_GC_PROTECT_MAX */
    /* For each payload that stays and each thing that goes, once it is gone; NULL: nobody listens. */
    void (*each)(void *self, const struct mr_gc_item *item);
    void *self;
};

struct mr_gc_sum {
    uint64_t count, bytes;
};
struct mr_gc_report {
    char head_version_id[MR_VERSION_ID_SIZE];   /* whose chain it was about */
    uint64_t versions;                          /* in that chain */
    uint64_t kept;                              /* payloads of it that stay */
    uint64_t collected_before;                  /* payloads of it that were gone already */
    struct mr_gc_sum collected, orphans, spool; /* what this call removed, or would remove */
};

/* What mr_gc_run would do now. Writes nothing. Errors are those of reading, and "head_went_back"; REJECT "not_found"
 * also for a protected version that the chain does not have, REJECT "corrupt" for a payload that is missing and was not
 * collected. */
MR_MUST_USE struct mr_error mr_gc_preview(const struct mr_gc_request *request, struct mr_gc_report *ret_report);
/* Looks at everything first, and removes nothing where that fails. The report is filled on failure too: what was
 * removed until then. What two GCs remove at the same time, both count. */
MR_MUST_USE struct mr_error mr_gc_run(const struct mr_gc_request *request, struct mr_gc_report *ret_report);

#endif
