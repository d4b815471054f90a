#include "stepped_store.h"

#include <stdio.h>

static struct stepped_store *self_of(struct mr_store *store)
{
    return (struct stepped_store *)(void *)store;
}

static struct mr_store_result answer(enum mr_store_outcome outcome)
{
    struct mr_store_result result = {.outcome = outcome};
    (void)snprintf(result.detail, sizeof result.detail, "as the test wants it");
    return result;
}

/* False: it does not come through. */
static bool step(struct stepped_store *self)
{
    self->operations++;
    if (self->before != NULL && !self->within) {
        self->within = true;
        self->before(self->self, self->operations);
        self->within = false;
    }
    return self->stop_at == 0 || self->operations < self->stop_at;
}

static struct mr_store_result stepped_get(struct mr_store *store, const char *key, struct mr_store_range range,
                                          struct mr_buffer *ret_body)
{
    struct mr_store *real = self_of(store)->real;
    return step(self_of(store)) ? real->ops->get(real, key, range, ret_body) : answer(MR_STORE_UNAVAILABLE);
}

static struct mr_store_result stepped_head(struct mr_store *store, const char *key)
{
    return step(self_of(store)) ? mr_store_head(self_of(store)->real, key) : answer(MR_STORE_UNAVAILABLE);
}

static struct mr_store_result stepped_put(struct mr_store *store, const char *key, struct mr_bytes body,
                                          struct mr_store_condition condition)
{
    struct stepped_store *self = self_of(store);
    if (!step(self)) {
        return answer(MR_STORE_UNAVAILABLE);
    }
    const bool lost = self->operations == self->lose_at;
    if (lost && !self->lost_is_applied) {
        return answer(MR_STORE_UNKNOWN);
    }
    const struct mr_store_result result = mr_store_put(self->real, key, body, condition);
    return lost ? answer(MR_STORE_UNKNOWN) : result;
}

static struct mr_store_result stepped_list(struct mr_store *store, const char *prefix, const char *after,
                                           uint32_t limit, struct mr_store_page *ret_page)
{
    return step(self_of(store)) ? mr_store_list(self_of(store)->real, prefix, after, limit, ret_page)
                                : answer(MR_STORE_UNAVAILABLE);
}

static struct mr_store_result stepped_remove(struct mr_store *store, const char *key)
{
    struct stepped_store *self = self_of(store);
    if (!step(self)) {
        return answer(MR_STORE_UNAVAILABLE);
    }
    const bool lost = self->operations == self->lose_at;
    if (lost && !self->lost_is_applied) {
        return answer(MR_STORE_UNKNOWN);
    }
    const struct mr_store_result result = mr_store_remove(self->real, key);
    return lost ? answer(MR_STORE_UNKNOWN) : result;
}

static void stepped_close(struct mr_store *store)
{
    (void)store;
}

static const struct mr_store_ops ops = {
    .get = stepped_get,
    .head = stepped_head,
    .put = stepped_put,
    .list = stepped_list,
    .remove = stepped_remove,
    .close = stepped_close,
};

void stepped_store_init(struct stepped_store *store, struct mr_store *real)
{
    *store = (struct stepped_store){.base = {.ops = &ops}, .real = real};
}
