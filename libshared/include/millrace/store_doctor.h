/*
 * Whether a store keeps the promises of store.h that versions rest on, found out by trying: with objects of its own
 * under .doctor/ alone, which it removes. Safe on a store that is in use.
 */
#ifndef MR_STORE_DOCTOR_H
#define MR_STORE_DOCTOR_H

#include "millrace/store.h"

enum mr_doctor_check {
    MR_DOCTOR_WRITES = 1,       /* it can be written and read at all; without it nothing else is tried */
    MR_DOCTOR_CREATE_IF_ABSENT, /* of an object that is there, too */
    MR_DOCTOR_COMPARE_AND_SWAP, /* with right, stale and foreign ETags, and of an object that is not there */
    MR_DOCTOR_ETAGS,            /* differ with the content; whether they see ABA */
    MR_DOCTOR_READ_AFTER_WRITE,
    MR_DOCTOR_RANGES,
    MR_DOCTOR_LIST_AFTER_WRITE, /* and after a removal */
    MR_DOCTOR_LIST_PAGES,
    MR_DOCTOR_LARGE_OBJECTS, /* with a condition, and without one (above the client's limit, in parts) */
    MR_DOCTOR_CREATE_RACE,
    MR_DOCTOR_SWAP_RACE,
    MR_DOCTOR_VERSIONED_BUCKET, /* whether the server keeps old versions of objects, and conditions all the same */
    MR_DOCTOR_CLEANUP,          /* nothing of it is left */
    MR_DOCTOR_CHECK_LAST = MR_DOCTOR_CLEANUP,
};
enum mr_doctor_verdict {
    MR_DOCTOR_GOOD = 1,
    MR_DOCTOR_BROKEN,
    MR_DOCTOR_COULD_NOT_TELL,
    MR_DOCTOR_VERDICT_LAST = MR_DOCTOR_COULD_NOT_TELL,
};

enum { MR_DOCTOR_DETAIL_SIZE = 320 };
struct mr_doctor_finding {
    enum mr_doctor_check check;
    enum mr_doctor_verdict verdict;
    enum mr_store_outcome answer;       /* that decided it; 0: none did */
    int64_t native;                     /* of that answer */
    const char *would_lose;             /* when BROKEN: static storage */
    char detail[MR_DOCTOR_DETAIL_SIZE]; /* what was seen, for people */
};
/* What "create_if_absent" and "could_not_tell" stand for. */
const char *mr_doctor_check_text(enum mr_doctor_check check);
const char *mr_doctor_verdict_text(enum mr_doctor_verdict verdict);

enum { MR_DOCTOR_WRITERS_MAX = 256, MR_DOCTOR_ROUNDS_MAX = 10000 };
struct mr_doctor_options {
    uint32_t writers;     /* threads that race, 2 to MR_DOCTOR_WRITERS_MAX */
    uint32_t rounds;      /* of each race, 1 to MR_DOCTOR_ROUNDS_MAX */
    uint64_t large_bytes; /* of each large object, all in memory; 0 leaves LARGE_OBJECTS out */
};
struct mr_doctor_report {
    enum mr_doctor_verdict verdict; /* BROKEN if anything is; else COULD_NOT_TELL if anything could not be told */
    size_t count;
    struct mr_doctor_finding findings[MR_DOCTOR_CHECK_LAST]; /* in the order of the enum */
};
/* Takes as long as the store takes for some hundred requests and the races. FATAL when memory, threads or random bytes
 * are out; whatever the store does is in the report. */
MR_MUST_USE struct mr_error mr_store_doctor(struct mr_store *store, const struct mr_doctor_options *options,
                                            struct mr_doctor_report *ret_report);

/* The short form, for the start of a service: create-if-absent and compare-and-swap, by one writer and in a few rounds
 * of a race. FATAL "dishonest_store" names what is broken, "denied" who may not write; TRANSIENT "undecided" when it
 * could not tell. */
MR_MUST_USE struct mr_error mr_store_probe(struct mr_store *store);

#endif
