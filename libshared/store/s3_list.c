/* Listing of the s3:// back end: pages of list-objects-v2, each begun behind the last key of the one before. */
#include "s3_internal.h"

#include "s3_xml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_KEYS_MAX = 1000, FOREIGN_PAGES_MAX = 1000, ENCODED_SIZE = 3 * (MR_STORE_KEY_MAX + 1) };

static struct mr_store_result refuse_argument(const char *name)
{
    return mr_store_answer(MR_STORE_DENIED, EINVAL, "list: its %s is too long, or not from 1 to 1,000", name);
}

/* Appends "&name=" and the encoded `prefix text`; false: too long. */
static bool add_parameter(struct mr_buffer *query, const char *name, const char *prefix, const char *text)
{
    char whole[MR_STORE_KEY_MAX + 1], encoded[ENCODED_SIZE];
    const int size = snprintf(whole, sizeof whole, "%s%s", prefix, text);
    return size >= 0 && (size_t)size < sizeof whole && s3_encode(whole, false, encoded, sizeof encoded) &&
           !mr_failed(mr_buffer_append_text(query, "&%s=%s", name, encoded));
}

/* In the order of names, as it is signed. */
static bool build_query(const struct s3_settings *settings, const char *prefix, const char *behind, uint32_t limit,
                        struct mr_buffer *query)
{
    return !mr_failed(mr_buffer_append_text(query, "encoding-type=url&list-type=2&max-keys=%u", limit)) &&
           add_parameter(query, "prefix", settings->prefix, prefix) &&
           (behind[0] == '\0' || add_parameter(query, "start-after", "", behind));
}

/* A page as it is in the bucket, from behind that key on. */
static struct mr_store_result list_raw(struct mr_s3_store *store, const char *prefix, const char *behind,
                                       uint32_t limit, struct mr_store_page *ret_page)
{
    struct mr_buffer query = {0};
    struct s3_http_reply reply = {.exchange = S3_EXCHANGE_NOT_SENT};
    struct mr_store_result result = refuse_argument("prefix or first key");
    if (build_query(&store->settings, prefix, behind, limit, &query)) {
        const struct s3_call call = {.operation = S3_LIST, .method = "GET", .query = (const char *)query.data};
        result = s3_call(store, &call, &reply);
    }
    if (result.outcome == MR_STORE_DONE) {
        const struct mr_error error = s3_xml_list(mr_buffer_view(&reply.text), behind, limit, ret_page);
        if (mr_failed(error)) {
            result = mr_store_answer(MR_STORE_UNAVAILABLE, reply.status, "list %.80s: %s", prefix, error.detail);
        }
    }
    s3_http_reply_deinit(&reply);
    mr_buffer_deinit(&query);
    return result;
}

/* Leaves the keys that are ours, without the store's prefix. False: the server's list has none of that prefix. */
static bool keep_own(struct mr_store_page *page, const char *store_prefix, const char *prefix)
{
    const size_t size = strlen(store_prefix), inner = strlen(prefix);
    size_t kept = 0;
    for (size_t i = 0; i < page->count; i++) {
        char *key = page->entries[i].key;
        if (strncmp(key, store_prefix, size) != 0 || strncmp(key + size, prefix, inner) != 0) {
            return false;
        }
        if (!mr_store_key_valid(key + size)) { /* somebody else's: no key of ours looks like that */
            free(key);
            page->entries[i].key = NULL;
            continue;
        }
        memmove(key, key + size, strlen(key + size) + 1);
        page->entries[kept++] = page->entries[i];
    }
    page->count = kept;
    return true;
}

/* *ret_behind becomes the page's last key. */
static bool remember_last(const struct mr_store_page *page, char *ret_behind, size_t size)
{
    const char *last = page->count == 0 ? "" : page->entries[page->count - 1].key;
    const int length = snprintf(ret_behind, size, "%s", last);
    return length >= 0 && (size_t)length < size;
}

struct mr_store_result s3_list(struct mr_store *base, const char *prefix, const char *after, uint32_t limit,
                               struct mr_store_page *ret_page)
{
    struct mr_s3_store *store = (struct mr_s3_store *)base;
    const char *own = store->settings.prefix;
    char behind[MR_STORE_KEY_MAX + 1] = "";
    if (limit == 0 || limit > PAGE_KEYS_MAX) {
        return refuse_argument("limit");
    }
    if (after[0] != '\0' && (size_t)snprintf(behind, sizeof behind, "%s%s", own, after) >= sizeof behind) {
        return refuse_argument("first key");
    }
    /* The caller goes on behind the last key of a page, so one without a key of ours is passed over here. */
    for (int pages = 0; pages < FOREIGN_PAGES_MAX; pages++) {
        struct mr_store_page page = {0};
        const struct mr_store_result result = list_raw(store, prefix, behind, limit, &page);
        if (result.outcome != MR_STORE_DONE) {
            return result;
        }
        const bool good = remember_last(&page, behind, sizeof behind) && keep_own(&page, own, prefix);
        if (good && (page.count > 0 || !page.more)) {
            *ret_page = page;
            return result;
        }
        mr_store_page_deinit(&page);
        if (!good) {
            return mr_store_answer(MR_STORE_UNAVAILABLE, 200, "list %.100s: the reply has keys without that prefix",
                                   prefix);
        }
    }
    return mr_store_answer(MR_STORE_UNAVAILABLE, 0, "list %.60s: over %d pages of objects that are not Millrace's",
                           prefix, FOREIGN_PAGES_MAX);
}
