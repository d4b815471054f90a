#include "memory_store.h"

#include "millrace/hash.h"
#include "prng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct object {
    char *key;
    struct mr_buffer body;
};

enum { REMOVALS_MAX = 4096 };

struct memory_store {
    struct mr_store base;
    struct object *objects; /* in byte order of their keys */
    size_t count, capacity;
    struct prng prng;
    struct memory_store_faults faults;
    const char *next_suffix;
    enum mr_store_outcome next_outcome;
    bool next_applied;
    char *removed[REMOVALS_MAX];
    size_t removed_count;
};

static struct memory_store *of(const struct mr_store *base)
{
    return (struct memory_store *)(uintptr_t)base;
}

static size_t place_of(const struct memory_store *store, const char *key, bool *ret_found)
{
    size_t low = 0, high = store->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(store->objects[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_found = low < store->count && strcmp(store->objects[low].key, key) == 0;
    return low;
}

static void set(struct memory_store *store, const char *key, struct mr_bytes body)
{
    bool found = false;
    const size_t at = place_of(store, key, &found);
    if (!found) {
        if (store->count == store->capacity) {
            store->capacity = store->capacity * 2 + 64;
            store->objects = realloc(store->objects, store->capacity * sizeof *store->objects);
            MR_ASSERT(store->objects != NULL);
        }
        memmove(store->objects + at + 1, store->objects + at, (store->count - at) * sizeof *store->objects);
        store->count++;
        store->objects[at] = (struct object){.key = strdup(key)};
        MR_ASSERT(store->objects[at].key != NULL);
    }
    store->objects[at].body.size = 0;
    MR_ASSERT(!mr_failed(mr_buffer_append(&store->objects[at].body, body.data, body.size)));
}

static void unset(struct memory_store *store, const char *key)
{
    bool found = false;
    const size_t at = place_of(store, key, &found);
    if (found) {
        free(store->objects[at].key);
        mr_buffer_deinit(&store->objects[at].body);
        store->count--;
        memmove(store->objects + at, store->objects + at + 1, (store->count - at) * sizeof *store->objects);
    }
}

static struct mr_etag etag_of(struct mr_bytes body)
{
    struct mr_etag etag = {{0}};
    const struct mr_sha256 hash = mr_sha256_of(body);
    char text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&hash, text);
    memcpy(etag.text, text, sizeof text);
    return etag;
}

static struct mr_store_result answer(enum mr_store_outcome outcome)
{
    struct mr_store_result result = {.outcome = outcome};
    (void)snprintf(result.detail, sizeof result.detail, "memory store: %s", mr_store_outcome_text(outcome));
    return result;
}

static bool ends_with(const char *key, const char *suffix)
{
    const size_t size = strlen(key), tail = strlen(suffix);
    return size >= tail && strcmp(key + size - tail, suffix) == 0;
}

/* DONE: no fault. */
static enum mr_store_outcome fault(struct memory_store *store, const char *key, bool write, bool *ret_applied)
{
    if (store->next_suffix != NULL && ends_with(key, store->next_suffix)) {
        store->next_suffix = NULL;
        *ret_applied = store->next_applied;
        return store->next_outcome;
    }
    const uint64_t dice = prng_below(&store->prng, 1000), kind = prng_below(&store->prng, 3);
    const struct memory_store_faults *faults = &store->faults;
    if (!write) {
        *ret_applied = false;
        return dice >= faults->unread ? MR_STORE_DONE : (kind == 0 ? MR_STORE_THROTTLED : MR_STORE_UNAVAILABLE);
    }
    *ret_applied = dice < faults->lost_after;
    if (dice < faults->lost_after + faults->lost_before) {
        return MR_STORE_UNKNOWN;
    }
    if (dice < faults->lost_after + faults->lost_before + faults->refused) {
        return kind == 0 ? MR_STORE_CONFLICT : (kind == 1 ? MR_STORE_THROTTLED : MR_STORE_UNAVAILABLE);
    }
    return MR_STORE_DONE;
}

static struct mr_store_result get(struct mr_store *base, const char *key, struct mr_store_range range,
                                  struct mr_buffer *ret_body)
{
    struct memory_store *store = of(base);
    bool found = false, applied = false;
    const enum mr_store_outcome failed = fault(store, key, false, &applied);
    if (failed != MR_STORE_DONE) {
        return answer(failed);
    }
    const size_t at = place_of(store, key, &found);
    if (!found) {
        return answer(MR_STORE_MISSING);
    }
    const struct mr_bytes body = mr_buffer_view(&store->objects[at].body);
    const size_t first = range.first < body.size ? (size_t)range.first : body.size;
    const size_t rest = body.size - first;
    const size_t count = range.count == 0 || range.count > rest ? rest : (size_t)range.count;
    struct mr_store_result result = answer(MR_STORE_DONE);
    MR_ASSERT(!mr_failed(mr_buffer_append(ret_body, count == 0 ? NULL : body.data + first, count)));
    result.etag = etag_of(body);
    result.size = body.size;
    return result;
}

static struct mr_store_result head(struct mr_store *base, const char *key)
{
    struct mr_buffer body = {0};
    const struct mr_store_result result = get(base, key, (struct mr_store_range){0, 0}, &body);
    mr_buffer_deinit(&body);
    return result;
}

static enum mr_store_outcome check(const struct memory_store *store, const char *key,
                                   const struct mr_store_condition *condition)
{
    bool found = false;
    const size_t at = place_of(store, key, &found);
    switch (condition->kind) {
    case MR_STORE_ALWAYS: return MR_STORE_DONE;
    case MR_STORE_IF_ABSENT: return found ? MR_STORE_PRECONDITION_FAILED : MR_STORE_DONE;
    case MR_STORE_IF_MATCH:
        if (!found) {
            return MR_STORE_MISSING;
        }
        return strcmp(etag_of(mr_buffer_view(&store->objects[at].body)).text, condition->etag.text) == 0
                   ? MR_STORE_DONE
                   : MR_STORE_PRECONDITION_FAILED;
    }
    mr_unreachable(__func__);
}

static struct mr_store_result put(struct mr_store *base, const char *key, struct mr_bytes body,
                                  struct mr_store_condition condition)
{
    struct memory_store *store = of(base);
    bool applied = false;
    const enum mr_store_outcome failed = fault(store, key, true, &applied);
    const enum mr_store_outcome allowed = check(store, key, &condition);
    if (allowed == MR_STORE_DONE && (failed == MR_STORE_DONE || applied)) {
        set(store, key, body);
    }
    struct mr_store_result result = answer(failed != MR_STORE_DONE ? failed : allowed);
    result.etag = etag_of(body);
    return result;
}

static struct mr_store_result list(struct mr_store *base, const char *prefix, const char *after, uint32_t limit,
                                   struct mr_store_page *ret_page)
{
    struct memory_store *store = of(base);
    bool applied = false;
    struct mr_store_page page = {.entries = calloc(limit, sizeof *page.entries)};
    const enum mr_store_outcome failed = fault(store, prefix, false, &applied);
    MR_ASSERT(page.entries != NULL);
    if (failed != MR_STORE_DONE) {
        free(page.entries);
        return answer(failed);
    }
    for (size_t i = 0; i < store->count && !page.more; i++) {
        const struct object *object = &store->objects[i];
        if (strncmp(object->key, prefix, strlen(prefix)) != 0 || strcmp(object->key, after) <= 0) {
            continue;
        }
        page.more = page.count == limit;
        if (!page.more) {
            page.entries[page.count++] = (struct mr_store_entry){.key = strdup(object->key), .size = object->body.size};
        }
    }
    *ret_page = page;
    return answer(MR_STORE_DONE);
}

static struct mr_store_result drop(struct mr_store *base, const char *key)
{
    struct memory_store *store = of(base);
    bool applied = false;
    const enum mr_store_outcome failed = fault(store, key, true, &applied);
    MR_ASSERT(store->removed_count < REMOVALS_MAX);
    store->removed[store->removed_count++] = strdup(key);
    if (failed == MR_STORE_DONE || applied) {
        unset(store, key);
    }
    return answer(failed);
}

static void drop_all(struct mr_store *base)
{
    struct memory_store *store = of(base);
    while (store->count > 0) {
        unset(store, store->objects[store->count - 1].key);
    }
    while (store->removed_count > 0) {
        free(store->removed[--store->removed_count]);
    }
    free(store->objects);
    free(store);
}

static const struct mr_store_ops ops = {
    .get = get, .head = head, .put = put, .list = list, .remove = drop, .close = drop_all};

struct mr_store *memory_store_new(uint64_t seed)
{
    struct memory_store *store = calloc(1, sizeof *store);
    MR_ASSERT(store != NULL);
    store->base.ops = &ops;
    store->prng.state = seed;
    return &store->base;
}

void memory_store_set_faults(struct mr_store *store, struct memory_store_faults faults)
{
    of(store)->faults = faults;
}

void memory_store_answer_next(struct mr_store *store, const char *suffix, enum mr_store_outcome outcome, bool applied)
{
    of(store)->next_suffix = suffix;
    of(store)->next_outcome = outcome;
    of(store)->next_applied = applied;
}

void memory_store_set(struct mr_store *store, const char *key, const char *text)
{
    if (text == NULL) {
        unset(of(store), key);
    } else {
        set(of(store), key, mr_bytes_of_text(text));
    }
}

struct mr_bytes memory_store_peek(const struct mr_store *store, const char *key)
{
    bool found = false;
    const size_t at = place_of(of(store), key, &found);
    return found ? mr_buffer_view(&of(store)->objects[at].body) : mr_bytes_of(NULL, 0);
}

size_t memory_store_count(const struct mr_store *store)
{
    return of(store)->count;
}

const char *memory_store_key(const struct mr_store *store, size_t index)
{
    return of(store)->objects[index].key;
}

uint64_t memory_store_removals(const struct mr_store *store, const char *part)
{
    uint64_t count = 0;
    for (size_t i = 0; i < of(store)->removed_count; i++) {
        count += strstr(of(store)->removed[i], part) != NULL;
    }
    return count;
}
