#include "locked_store.h"

#include <pthread.h>
#include <stdlib.h>

struct locked {
    struct mr_store base;
    struct mr_store *store;
    pthread_mutex_t lock;
    enum mr_store_outcome outcome;
    uint64_t calls;
};

/* Takes the lock; NULL: it is down, and *ret_result says how. */
static struct mr_store *begin(struct mr_store *base, struct mr_store_result *ret_result)
{
    struct locked *locked = (struct locked *)base;
    MR_ASSERT(pthread_mutex_lock(&locked->lock) == 0);
    locked->calls++;
    *ret_result = (struct mr_store_result){.outcome = locked->outcome, .detail = "the test says so"};
    return locked->outcome == MR_STORE_DONE ? locked->store : NULL;
}

static struct mr_store_result end(struct mr_store *base, struct mr_store_result result)
{
    MR_ASSERT(pthread_mutex_unlock(&((struct locked *)base)->lock) == 0);
    return result;
}

static struct mr_store_result locked_get(struct mr_store *base, const char *key, struct mr_store_range range,
                                         struct mr_buffer *ret_body)
{
    struct mr_store_result result;
    struct mr_store *store = begin(base, &result);
    return end(base, store == NULL ? result : store->ops->get(store, key, range, ret_body));
}

static struct mr_store_result locked_head(struct mr_store *base, const char *key)
{
    struct mr_store_result result;
    struct mr_store *store = begin(base, &result);
    return end(base, store == NULL ? result : mr_store_head(store, key));
}

static struct mr_store_result locked_put(struct mr_store *base, const char *key, struct mr_bytes body,
                                         struct mr_store_condition condition)
{
    struct mr_store_result result;
    struct mr_store *store = begin(base, &result);
    return end(base, store == NULL ? result : mr_store_put(store, key, body, condition));
}

static struct mr_store_result locked_list(struct mr_store *base, const char *prefix, const char *after, uint32_t limit,
                                          struct mr_store_page *ret_page)
{
    struct mr_store_result result;
    struct mr_store *store = begin(base, &result);
    return end(base, store == NULL ? result : mr_store_list(store, prefix, after, limit, ret_page));
}

static struct mr_store_result locked_remove(struct mr_store *base, const char *key)
{
    struct mr_store_result result;
    struct mr_store *store = begin(base, &result);
    return end(base, store == NULL ? result : mr_store_remove(store, key));
}

static void locked_close(struct mr_store *base)
{
    struct locked *locked = (struct locked *)base;
    mr_store_close(locked->store);
    MR_ASSERT(pthread_mutex_destroy(&locked->lock) == 0);
    free(locked);
}

struct mr_store *locked_store_new(struct mr_store *store)
{
    static const struct mr_store_ops ops = {
        .get = locked_get,
        .head = locked_head,
        .put = locked_put,
        .list = locked_list,
        .remove = locked_remove,
        .close = locked_close,
    };
    struct locked *locked = calloc(1, sizeof *locked);
    MR_ASSERT(locked != NULL && pthread_mutex_init(&locked->lock, NULL) == 0);
    locked->base.ops = &ops;
    locked->store = store;
    locked->outcome = MR_STORE_DONE;
    return &locked->base;
}

void locked_store_answer(struct mr_store *base, enum mr_store_outcome outcome)
{
    struct locked *locked = (struct locked *)base;
    MR_ASSERT(pthread_mutex_lock(&locked->lock) == 0);
    locked->outcome = outcome;
    MR_ASSERT(pthread_mutex_unlock(&locked->lock) == 0);
}

uint64_t locked_store_calls(struct mr_store *base)
{
    struct locked *locked = (struct locked *)base;
    MR_ASSERT(pthread_mutex_lock(&locked->lock) == 0);
    const uint64_t calls = locked->calls;
    MR_ASSERT(pthread_mutex_unlock(&locked->lock) == 0);
    return calls;
}
