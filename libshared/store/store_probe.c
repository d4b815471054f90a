/* The short form of `store doctor`: does this store keep its word about conditional writes? */
#include "store_internal.h"

#include "millrace/hash.h"

#include <stdio.h>

enum { PROBE_KEY_SIZE = 64 };

/* mr_ok when the answer is one of the two that are honest. */
static struct mr_error expect(const char *step, const struct mr_store_result *got, enum mr_store_outcome honest,
                              enum mr_store_outcome also_honest)
{
    if (got->outcome == honest || got->outcome == also_honest) {
        return mr_ok();
    }
    switch (got->outcome) {
    case MR_STORE_DENIED:
        return mr_error_make(MR_ERROR_FATAL, "denied", got->native, "store probe: %s: %.120s", step, got->detail);
    case MR_STORE_CONFLICT:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE:
    case MR_STORE_UNKNOWN:
        return mr_error_make(MR_ERROR_TRANSIENT, "undecided", got->native, "store probe: %s: %s: %.100s", step,
                             mr_store_outcome_text(got->outcome), got->detail);
    case MR_STORE_DONE:
    case MR_STORE_MISSING:
    case MR_STORE_PRECONDITION_FAILED:
        return mr_error_make(MR_ERROR_FATAL, "dishonest_store", got->native,
                             "store probe: %s answered %s, expected %s: versions would be lost; use another store",
                             step, mr_store_outcome_text(got->outcome), mr_store_outcome_text(honest));
    }
    mr_unreachable(__func__);
}

static struct mr_error expect_body(const char *step, struct mr_store *store, const char *key, struct mr_bytes body)
{
    struct mr_buffer got = {0};
    const struct mr_store_result result = mr_store_get(store, key, &got);
    struct mr_error error = expect(step, &result, MR_STORE_DONE, MR_STORE_DONE);
    if (!mr_failed(error) && !mr_bytes_equal(mr_buffer_view(&got), body)) {
        error = mr_error_make(MR_ERROR_FATAL, "dishonest_store", 0,
                              "store probe: %s: a read after a write gave other bytes; use another store", step);
    }
    mr_buffer_deinit(&got);
    return error;
}

static struct mr_error probe(struct mr_store *store, const char *key)
{
    const struct mr_bytes one = mr_bytes_of_text("one"), two = mr_bytes_of_text("two");
    const struct mr_store_condition absent = {.kind = MR_STORE_IF_ABSENT};
    struct mr_store_condition match = {.kind = MR_STORE_IF_MATCH};

    struct mr_store_result got = mr_store_put(store, key, one, absent);
    match.etag = got.etag;
    MR_TRY(expect("create if absent", &got, MR_STORE_DONE, MR_STORE_DONE));
    got = mr_store_put(store, key, two, absent);
    MR_TRY(expect("create if absent, again", &got, MR_STORE_PRECONDITION_FAILED, MR_STORE_PRECONDITION_FAILED));
    MR_TRY(expect_body("read after create", store, key, one));
    got = mr_store_put(store, key, two, match);
    MR_TRY(expect("compare-and-swap", &got, MR_STORE_DONE, MR_STORE_DONE));
    got = mr_store_put(store, key, one, match);
    MR_TRY(
        expect("compare-and-swap with a stale ETag", &got, MR_STORE_PRECONDITION_FAILED, MR_STORE_PRECONDITION_FAILED));
    MR_TRY(expect_body("read after compare-and-swap", store, key, two));
    got = mr_store_remove(store, key);
    MR_TRY(expect("remove", &got, MR_STORE_DONE, MR_STORE_DONE));
    got = mr_store_put(store, key, one, match);
    return expect("compare-and-swap of a missing key", &got, MR_STORE_MISSING, MR_STORE_PRECONDITION_FAILED);
}

struct mr_error mr_store_probe(struct mr_store *store)
{
    uint8_t bytes[16];
    char text[2 * sizeof bytes + 1], key[PROBE_KEY_SIZE];
    MR_TRY(mr_random(bytes, sizeof bytes));
    mr_hex(mr_bytes_of(bytes, sizeof bytes), text);
    (void)snprintf(key, sizeof key, ".doctor/%s", text);
    const struct mr_error error = probe(store, key);
    if (mr_failed(error)) {
        (void)mr_store_remove(store, key); /* the name is ours alone */
    }
    return error;
}
