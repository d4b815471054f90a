#include "store_settle.h"

/* The store has waited between attempts of its own where that helps; beyond these, whoever asked asks again later. */
enum { ATTEMPTS = 5 };

static struct mr_error trouble(const struct mr_store_result *result)
{
    return result->outcome == MR_STORE_DENIED
               ? mr_error_make(MR_ERROR_FATAL, "denied", result->native, "%s", result->detail)
               : mr_error_make(MR_ERROR_TRANSIENT, "unavailable", result->native, "%s", result->detail);
}

struct mr_error mr_store_settle_look(struct mr_store *store, const char *key, bool *ret_there)
{
    const struct mr_store_result got = mr_store_head(store, key);
    if (got.outcome != MR_STORE_DONE && got.outcome != MR_STORE_MISSING) {
        return trouble(&got);
    }
    *ret_there = got.outcome == MR_STORE_DONE;
    return mr_ok();
}

struct mr_error mr_store_settle_put(struct mr_store *store, const char *key, struct mr_bytes body)
{
    struct mr_store_result put = {.outcome = MR_STORE_UNKNOWN};
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool there = false;
        put = mr_store_put(store, key, body, (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT});
        switch (put.outcome) {
        case MR_STORE_DONE:
        case MR_STORE_PRECONDITION_FAILED: there = true; break;
        case MR_STORE_DENIED: return trouble(&put);
        case MR_STORE_CONFLICT:
        case MR_STORE_UNKNOWN: MR_TRY(mr_store_settle_look(store, key, &there)); break;
        case MR_STORE_MISSING: /* the bucket, say */
        case MR_STORE_THROTTLED:
        case MR_STORE_UNAVAILABLE: break;
        }
        if (there) {
            return mr_ok();
        }
    }
    return trouble(&put);
}

struct mr_error mr_store_settle_remove(struct mr_store *store, const char *key)
{
    struct mr_store_result removed = {.outcome = MR_STORE_UNKNOWN};
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool there = true;
        removed = mr_store_remove(store, key);
        switch (removed.outcome) {
        case MR_STORE_DONE: return mr_ok();
        case MR_STORE_DENIED: return trouble(&removed);
        case MR_STORE_MISSING: /* of the key or of what holds it: it is looked for */
        case MR_STORE_PRECONDITION_FAILED:
        case MR_STORE_CONFLICT:
        case MR_STORE_UNKNOWN: MR_TRY(mr_store_settle_look(store, key, &there)); break;
        case MR_STORE_THROTTLED:
        case MR_STORE_UNAVAILABLE: break;
        }
        if (!there) {
            return mr_ok();
        }
    }
    return trouble(&removed);
}
