/* One operation of S3: signed anew for each attempt, repeated where a repeat is safe, and told as one outcome. */
#include "s3_internal.h"

#include "s3_xml.h"

#include "millrace/hash.h"

#include <openssl/crypto.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 3 * MR_STORE_KEY_MAX + S3_BUCKET_SIZE + 3, WAIT_MS_FIRST = 100, WAIT_MS_MAX = 2000 };

const char *s3_operation_text(enum s3_operation operation)
{
    switch (operation) {
    case S3_GET: return "get";
    case S3_HEAD: return "head";
    case S3_LIST: return "list";
    case S3_PUT:
    case S3_PUT_IF_ABSENT:
    case S3_PUT_IF_MATCH:
    case S3_BEGIN_PARTS:
    case S3_PUT_PART:
    case S3_COMPLETE_PARTS: return "put";
    case S3_REMOVE: return "remove";
    }
    mr_unreachable(__func__);
}

/* What does not change between attempts. */
struct attempt {
    struct mr_s3_store *store;
    const struct s3_call *call;
    char path[PATH_SIZE], payload_hash[MR_SHA256_TEXT_SIZE];
};

static bool encode_path(const struct s3_settings *settings, const char *key, char ret_path[PATH_SIZE])
{
    char whole[MR_STORE_KEY_MAX + 1];
    const int whole_size = key == NULL ? snprintf(whole, sizeof whole, "%s", "")
                                       : snprintf(whole, sizeof whole, "%s%s", settings->prefix, key);
    const int size = snprintf(ret_path, PATH_SIZE, "/%s%s", settings->in_path ? settings->bucket : "",
                              settings->in_path && key != NULL ? "/" : "");
    return whole_size >= 0 && (size_t)whole_size < sizeof whole &&
           s3_encode(whole, true, ret_path + size, PATH_SIZE - (size_t)size);
}

/* ---- One attempt ---------------------------------------------------------------------------------------- */

static struct mr_error send_signed(const struct attempt *attempt, const struct s3_credentials *credentials,
                                   const char *url, struct s3_http_reply *ret_reply)
{
    const struct s3_call *call = attempt->call;
    const struct s3_settings *settings = &attempt->store->settings;
    char time_text[S3_TIME_SIZE], authorization[S3_AUTHORIZATION_SIZE];
    struct s3_header headers[S3_SIGNED_HEADERS_MAX];
    size_t count = 0;
    s3_time_text(mr_clock_wall_ms(&attempt->store->clock) / 1000, time_text);
    headers[count++] = (struct s3_header){"host", settings->host};
    headers[count++] = (struct s3_header){"x-amz-content-sha256", attempt->payload_hash};
    headers[count++] = (struct s3_header){"x-amz-date", time_text};
    if (credentials->token[0] != '\0') {
        headers[count++] = (struct s3_header){"x-amz-security-token", credentials->token};
    }
    for (size_t i = 0; i < call->header_count; i++) {
        headers[count++] = call->headers[i];
    }
    const struct s3_to_sign to_sign = {
        .method = call->method,
        .path = attempt->path,
        .query = call->query,
        .headers = headers,
        .header_count = count,
        .payload_hash = attempt->payload_hash,
        .time = time_text,
        .region = settings->region,
        .service = "s3",
    };
    MR_TRY(s3_sign(&to_sign, credentials, authorization));
    headers[count++] = (struct s3_header){"authorization", authorization};
    const struct s3_http_request request = {
        .method = call->method,
        .url = url,
        .headers = headers,
        .header_count = count,
        .body = call->body,
        .sends_body = call->sends_body,
        .ret_payload = call->ret_payload,
        .text_max = call->operation == S3_LIST ? S3_LIST_BYTES_MAX : S3_TEXT_BYTES_MAX,
    };
    s3_http_exchange(attempt->store->http, &request, ret_reply);
    return mr_ok();
}

/* Fails where nothing could be sent for a reason of our own. */
static struct mr_error send_once(const struct attempt *attempt, bool renew, struct s3_http_reply *ret_reply)
{
    struct mr_buffer url = {0};
    struct s3_credentials credentials;
    MR_TRY(s3_provider_get(attempt->store->provider, renew, &credentials));
    const char *query = attempt->call->query;
    struct mr_error error = mr_buffer_append_text(&url, "%s%s%s%s", attempt->store->settings.origin, attempt->path,
                                                  query[0] == '\0' ? "" : "?", query);
    if (!mr_failed(error)) {
        error = send_signed(attempt, &credentials, (const char *)url.data, ret_reply);
    }
    mr_buffer_deinit(&url);
    OPENSSL_cleanse(&credentials, sizeof credentials);
    return error;
}

/* ---- What came back --------------------------------------------------------------------------------------- */

/* COMPLETE answers 200 before it is done, and tells of a failure in the body. */
static void read_code(const struct s3_call *call, const struct s3_http_reply *reply, char ret_text[S3_CODE_TEXT_SIZE],
                      struct s3_answer *ret_answer)
{
    ret_text[0] = '\0';
    if (reply->exchange == S3_EXCHANGE_WHOLE && (reply->status >= 300 || call->operation == S3_COMPLETE_PARTS)) {
        s3_xml_error_code(mr_buffer_view(&reply->text), ret_text);
    }
    *ret_answer = (struct s3_answer){reply->exchange, reply->status, s3_code_of(ret_text)};
}

static struct mr_store_result tell(const struct attempt *attempt, const struct s3_http_reply *reply,
                                   const struct s3_answer *answer, const char *code)
{
    const struct s3_call *call = attempt->call;
    const struct s3_settings *settings = &attempt->store->settings;
    const enum mr_store_outcome outcome = s3_outcome_decide(call->operation, answer);
    const char *what = s3_operation_text(call->operation), *key = call->key == NULL ? "" : call->key;
    if (outcome == MR_STORE_DONE) {
        return mr_store_answer(outcome, reply->status, "%s", "");
    }
    if (answer->exchange != S3_EXCHANGE_WHOLE) {
        return mr_store_answer(outcome, -reply->curl, "%s %.60s at %.50s: %s", what, key, settings->origin,
                               s3_http_why(reply));
    }
    const char *advice = s3_advice(answer);
    return mr_store_answer(outcome, reply->status, "%s %.60s in %s: HTTP %d%s%.40s%s%s", what, key, settings->bucket,
                           reply->status, code[0] == '\0' ? "" : " ", code, advice[0] == '\0' ? "" : ": ", advice);
}

/* ---- Attempts --------------------------------------------------------------------------------------------- */

/* Half of a doubling time, and up to as much again: those who failed together do not come back together. */
static void wait_before(const struct mr_s3_store *store, uint64_t attempt)
{
    const uint64_t draw = mr_mix64((uint64_t)mr_clock_monotonic_us(&store->clock) ^ mr_mix64((uint64_t)getpid()));
    uint64_t wait_ms = WAIT_MS_FIRST;
    for (uint64_t i = 1; i < attempt && wait_ms < WAIT_MS_MAX; i++) {
        wait_ms *= 2;
    }
    wait_ms = wait_ms / 2 + draw % (wait_ms / 2 + 1);
    const struct timespec wait = {(time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000L};
    (void)nanosleep(&wait, NULL);
}

static struct mr_store_result call_error(const struct s3_call *call, const struct mr_error *error)
{
    return mr_store_answer(error->kind == MR_ERROR_REJECT ? MR_STORE_DENIED : MR_STORE_UNAVAILABLE, error->native,
                           "%s %.60s: %.110s", s3_operation_text(call->operation), call->key == NULL ? "" : call->key,
                           error->detail);
}

static struct mr_store_result call_again(const struct attempt *attempt, struct s3_http_reply *ret_reply)
{
    const uint64_t most = attempt->store->settings.attempts;
    bool renewed = false, renew = false;
    for (uint64_t count = 1;; count++) {
        char code[S3_CODE_TEXT_SIZE];
        struct s3_answer answer;
        const struct mr_error error = send_once(attempt, renew, ret_reply);
        if (mr_failed(error)) {
            return call_error(attempt->call, &error);
        }
        read_code(attempt->call, ret_reply, code, &answer);
        /* Refused for its token: with another one it is another request. */
        renew = answer.code == S3_CODE_EXPIRED && answer.status < 500 && !renewed;
        if (!renew && (count >= most || !s3_repeat_decide(attempt->call->operation, &answer))) {
            return tell(attempt, ret_reply, &answer, code);
        }
        s3_http_reply_deinit(ret_reply);
        if (renew) {
            renewed = true;
        } else {
            wait_before(attempt->store, count);
        }
    }
}

struct mr_store_result s3_call(struct mr_s3_store *store, const struct s3_call *call, struct s3_http_reply *ret_reply)
{
    struct attempt attempt = {.store = store, .call = call};
    const struct mr_sha256 hash = mr_sha256_of(call->body);
    *ret_reply = (struct s3_http_reply){.exchange = S3_EXCHANGE_NOT_SENT};
    mr_sha256_text(&hash, attempt.payload_hash);
    if (!encode_path(&store->settings, call->key, attempt.path)) {
        return mr_store_answer(MR_STORE_DENIED, 0, "%s %.60s: with the store's prefix the key is over %d bytes",
                               s3_operation_text(call->operation), call->key, (int)MR_STORE_KEY_MAX);
    }
    return call_again(&attempt, ret_reply);
}
