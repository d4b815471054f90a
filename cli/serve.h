/*
 * millrace serve: what a request asks, and what is decided of it. Pure; serve_http.c performs.
 *
 * First by the request's head, before a body is read; then by what it asks of the version that is served. Every refusal
 * has one name, one HTTP status and one line in docs/operate.md.
 */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "millrace/base.h"

enum serve_method { SERVE_METHOD_GET = 1, SERVE_METHOD_HEAD, SERVE_METHOD_POST, SERVE_METHOD_OTHER };
enum serve_path {
    SERVE_PATH_HEALTH = 1, /* /healthz, /readyz, /metrics */
    SERVE_PATH_MODEL,      /* /v1/models/<model> */
    SERVE_PATH_PRICE,      /* /v1/models/<model>/price */
    SERVE_PATH_OUTPUTS,    /* /v1/models/<model>/outputs */
    SERVE_PATH_UNKNOWN,
    SERVE_PATH_LAST = SERVE_PATH_UNKNOWN,
};
/* The path, and whether it names that model (of the paths under it). */
enum serve_path serve_path_of(const char *path, const char *model_id, bool *ret_our_model);

enum serve_login {
    SERVE_LOGIN_NOT_ASKED = 1, /* no token is configured */
    SERVE_LOGIN_GOOD,
    SERVE_LOGIN_MISSING,
    SERVE_LOGIN_WRONG,
    SERVE_LOGIN_LAST = SERVE_LOGIN_WRONG,
};

/* What is known before the body. */
struct serve_head {
    enum serve_method method;
    enum serve_path path;
    bool our_model;
    enum serve_login login;
    bool has_length; /* Content-Length */
    uint64_t length, length_max;
    bool busy; /* as many requests are under way as are allowed */
};

/* What is known behind it. */
enum serve_wanted { SERVE_WANTED_ANY = 1, SERVE_WANTED_SERVED, SERVE_WANTED_OTHER };
struct serve_facts {
    enum serve_path path;
    bool valid;               /* the request can be read */
    bool ready;               /* a version is served */
    bool prices;              /* if ready: it is of a pricing job */
    enum serve_wanted wanted; /* if ready: the version that the request names */
};

enum serve_refusal {
    SERVE_REFUSAL_INVALID = 1,
    SERVE_REFUSAL_LOGIN,
    SERVE_REFUSAL_DENIED,
    SERVE_REFUSAL_NOT_FOUND,
    SERVE_REFUSAL_METHOD,
    SERVE_REFUSAL_CONFLICT,
    SERVE_REFUSAL_LENGTH,
    SERVE_REFUSAL_TOO_LARGE,
    SERVE_REFUSAL_BACKPRESSURE,
    SERVE_REFUSAL_FAILED,
    SERVE_REFUSAL_NOT_READY,
    SERVE_REFUSAL_LAST = SERVE_REFUSAL_NOT_READY,
};
unsigned serve_status(enum serve_refusal refusal);          /* 409 */
const char *serve_refusal_text(enum serve_refusal refusal); /* "Conflict" */

enum serve_decision_kind {
    SERVE_DECISION_READ = 1, /* the body, if there is one; then serve_decide */
    SERVE_DECISION_HEALTH,
    SERVE_DECISION_MODEL,
    SERVE_DECISION_PRICE,
    SERVE_DECISION_OUTPUTS,
    SERVE_DECISION_REFUSE,
    SERVE_DECISION_LAST = SERVE_DECISION_REFUSE,
};
struct serve_decision {
    enum serve_decision_kind kind;
    enum serve_refusal refusal; /* REFUSE */
};
/* READ, HEALTH or REFUSE. */
MR_MUST_USE struct serve_decision serve_decide_head(const struct serve_head *head);
/* MODEL, PRICE, OUTPUTS or REFUSE. */
MR_MUST_USE struct serve_decision serve_decide(const struct serve_facts *facts);

#endif
