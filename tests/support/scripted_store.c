#include "scripted_store.h"

#include <stdio.h>

static struct scripted_store *self_of(struct mr_store *store)
{
    return (struct scripted_store *)(void *)store;
}

static struct mr_store_result scripted(enum mr_store_outcome outcome)
{
    struct mr_store_result result = {.outcome = outcome};
    (void)snprintf(result.detail, sizeof result.detail, "as scripted");
    return result;
}

static struct mr_store_result scripted_get(struct mr_store *store, const char *key, struct mr_store_range range,
                                           struct mr_buffer *ret_body)
{
    struct mr_store *real = self_of(store)->real;
    return real->ops->get(real, key, range, ret_body);
}

static struct mr_store_result scripted_head(struct mr_store *store, const char *key)
{
    struct scripted_store *self = self_of(store);
    self->heads++;
    return self->head != 0 ? scripted(self->head) : mr_store_head(self->real, key);
}

static struct mr_store_result scripted_put(struct mr_store *store, const char *key, struct mr_bytes body,
                                           struct mr_store_condition condition)
{
    struct scripted_store *self = self_of(store);
    self->puts++;
    if (self->put == 0) {
        return mr_store_put(self->real, key, body, condition);
    }
    if (self->put_applies) {
        (void)mr_store_put(self->real, key, body, condition);
    }
    return scripted(self->put);
}

static struct mr_store_result scripted_list(struct mr_store *store, const char *prefix, const char *after,
                                            uint32_t limit, struct mr_store_page *ret_page)
{
    return mr_store_list(self_of(store)->real, prefix, after, limit, ret_page);
}

static struct mr_store_result scripted_remove(struct mr_store *store, const char *key)
{
    return mr_store_remove(self_of(store)->real, key);
}

static void scripted_close(struct mr_store *store)
{
    (void)store;
}

static const struct mr_store_ops ops = {
    .get = scripted_get,
    .head = scripted_head,
    .put = scripted_put,
    .list = scripted_list,
    .remove = scripted_remove,
    .close = scripted_close,
};

void scripted_store_init(struct scripted_store *store, struct mr_store *real)
{
    *store = (struct scripted_store){.base = {.ops = &ops}, .real = real};
}
