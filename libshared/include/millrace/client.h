/*
 * A model of a Millrace store, served in this process: always a whole version, verified before it is served.
 *
 * A client follows one model. Pinned ("42", or a version id) it serves that version and no other; tracking ("head") it
 * serves the newest: it looks at head every poll interval, and at once when Redis tells of a version. Loading happens
 * on a thread of its own. Before a version is served, head is compared with the metadata that it names, metadata.json
 * with its record hash, every parent back to the version served before with the record hash that names it (so that
 * history is never replaced behind a reader's back), and checkpoint.pb with its content hash. What fails is told and
 * not served; the last good version stays, and the client tries again for as long as it is open. A store or a Redis
 * that is down is waited for, from the start too.
 *
 * Threads: any thread may call any function at any time, but that mr_client_close is the last call on its client.
 * mr_client_acquire and mr_view_release take no lock and wait for nobody: one atomic addition each. This header,
 * error.h and contract.h are C17 and C++17. Linked statically, the whole library is one object that shows what is
 * declared here.
 */
#ifndef MR_CLIENT_H
#define MR_CLIENT_H

#include "millrace/contract.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mr_client;

/* ---- Opening ------------------------------------------------------------------------------------------- */

enum mr_client_phase {
    MR_CLIENT_BOOTSTRAPPING = 1, /* no version is known yet: the store did not answer, or the model has none */
    MR_CLIENT_HYDRATING,         /* one is known and being loaded; nothing is served yet */
    MR_CLIENT_READY,             /* a version is served, and from now on one always is */
    MR_CLIENT_PHASE_LAST = MR_CLIENT_READY,
};

enum mr_client_event_kind {
    MR_CLIENT_SERVED = 1, /* readers get this version from now on */
    MR_CLIENT_REFUSED,    /* what the store offers is not served: `error` says why. Told when the reason changes */
    MR_CLIENT_DELAYED,    /* the store did not answer: `error` says why. Told once, until it answers again */
    MR_CLIENT_WAKE_UP,    /* the channel of wake-ups opened (`error` is mr_ok) or broke; without it polling goes on */
    MR_CLIENT_EVENT_LAST = MR_CLIENT_WAKE_UP,
};
/* "Served", "Refused", "Delayed", "WakeUp". */
MR_API const char *mr_client_event_text(enum mr_client_event_kind kind);
/* "Bootstrapping", "Hydrating", "Ready". */
MR_API const char *mr_client_phase_text(enum mr_client_phase phase);

/*
 * Why a version is not served, in the code of the error:
 *   not_found     the model has no version, or none of that name (yet)
 *   unavailable   the store did not answer
 *   denied        the store says no
 *   corrupt       bytes are not what their hash says, or records do not agree
 *   version_gone  GC collected the version's payload
 *   rolled_back   head names an older version than the one served
 *   forked        head's history does not lead to the version served
 *   bad_checkpoint, out_of_memory
 *   views_held    readers hold all the earlier versions that are kept (MR_CLIENT_VIEWS_MAX): release views
 */
struct mr_client_event {
    enum mr_client_event_kind kind;
    uint64_t counter;       /* of SERVED */
    const char *version_id; /* of SERVED; until the call returns */
    struct mr_error error;  /* of the others */
};

enum { MR_CLIENT_VIEWS_MAX = 32 };

/* Zeroed fields have the defaults that are given; texts are copied. */
struct mr_client_options {
    const char *store;   /* file:///dir or s3://bucket/prefix, which takes its settings from the environment */
    const char *model;   /* its id */
    const char *version; /* "head" (default), a counter, or a version id */
    const char *redis;   /* unix:/path or host:port, where publish tells of versions; NULL: polling alone */
    /* How late a version may be served without a wake-up, if loading takes less than a fifth of it: head is looked at
     * after four fifths. Default 10,000. */
    uint32_t poll_ms;
    /* After a failure it waits this long, then twice as long (+-20 %), up to the longest. */
    uint32_t retry_first_ms;   /* default 200 */
    uint32_t retry_longest_ms; /* default 30,000 */
    /* Called on the client's own threads, one call at a time: be quick, and call nothing but mr_client_acquire,
     * mr_view_*, mr_client_state. May be NULL. */
    void (*on_event)(void *self, const struct mr_client_event *event);
    void *self;
};

/* Returns at once, before anything is loaded. REJECT: bad_uri, unsupported_scheme, bad_setting, bad_credentials,
 * no_credentials, bad_id, bad_version, bad_redis; FATAL: denied, out_of_memory, no_thread. */
MR_API MR_MUST_USE struct mr_error mr_client_open(const struct mr_client_options *options,
                                                  struct mr_client **ret_client);
/* Waits for a request to the store that is under way. Every view must have been released. NULL is nothing. */
MR_API void mr_client_close(struct mr_client *client);

struct mr_client_state {
    enum mr_client_phase phase;
    uint64_t counter;      /* of the version served, if READY */
    uint64_t swaps;        /* versions served so far */
    uint64_t failures;     /* in a row; 0: the last look at the store went well */
    struct mr_error error; /* the last failure; mr_ok when the last look went well */
    bool wakes;            /* the channel of wake-ups is open */
};
/* Takes a lock, shortly. */
MR_API void mr_client_state(struct mr_client *client, struct mr_client_state *ret_state);
/* Waits until a version is served; false: not within that time (0: asks only). */
MR_API bool mr_client_wait_ready(struct mr_client *client, uint32_t timeout_ms);
/* Looks at head now, for whoever has another way to learn of a version. Does not wait. */
MR_API void mr_client_wake(struct mr_client *client);

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* One version, immutable; valid until it is released, whatever the client serves meanwhile. */
struct mr_view;

/* The version that is served now; NULL: none yet. Release it soon: memory of earlier versions is kept while views of
 * them are held, and is freed by the loading thread at its next look at the store. */
MR_API const struct mr_view *mr_client_acquire(struct mr_client *client);
/* NULL is nothing. */
MR_API void mr_view_release(const struct mr_view *view);

/* Texts live as long as the view is held. */
struct mr_view_info {
    uint64_t counter;
    const char *model_id, *version_id, *semantic_version;
    const char *content_hash, *record_hash, *commit_id; /* 64 hexadecimal digits */
    const char *run_id, *message, *arithmetic_profile;
    uint64_t step, samples, applied, size;
    const char *log_id; /* 32 hexadecimal digits: with partition and offset, where the version stands in the log */
    uint32_t partition;
    uint64_t offset;
    int64_t event_time_ms; /* of the record at that position, since 1970 */
    float loss, gradient_norm;
    bool prices;       /* it prices contracts; otherwise it maps features to outputs */
    uint32_t features; /* inputs of a row: MR_CONTRACT_FIELDS, or the features of the job */
    uint32_t outputs;  /* complex numbers of a row of mr_view_outputs */
};
MR_API const struct mr_view_info *mr_view_info(const struct mr_view *view);

/* Prices `rows` contracts of MR_CONTRACT_FIELDS floats each. All are checked first: REJECT "out_of_domain" fills
 * ret_fault (may be NULL), and nothing is priced. REJECT "not_a_pricing_model"; FATAL "out_of_memory". */
MR_API MR_MUST_USE struct mr_error mr_view_price(const struct mr_view *view, const float *contracts, size_t rows,
                                                 struct mr_price *ret_prices, struct mr_contract_fault *ret_fault);
/* What the network of a labelled job makes of `rows` rows of features: `outputs` pairs (real, imaginary) a row. REJECT
 * "not_a_labelled_model", or "not_finite" for a feature; FATAL "out_of_memory". */
MR_API MR_MUST_USE struct mr_error mr_view_outputs(const struct mr_view *view, const float *features, size_t rows,
                                                   float *ret_outputs);

/* ---- The past ------------------------------------------------------------------------------------------ */

enum { MR_HEAD_AT_TEXT_SIZE = 128 };
struct mr_head_at {
    uint64_t counter;
    char version_id[MR_HEAD_AT_TEXT_SIZE];
    char content_hash[MR_HEAD_AT_TEXT_SIZE];
    int64_t observed_ms;               /* by the clock of the writer, just before it moved head */
    char writer[MR_HEAD_AT_TEXT_SIZE]; /* whose clock */
    const char *basis;                 /* what the answer rests on, in words: static storage */
};
/* What was head at that time (milliseconds since 1970)? The newest version of today's chain that a writer observed at
 * or before it, by the writer's own clock: the store keeps no other. A version whose commit was tried several times
 * counts from the first of them. Reads the store on the calling thread: all names under audit/, and the chain down to
 * the version. REJECT "not_found": nothing was committed by then; "corrupt"; FATAL "denied"; TRANSIENT "unavailable".
 */
MR_API MR_MUST_USE struct mr_error mr_client_head_at(struct mr_client *client, int64_t time_ms,
                                                     struct mr_head_at *ret_head);

#ifdef __cplusplus
}
#endif

#endif
