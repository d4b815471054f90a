#include "millrace/store_watch.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CALLS_MAX = 128 }; /* at once; services have fewer threads. More would be carried out, but not watched */

struct watched {
    struct mr_store base;
    struct mr_store *store;
    struct mr_clock clock;
    _Atomic int64_t began_us[CALLS_MAX]; /* 0: free */
};

/* NULL: too many. */
static _Atomic int64_t *begin(struct watched *watched)
{
    const int64_t now_us = mr_clock_monotonic_us(&watched->clock);
    for (size_t i = 0; i < CALLS_MAX; i++) {
        int64_t none = 0;
        if (atomic_compare_exchange_strong(&watched->began_us[i], &none, now_us > 0 ? now_us : 1)) {
            return &watched->began_us[i];
        }
    }
    return NULL;
}

static struct mr_store_result end(_Atomic int64_t *call, struct mr_store_result result)
{
    if (call != NULL) {
        atomic_store(call, 0);
    }
    return result;
}

static struct watched *of(struct mr_store *base)
{
    return (struct watched *)base;
}

static struct mr_store_result watched_get(struct mr_store *base, const char *key, struct mr_store_range range,
                                          struct mr_buffer *ret_body)
{
    struct mr_store *store = of(base)->store;
    _Atomic int64_t *call = begin(of(base));
    return end(call, store->ops->get(store, key, range, ret_body));
}

static struct mr_store_result watched_head(struct mr_store *base, const char *key)
{
    _Atomic int64_t *call = begin(of(base));
    return end(call, mr_store_head(of(base)->store, key));
}

static struct mr_store_result watched_put(struct mr_store *base, const char *key, struct mr_bytes body,
                                          struct mr_store_condition condition)
{
    _Atomic int64_t *call = begin(of(base));
    return end(call, mr_store_put(of(base)->store, key, body, condition));
}

static struct mr_store_result watched_list(struct mr_store *base, const char *prefix, const char *after, uint32_t limit,
                                           struct mr_store_page *ret_page)
{
    _Atomic int64_t *call = begin(of(base));
    return end(call, mr_store_list(of(base)->store, prefix, after, limit, ret_page));
}

static struct mr_store_result watched_remove(struct mr_store *base, const char *key)
{
    _Atomic int64_t *call = begin(of(base));
    return end(call, mr_store_remove(of(base)->store, key));
}

static void watched_close(struct mr_store *base)
{
    mr_store_close(of(base)->store);
    free(base);
}

static const struct mr_store_ops ops = {
    .get = watched_get,
    .head = watched_head,
    .put = watched_put,
    .list = watched_list,
    .remove = watched_remove,
    .close = watched_close,
};

struct mr_error mr_store_watch(struct mr_store *store, const struct mr_clock *clock, struct mr_store **ret_watched)
{
    struct watched *watched = calloc(1, sizeof *watched);
    if (watched == NULL) {
        mr_store_close(store);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the watch over a store");
    }
    watched->base.ops = &ops;
    watched->store = store;
    watched->clock = *clock;
    *ret_watched = &watched->base;
    return mr_ok();
}

int64_t mr_store_unanswered_ms(const struct mr_store *base)
{
    const struct watched *watched = (const struct watched *)base;
    const int64_t now_us = mr_clock_monotonic_us(&watched->clock);
    int64_t oldest_us = now_us;
    for (size_t i = 0; i < CALLS_MAX; i++) {
        const int64_t began_us = atomic_load(&watched->began_us[i]);
        oldest_us = began_us > 0 && began_us < oldest_us ? began_us : oldest_us;
    }
    return (now_us - oldest_us) / 1000;
}
