/* Pure: no I/O, no clock. */
#include "serve.h"

#include <string.h>

static const char prefix[] = "/v1/models/";

enum serve_path serve_path_of(const char *path, const char *model_id, bool *ret_our_model)
{
    *ret_our_model = false;
    if (strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0 || strcmp(path, "/metrics") == 0) {
        return SERVE_PATH_HEALTH;
    }
    if (strncmp(path, prefix, sizeof prefix - 1) != 0) {
        return SERVE_PATH_UNKNOWN;
    }
    const char *model = path + sizeof prefix - 1;
    size_t size = 0;
    while (model[size] != '\0' && model[size] != '/') {
        size++;
    }
    *ret_our_model = size == strlen(model_id) && memcmp(model, model_id, size) == 0;
    if (model[size] == '\0') {
        return SERVE_PATH_MODEL;
    }
    if (strcmp(model + size, "/price") == 0) {
        return SERVE_PATH_PRICE;
    }
    return strcmp(model + size, "/outputs") == 0 ? SERVE_PATH_OUTPUTS : SERVE_PATH_UNKNOWN;
}

unsigned serve_status(enum serve_refusal refusal)
{
    switch (refusal) {
    case SERVE_REFUSAL_INVALID: return 400;
    case SERVE_REFUSAL_LOGIN: return 401;
    case SERVE_REFUSAL_DENIED: return 403;
    case SERVE_REFUSAL_NOT_FOUND: return 404;
    case SERVE_REFUSAL_METHOD: return 405;
    case SERVE_REFUSAL_CONFLICT: return 409;
    case SERVE_REFUSAL_LENGTH: return 411;
    case SERVE_REFUSAL_TOO_LARGE: return 413;
    case SERVE_REFUSAL_BACKPRESSURE: return 429;
    case SERVE_REFUSAL_FAILED: return 500;
    case SERVE_REFUSAL_NOT_READY: return 503;
    }
    mr_unreachable(__func__);
}

const char *serve_refusal_text(enum serve_refusal refusal)
{
    switch (refusal) {
    case SERVE_REFUSAL_INVALID: return "Invalid";
    case SERVE_REFUSAL_LOGIN: return "RedirectToLogin";
    case SERVE_REFUSAL_DENIED: return "Denied";
    case SERVE_REFUSAL_NOT_FOUND: return "NotFound";
    case SERVE_REFUSAL_METHOD: return "MethodNotAllowed";
    case SERVE_REFUSAL_CONFLICT: return "Conflict";
    case SERVE_REFUSAL_LENGTH: return "LengthRequired";
    case SERVE_REFUSAL_TOO_LARGE: return "TooLarge";
    case SERVE_REFUSAL_BACKPRESSURE: return "Backpressure";
    case SERVE_REFUSAL_FAILED: return "Failed";
    case SERVE_REFUSAL_NOT_READY: return "NotReady";
    }
    mr_unreachable(__func__);
}

static struct serve_decision to(enum serve_decision_kind kind)
{
    return (struct serve_decision){.kind = kind};
}

static struct serve_decision refuse(enum serve_refusal refusal)
{
    return (struct serve_decision){.kind = SERVE_DECISION_REFUSE, .refusal = refusal};
}

static bool takes(enum serve_path path, enum serve_method method)
{
    switch (method) {
    case SERVE_METHOD_GET:
    case SERVE_METHOD_HEAD: return path != SERVE_PATH_OUTPUTS;
    case SERVE_METHOD_POST: return path == SERVE_PATH_PRICE || path == SERVE_PATH_OUTPUTS;
    case SERVE_METHOD_OTHER: return false;
    }
    mr_unreachable(__func__);
}

static struct serve_decision decide_body(const struct serve_head *head)
{
    if (head->method == SERVE_METHOD_POST && !head->has_length) {
        return refuse(SERVE_REFUSAL_LENGTH);
    }
    if (head->has_length && head->length > head->length_max) {
        return refuse(SERVE_REFUSAL_TOO_LARGE);
    }
    return head->busy ? refuse(SERVE_REFUSAL_BACKPRESSURE) : to(SERVE_DECISION_READ);
}

/* Nothing is said of what there is to one who may not ask. */
struct serve_decision serve_decide_head(const struct serve_head *head)
{
    if (head->path == SERVE_PATH_HEALTH) {
        return takes(head->path, head->method) ? to(SERVE_DECISION_HEALTH) : refuse(SERVE_REFUSAL_METHOD);
    }
    switch (head->login) {
    case SERVE_LOGIN_MISSING: return refuse(SERVE_REFUSAL_LOGIN);
    case SERVE_LOGIN_WRONG: return refuse(SERVE_REFUSAL_DENIED);
    case SERVE_LOGIN_NOT_ASKED:
    case SERVE_LOGIN_GOOD: break;
    }
    if (head->path == SERVE_PATH_UNKNOWN || !head->our_model) {
        return refuse(SERVE_REFUSAL_NOT_FOUND);
    }
    return takes(head->path, head->method) ? decide_body(head) : refuse(SERVE_REFUSAL_METHOD);
}

static struct serve_decision decide_job(const struct serve_facts *facts)
{
    switch (facts->path) {
    case SERVE_PATH_MODEL: return to(SERVE_DECISION_MODEL);
    case SERVE_PATH_PRICE: return facts->prices ? to(SERVE_DECISION_PRICE) : refuse(SERVE_REFUSAL_NOT_FOUND);
    case SERVE_PATH_OUTPUTS: return facts->prices ? refuse(SERVE_REFUSAL_NOT_FOUND) : to(SERVE_DECISION_OUTPUTS);
    case SERVE_PATH_HEALTH:
    case SERVE_PATH_UNKNOWN: return refuse(SERVE_REFUSAL_NOT_FOUND); /* the head's decision came first */
    }
    mr_unreachable(__func__);
}

struct serve_decision serve_decide(const struct serve_facts *facts)
{
    if (!facts->valid) {
        return refuse(SERVE_REFUSAL_INVALID);
    }
    if (!facts->ready) {
        return refuse(SERVE_REFUSAL_NOT_READY);
    }
    switch (facts->wanted) {
    case SERVE_WANTED_OTHER: return refuse(SERVE_REFUSAL_CONFLICT);
    case SERVE_WANTED_ANY:
    case SERVE_WANTED_SERVED: return decide_job(facts);
    }
    mr_unreachable(__func__);
}
