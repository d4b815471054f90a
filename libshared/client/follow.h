/*
 * How a client follows a model: when it looks at head, what it loads, what it refuses. Pure; client.c performs.
 *
 * A look gives what head names (pinned: the version that is wanted); what is new is loaded, verified, and served. Any
 * failure leaves what is served as it is and is tried again, for ever, with waits that grow to a bound.
 */
#ifndef CLIENT_FOLLOW_H
#define CLIENT_FOLLOW_H

#include "millrace/base.h"
#include "millrace/retry.h"

enum follow_state_kind {
    FOLLOW_STATE_WAITING = 1,
    FOLLOW_STATE_LOOKING,
    FOLLOW_STATE_LOADING,
    FOLLOW_STATE_LAST = FOLLOW_STATE_LOADING,
};
struct follow_state {
    enum follow_state_kind kind;
    bool pinned;
    uint32_t poll_ms;
    struct mr_retry_policy retry;
    uint64_t seed;     /* of the waits' jitter */
    bool found;        /* a version is known */
    bool serves;       /* one is served */
    uint64_t counter;  /* of it */
    uint32_t failures; /* in a row */
};

enum follow_event_kind {
    FOLLOW_EVENT_DUE = 1, /* the wait is over: its time, or a wake-up */
    FOLLOW_EVENT_FOUND,
    FOLLOW_EVENT_LOADED, /* and verified */
    FOLLOW_EVENT_FAILED, /* the look or the load */
    FOLLOW_EVENT_LAST = FOLLOW_EVENT_FAILED,
};
struct follow_event {
    enum follow_event_kind kind;
    uint64_t counter; /* FOUND, LOADED */
    bool same_record; /* FOUND: its record hash is that of the version served */
};

enum follow_decision_kind {
    FOLLOW_DECISION_LOOK = 1,
    FOLLOW_DECISION_LOAD,
    FOLLOW_DECISION_SERVE,  /* what was loaded; then wait */
    FOLLOW_DECISION_SETTLE, /* what head names is served: all is well; wait */
    FOLLOW_DECISION_REFUSE, /* head itself is not to be followed; wait */
    FOLLOW_DECISION_WAIT,
    FOLLOW_DECISION_FAULT,
    FOLLOW_DECISION_LAST = FOLLOW_DECISION_FAULT,
};
enum follow_refusal { FOLLOW_REFUSAL_ROLLED_BACK = 1, FOLLOW_REFUSAL_FORKED };
enum { FOLLOW_FOR_EVER = 0 };
struct follow_decision {
    enum follow_decision_kind kind;
    enum follow_refusal refusal; /* REFUSE */
    uint32_t wait_ms;            /* SERVE, SETTLE, REFUSE, WAIT; FOLLOW_FOR_EVER: there is nothing to wait for */
};
struct follow_step {
    struct follow_state next;
    struct follow_decision decision;
};
/* It begins in WAITING with DUE. */
MR_MUST_USE struct follow_step follow_decide(const struct follow_state *state, const struct follow_event *event);

#endif
