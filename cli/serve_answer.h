/* What millrace serve answers, as JSON. */
#ifndef CLI_SERVE_ANSWER_H
#define CLI_SERVE_ANSWER_H

#include "serve_request.h"

#include "millrace/client.h"

struct serve_answer {
    unsigned status;
    char version_id[SERVE_VERSION_SIZE]; /* for the ETag; "": none */
    struct mr_buffer body;
};

/* A refusal: {"error": "Conflict", "code": ..., "detail": ..., "field": ...}; `fault` may be NULL. */
MR_MUST_USE struct mr_error serve_answer_refusal(enum serve_refusal refusal, const struct mr_error *why,
                                                 const struct mr_field_fault *fault, struct serve_answer *ret_answer);
/* What the decision says, of that view. */
MR_MUST_USE struct mr_error serve_answer_view(enum serve_decision_kind kind, const struct serve_request *request,
                                              const struct mr_view *view, struct serve_answer *ret_answer);

#endif
