/* What GC makes of what it has seen. Pure; the argument for each answer stands here. */
#ifndef MR_GC_DECIDE_H
#define MR_GC_DECIDE_H

#include "millrace/gc.h"

/* A version of the chain, as of the head that was walked from. */
struct mr_gc_standing {
    uint64_t counter, head_counter, keep_last;
    bool is_protected, is_pinned;
    bool is_source; /* a version that is kept restarted from it */
};
MR_MUST_USE enum mr_gc_reason mr_gc_reason_of(const struct mr_gc_standing *standing);

/* A directory of versions/ or pins/, seen after the head that was walked from was read. */
struct mr_gc_directory {
    uint64_t counter;
    uint64_t head_counter;
    uint64_t
        later_head_counter; /* of a head that was read after the directory was seen; asked for above head_counter */
    bool is_chains;         /* the chain has this version id at this counter */
    bool was_committed;     /* it is collected or pinned, as only versions of the chain are */
    bool names_parent;      /* its metadata does */
    bool parent_is_chains;  /* and it is the chain's version below it, by record hash */
};
enum mr_gc_finding {
    MR_GC_LIVE = 1,
    MR_GC_COMING, /* above the head that was walked from: an upload, or committed since */
    /* The chain has another version at its counter, and a commit there needs a head below: never again. */
    MR_GC_GARBAGE,
    /* Uploads stand at head + 1 and only the chain's are collected, pinned or built upon: this was once in a chain that
     * head does not reach any more. */
    MR_GC_HEAD_WENT_BACK,
};
MR_MUST_USE enum mr_gc_finding mr_gc_finding_of(const struct mr_gc_directory *directory);

/* A run's pin is spent once head is at the run's start or past it: whoever folds again begins behind it. Positions of
 * different logs cannot be compared here: such a pin holds. */
MR_MUST_USE bool mr_gc_pin_spent(const struct mr_position *start, const struct mr_position *head);

/* Rule C10. A checkpoint is committed only on the head that it names as previous, from which it was folded: it holds
 * more records of the model than that head. Heads hold more and more, so at or below head's count it never can be. */
MR_MUST_USE bool mr_gc_spool_garbage(uint64_t applied, uint64_t head_applied);

/* `applied` of the checkpoint that begins with these bytes. False: they do not tell. */
MR_MUST_USE bool mr_gc_applied(struct mr_bytes checkpoint, uint64_t *ret_applied);

#endif
