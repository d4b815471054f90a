/* What all back ends share: opening by URI, the names of outcomes, pages. */
#include "store_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *mr_store_outcome_text(enum mr_store_outcome outcome)
{
    switch (outcome) {
    case MR_STORE_DONE: return "done";
    case MR_STORE_MISSING: return "missing";
    case MR_STORE_PRECONDITION_FAILED: return "precondition_failed";
    case MR_STORE_CONFLICT: return "conflict";
    case MR_STORE_DENIED: return "denied";
    case MR_STORE_THROTTLED: return "throttled";
    case MR_STORE_UNAVAILABLE: return "unavailable";
    case MR_STORE_UNKNOWN: return "unknown";
    }
    mr_unreachable(__func__);
}

struct mr_store_result mr_store_answer(enum mr_store_outcome outcome, int64_t native, const char *format, ...)
{
    struct mr_store_result result = {.outcome = outcome, .native = native};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(result.detail, sizeof result.detail, format, arguments);
    va_end(arguments);
    return result;
}

void mr_store_page_deinit(struct mr_store_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        free(page->entries[i].key);
    }
    free(page->entries);
    *page = (struct mr_store_page){0};
}

static bool give_page(const struct mr_store_page *page, bool (*each)(void *self, const struct mr_store_entry *entry),
                      void *self)
{
    for (size_t i = 0; i < page->count; i++) {
        if (!each(self, &page->entries[i])) {
            return false;
        }
    }
    return page->more && page->count > 0;
}

struct mr_store_result mr_store_each(struct mr_store *store, const char *prefix,
                                     bool (*each)(void *self, const struct mr_store_entry *entry), void *self)
{
    struct mr_store_result result = {0};
    struct mr_store_page page = {0};
    if (store->ops->each != NULL) {
        return store->ops->each(store, prefix, each, self);
    }
    for (bool more = true; more;) {
        struct mr_store_page next = {0};
        const char *after = page.count == 0 ? "" : page.entries[page.count - 1].key;
        result = mr_store_list(store, prefix, after, 1000, &next);
        mr_store_page_deinit(&page);
        page = next;
        more = result.outcome == MR_STORE_DONE && give_page(&page, each, self);
    }
    mr_store_page_deinit(&page);
    return result;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte of a path at *at, which moves behind it. */
static bool take_byte(const char **at, char *ret_byte)
{
    if (**at == '?' || **at == '#') {
        return false;
    }
    if (**at != '%') {
        *ret_byte = *(*at)++;
        return true;
    }
    const int high = hex_digit((*at)[1]);
    const int low = high < 0 ? -1 : hex_digit((*at)[2]);
    if (low < 0 || high * 16 + low == 0) {
        return false;
    }
    *ret_byte = (char)(high * 16 + low);
    *at += 3;
    return true;
}

bool mr_file_uri_path(const char *uri, char ret_path[MR_FILE_PATH_SIZE])
{
    static const char scheme[] = "file:///";
    char path[MR_FILE_PATH_SIZE];
    size_t size = 0;
    if (strncmp(uri, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    for (const char *at = uri + sizeof scheme - 2; *at != '\0'; size++) {
        if (size + 1 >= sizeof path || !take_byte(&at, &path[size])) {
            return false;
        }
    }
    memcpy(ret_path, path, size);
    ret_path[size] = '\0';
    return true;
}

struct mr_error mr_store_open(const char *uri, struct mr_store **ret_store)
{
    static const char file[] = "file://", s3[] = "s3://";
    const char *scheme_end = uri == NULL ? NULL : strstr(uri, "://");
    if (scheme_end == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "bad_uri", 0,
                             "store \"%s\" is not a URI: give file:///absolute/path or s3://bucket/prefix",
                             uri == NULL ? "" : uri);
    }
    if (strncmp(uri, s3, sizeof s3 - 1) == 0) {
        return mr_s3_store_open(uri, ret_store);
    }
    if (strncmp(uri, file, sizeof file - 1) != 0) {
        return mr_error_make(MR_ERROR_REJECT, "unsupported_scheme", 0,
                             "store \"%s\": there is no scheme \"%.*s\": file:///absolute/path or s3://bucket/prefix",
                             uri, (int)(scheme_end - uri), uri);
    }
    char path[MR_FILE_PATH_SIZE];
    if (!mr_file_uri_path(uri, path)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_uri", 0,
                             "store \"%s\": expected file:///absolute/path (%%XX for a special byte)", uri);
    }
    return mr_file_store_open(path, ret_store);
}
