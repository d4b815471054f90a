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

/* Percent-decodes an absolute path. False: not one. */
static bool decode_path(const char *text, char *ret_path, size_t size)
{
    size_t used = 0;
    if (text[0] != '/') {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        char c = *at;
        if (c == '?' || c == '#' || used + 1 >= size) {
            return false;
        }
        if (c == '%') {
            const int high = hex_digit(at[1]);
            const int low = high < 0 ? -1 : hex_digit(at[2]);
            if (low < 0 || high * 16 + low == 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            at += 2;
        }
        ret_path[used++] = c;
    }
    ret_path[used] = '\0';
    return true;
}

struct mr_error mr_store_open(const char *uri, struct mr_store **ret_store)
{
    static const char file[] = "file://";
    const char *scheme_end = uri == NULL ? NULL : strstr(uri, "://");
    if (scheme_end == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "bad_uri", 0, "store \"%s\" is not a URI: give file:///absolute/path",
                             uri == NULL ? "" : uri);
    }
    if (strncmp(uri, file, sizeof file - 1) != 0) {
        return mr_error_make(MR_ERROR_REJECT, "unsupported_scheme", 0,
                             "store \"%s\": scheme \"%.*s\" is not built in; this build has file:///absolute/path", uri,
                             (int)(scheme_end - uri), uri);
    }
    char path[4096];
    if (!decode_path(uri + sizeof file - 1, path, sizeof path)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_uri", 0,
                             "store \"%s\": expected file:///absolute/path (%%XX for a special byte)", uri);
    }
    return mr_file_store_open(path, ret_store);
}
