/*
 * The s3:// back end. A conditional put is always a single request, because servers (Ceph for one) do not heed
 * conditions when an upload in parts is completed; If-Match goes without quotes, because Ceph before 2025 fails every
 * quoted one, and AWS takes both.
 */
#include "s3_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mr_s3_store *of(struct mr_store *base)
{
    return (struct mr_s3_store *)base;
}

/* A key that no object can have is denied for good. */
static bool refuse_key(const char *key, struct mr_store_result *ret_result)
{
    if (mr_store_key_valid(key)) {
        return false;
    }
    *ret_result = mr_store_answer(MR_STORE_DENIED, EINVAL, "\"%.120s\" is not a valid key", key == NULL ? "" : key);
    return true;
}

/* ---- Reading -------------------------------------------------------------------------------------------- */

/* A whole reply that is not what it must be: told by its status. */
static struct mr_store_result bad_reply(const char *what, const char *key, int status, const char *why)
{
    return mr_store_answer(MR_STORE_UNAVAILABLE, status, "%s %.100s: %s", what, key, why);
}

static struct mr_store_result s3_head_once(struct mr_s3_store *store, const char *key)
{
    const struct s3_call call = {.operation = S3_HEAD, .method = "HEAD", .key = key, .query = ""};
    struct s3_http_reply reply;
    struct mr_store_result result = s3_call(store, &call, &reply);
    if (result.outcome == MR_STORE_DONE) {
        if (!reply.has_length || !reply.has_etag) {
            result = bad_reply("head", key, reply.status, "the reply lacks Content-Length or ETag");
        }
        result.etag = reply.etag;
        result.size = reply.length;
    }
    s3_http_reply_deinit(&reply);
    return result;
}

/* The range of a request, with its last byte; "" for all. Numbers stay within what servers can read. */
static void range_text(struct mr_store_range range, char ret_text[64])
{
    const uint64_t most = INT64_MAX, first = range.first < most ? range.first : most;
    ret_text[0] = '\0';
    if (range.count != 0 && range.count <= most - first) {
        (void)snprintf(ret_text, 64, "bytes=%" PRIu64 "-%" PRIu64, first, first + range.count - 1);
    } else if (first != 0 || range.count != 0) {
        (void)snprintf(ret_text, 64, "bytes=%" PRIu64 "-", first);
    }
}

/* Some servers answer a range by the whole object: the wanted part of it is kept. */
static void keep_range(struct mr_buffer *body, size_t before, struct mr_store_range range)
{
    const uint64_t size = body->size - before;
    const uint64_t first = range.first < size ? range.first : size;
    const uint64_t left = size - first, count = range.count == 0 || range.count > left ? left : range.count;
    if (first > 0 && count > 0) {
        memmove(body->data + before, body->data + before + first, (size_t)count);
    }
    body->size = before + (size_t)count;
}

/* Of 200 and 206: whether it is what was asked for. */
static struct mr_store_result take_body(const char *key, struct mr_store_range range, const struct s3_http_reply *reply,
                                        size_t before, struct mr_buffer *ret_body)
{
    struct mr_store_result result = mr_store_answer(MR_STORE_DONE, reply->status, "%s", "");
    const uint64_t got = ret_body->size - before;
    if (!reply->has_length || reply->length != got) {
        return bad_reply("get", key, reply->status, "the reply does not say how long it is");
    }
    if (!reply->has_etag) {
        return bad_reply("get", key, reply->status, "the reply has no ETag");
    }
    result.etag = reply->etag;
    result.size = got;
    if (reply->status == 206) {
        const uint64_t most = reply->total - reply->first;
        const uint64_t wanted = range.count == 0 || range.count > most ? most : range.count;
        if (!reply->has_range || reply->last < reply->first || reply->first != range.first || got != wanted) {
            return bad_reply("get", key, reply->status, "the reply has another range than the one that was asked for");
        }
        result.size = reply->total;
    } else {
        keep_range(ret_body, before, range);
    }
    return result;
}

/* A range behind the end, of an object that may have changed since. */
static struct mr_store_result beyond_end(struct mr_s3_store *store, const char *key, struct mr_store_range range)
{
    const struct mr_store_result head = s3_head_once(store, key);
    if (head.outcome == MR_STORE_DONE && head.size > range.first) {
        return bad_reply("get", key, 416, "the object changed while it was read");
    }
    return head;
}

static struct mr_store_result s3_get(struct mr_store *base, const char *key, struct mr_store_range range,
                                     struct mr_buffer *ret_body)
{
    struct mr_store_result result = {0};
    struct s3_http_reply reply;
    char text[64];
    if (refuse_key(key, &result)) {
        return result;
    }
    const size_t before = ret_body->size;
    range_text(range, text);
    const struct s3_call call = {
        .operation = S3_GET,
        .method = "GET",
        .key = key,
        .query = "",
        .headers = {{"range", text}},
        .header_count = text[0] == '\0' ? 0 : 1,
        .ret_payload = ret_body,
    };
    result = s3_call(of(base), &call, &reply);
    if (result.outcome == MR_STORE_DONE) {
        result = take_body(key, range, &reply, before, ret_body);
    } else if (reply.exchange == S3_EXCHANGE_WHOLE && reply.status == 416) {
        result = beyond_end(of(base), key, range);
    }
    if (result.outcome != MR_STORE_DONE) {
        ret_body->size = before;
    }
    s3_http_reply_deinit(&reply);
    return result;
}

static struct mr_store_result s3_head(struct mr_store *base, const char *key)
{
    struct mr_store_result result = {0};
    if (refuse_key(key, &result)) {
        return result;
    }
    result = s3_head_once(of(base), key);
    if (result.outcome == MR_STORE_UNAVAILABLE && result.native == 404) {
        /* A reply to HEAD has no body, so it cannot say what is missing: the key, the bucket, or the server. */
        struct mr_buffer byte = {0};
        result = s3_get(base, key, (struct mr_store_range){0, 1}, &byte);
        mr_buffer_deinit(&byte);
    }
    return result;
}

/* ---- Writing -------------------------------------------------------------------------------------------- */

static struct mr_store_result put_whole(struct mr_s3_store *store, const char *key, struct mr_bytes body,
                                        const struct mr_store_condition *condition)
{
    struct s3_call call = {
        .operation = S3_PUT,
        .method = "PUT",
        .key = key,
        .query = "",
        .headers = {{"content-type", "application/octet-stream"}},
        .header_count = 1,
        .sends_body = true,
        .body = body,
    };
    switch (condition->kind) {
    case MR_STORE_ALWAYS: break;
    case MR_STORE_IF_ABSENT:
        call.operation = S3_PUT_IF_ABSENT;
        call.headers[call.header_count++] = (struct s3_header){"if-none-match", "*"};
        break;
    case MR_STORE_IF_MATCH:
        call.operation = S3_PUT_IF_MATCH;
        call.headers[call.header_count++] = (struct s3_header){"if-match", condition->etag.text};
        break;
    }
    struct s3_http_reply reply;
    struct mr_store_result result = s3_call(store, &call, &reply);
    if (result.outcome == MR_STORE_DONE && !reply.has_etag) {
        result = mr_store_answer(MR_STORE_UNKNOWN, reply.status, "put %.100s: the reply has no ETag", key);
    } else if (result.outcome == MR_STORE_DONE) {
        result.etag = reply.etag;
        result.size = body.size;
        result.keeps_versions = reply.has_version;
    }
    s3_http_reply_deinit(&reply);
    return result;
}

static struct mr_store_result s3_put(struct mr_store *base, const char *key, struct mr_bytes body,
                                     struct mr_store_condition condition)
{
    struct mr_s3_store *store = of(base);
    struct mr_store_result result = {0};
    struct mr_etag etag;
    if (refuse_key(key, &result)) {
        return result;
    }
    if (condition.kind == MR_STORE_IF_MATCH &&
        (!s3_etag_take(condition.etag.text, &etag) || strcmp(etag.text, condition.etag.text) != 0)) {
        return mr_store_answer(MR_STORE_DENIED, EINVAL, "put %.100s: the ETag to match is none", key);
    }
    if (condition.kind == MR_STORE_ALWAYS && body.size > store->settings.multipart_bytes) {
        return s3_put_parts(store, key, body);
    }
    if (body.size > s3_put_bytes_max) {
        return mr_store_answer(MR_STORE_DENIED, EFBIG, "put %.100s: S3 takes at most 5 GiB with a condition", key);
    }
    return put_whole(store, key, body, &condition);
}

static struct mr_store_result s3_remove(struct mr_store *base, const char *key)
{
    const struct s3_call call = {.operation = S3_REMOVE, .method = "DELETE", .key = key, .query = ""};
    struct mr_store_result result = {0};
    struct s3_http_reply reply;
    if (refuse_key(key, &result)) {
        return result;
    }
    result = s3_call(of(base), &call, &reply);
    s3_http_reply_deinit(&reply);
    return result;
}

/* ---- Opening and closing -------------------------------------------------------------------------------- */

static void s3_close(struct mr_store *base)
{
    struct mr_s3_store *store = of(base);
    s3_http_close(store->http);
    s3_provider_close(store->provider);
    free(store);
}

static const struct mr_store_ops ops = {
    .get = s3_get,
    .head = s3_head,
    .put = s3_put,
    .list = s3_list,
    .remove = s3_remove,
    .close = s3_close,
};

static struct mr_error open_parts(struct mr_s3_store *store, const char *uri)
{
    MR_TRY(s3_settings_load(uri, &store->settings));
    const struct s3_settings *settings = &store->settings;
    const struct s3_http_options options = {
        .ca_file = settings->ca_file,
        .connect_ms = settings->connect_timeout_ms,
        .idle_ms = settings->idle_timeout_ms,
        .total_ms = settings->timeout_ms,
    };
    MR_TRY(s3_http_open(&options, &store->http));
    return s3_provider_open(strcmp(settings->instance_metadata, "on") == 0, &store->provider);
}

struct mr_error mr_s3_store_open(const char *uri, struct mr_store **ret_store)
{
    struct mr_s3_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", ENOMEM, "opening store %.120s", uri);
    }
    store->base.ops = &ops;
    store->clock = mr_clock_system();
    const struct mr_error error = open_parts(store, uri);
    if (mr_failed(error)) {
        s3_close(&store->base);
        return error;
    }
    *ret_store = &store->base;
    return mr_ok();
}
