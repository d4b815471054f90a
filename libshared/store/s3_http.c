#include "s3_http.h"

#include "millrace/clock.h"

#include <curl/curl.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_HANDLES_MAX = 16, BYTES_PER_MS_MIN = 1048, EXPECT_BYTES_MIN = 1 << 20 };

struct s3_http {
    struct s3_http_options options;
    struct mr_clock clock;
    pthread_mutex_t lock;
    CURL *idle[IDLE_HANDLES_MAX]; /* each with its connections */
    size_t idle_count;
};

/* One exchange while it lasts. */
struct exchange {
    struct s3_http *http;
    const struct s3_http_request *request;
    struct s3_http_reply *reply;
    CURL *curl;
    size_t given;  /* of the body, to curl */
    size_t before; /* of the payload's buffer */
    int64_t begun_us;
    bool out_of_memory, too_long;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode initialised;

static void initialise(void)
{
    initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
}

void s3_http_reply_deinit(struct s3_http_reply *reply)
{
    mr_buffer_deinit(&reply->text);
}

struct mr_error s3_http_open(const struct s3_http_options *options, struct s3_http **ret_http)
{
    MR_ASSERT(pthread_once(&once, initialise) == 0);
    struct s3_http *http = initialised == CURLE_OK ? calloc(1, sizeof *http) : NULL;
    if (http == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "libcurl cannot begin");
    }
    http->options = *options;
    http->clock = mr_clock_system();
    MR_ASSERT(pthread_mutex_init(&http->lock, NULL) == 0);
    *ret_http = http;
    return mr_ok();
}

void s3_http_close(struct s3_http *http)
{
    if (http == NULL) {
        return;
    }
    for (size_t i = 0; i < http->idle_count; i++) {
        curl_easy_cleanup(http->idle[i]);
    }
    MR_ASSERT(pthread_mutex_destroy(&http->lock) == 0);
    free(http);
}

static CURL *take_handle(struct s3_http *http)
{
    CURL *curl = NULL;
    MR_ASSERT(pthread_mutex_lock(&http->lock) == 0);
    if (http->idle_count > 0) {
        curl = http->idle[--http->idle_count];
    }
    MR_ASSERT(pthread_mutex_unlock(&http->lock) == 0);
    if (curl != NULL) {
        curl_easy_reset(curl); /* keeps its connections */
        return curl;
    }
    return curl_easy_init();
}

static void give_handle(struct s3_http *http, CURL *curl)
{
    MR_ASSERT(pthread_mutex_lock(&http->lock) == 0);
    if (http->idle_count < IDLE_HANDLES_MAX) {
        http->idle[http->idle_count++] = curl;
        curl = NULL;
    }
    MR_ASSERT(pthread_mutex_unlock(&http->lock) == 0);
    if (curl != NULL) {
        curl_easy_cleanup(curl);
    }
}

/* ---- What curl calls ----------------------------------------------------------------------------------- */

static size_t on_read(char *buffer, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    const struct mr_bytes body = exchange->request->body;
    const size_t left = body.size - exchange->given;
    const size_t give = left < size * count ? left : size * count;
    if (give > 0) {
        memcpy(buffer, body.data + exchange->given, give);
    }
    exchange->given += give;
    return give;
}

/* curl would send a request again when a kept connection turns out to be dead. Once some of the body was sent, the
 * first one may have been taken: then curl asks for the body from its beginning, and gets this answer. */
static int on_seek(void *user, curl_off_t offset, int origin)
{
    (void)user;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static bool is_payload(const struct exchange *exchange)
{
    long status = 0;
    (void)curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
    return exchange->request->ret_payload != NULL && (status == 200 || status == 206);
}

static bool reserve_payload(struct exchange *exchange)
{
    curl_off_t length = -1;
    struct mr_buffer *payload = exchange->request->ret_payload;
    (void)curl_easy_getinfo(exchange->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length < 0 || (uint64_t)length > SIZE_MAX - payload->size ||
           !mr_failed(mr_buffer_reserve(payload, payload->size + (size_t)length));
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    struct mr_buffer *to = &exchange->reply->text;
    if (is_payload(exchange)) {
        to = exchange->request->ret_payload;
        exchange->out_of_memory = to->size == exchange->before && !reserve_payload(exchange);
    } else if (to->size + size * count > exchange->request->text_max) {
        exchange->too_long = true;
        return 0;
    }
    exchange->out_of_memory = exchange->out_of_memory || mr_failed(mr_buffer_append(to, data, size * count));
    return exchange->out_of_memory ? 0 : size * count;
}

/* Not CURLOPT_TIMEOUT_MS, which cannot know how much there is to transfer. curl calls this once a second at least. */
static int on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const struct exchange *exchange = user;
    const int64_t taken_ms = (mr_clock_monotonic_us(&exchange->http->clock) - exchange->begun_us) / 1000;
    const uint64_t allowed_ms = exchange->http->options.total_ms + (uint64_t)(down_total + up_total) / BYTES_PER_MS_MIN;
    (void)down;
    (void)up;
    return taken_ms > 0 && (uint64_t)taken_ms > allowed_ms;
}

/* ---- One exchange -------------------------------------------------------------------------------------- */

/* "name: value"; "name:" takes away what curl would say of its own. False: memory is out. */
static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    struct mr_buffer line = {0};
    bool good = !mr_failed(mr_buffer_append_text(&line, "%s:%s%s", name, value[0] == '\0' ? "" : " ", value));
    if (good) {
        struct curl_slist *longer = curl_slist_append(*list, (const char *)line.data);
        good = longer != NULL;
        *list = good ? longer : *list;
    }
    mr_buffer_deinit(&line);
    return good;
}

/* The options of libcurl take arguments of any type: these say which. */
static bool set_long(CURL *curl, CURLoption option, long value)
{
    return curl_easy_setopt(curl, option, value) == CURLE_OK;
}

static bool set_text(CURL *curl, CURLoption option, const char *value)
{
    return curl_easy_setopt(curl, option, value) == CURLE_OK;
}

static bool prepare_connection(CURL *curl, const struct s3_http_options *options)
{
    const long idle_s = (long)((options->idle_ms + 999) / 1000);
    return set_text(curl, CURLOPT_PROTOCOLS_STR, "http,https") && set_long(curl, CURLOPT_NOSIGNAL, 1) &&
           set_long(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) && set_long(curl, CURLOPT_TCP_KEEPALIVE, 1) &&
           set_long(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) &&
           set_long(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms) &&
           set_long(curl, CURLOPT_LOW_SPEED_LIMIT, 1) && set_long(curl, CURLOPT_LOW_SPEED_TIME, idle_s) &&
           (options->ca_file[0] == '\0' ||
            (set_text(curl, CURLOPT_CAINFO, options->ca_file) && set_text(curl, CURLOPT_CAPATH, NULL))) &&
           (!options->direct || set_text(curl, CURLOPT_NOPROXY, "*"));
}

static bool prepare_body(struct exchange *exchange)
{
    CURL *curl = exchange->curl;
    const struct s3_http_request *request = exchange->request;
    if (!request->sends_body) {
        return strcmp(request->method, "HEAD") == 0 ? set_long(curl, CURLOPT_NOBODY, 1)
                                                    : set_text(curl, CURLOPT_CUSTOMREQUEST, request->method);
    }
    return set_long(curl, CURLOPT_UPLOAD, 1) && set_text(curl, CURLOPT_CUSTOMREQUEST, request->method) &&
           curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body.size) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READDATA, exchange) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
           /* Without a body nothing would keep curl from sending it again, but on a new connection it does not. */
           set_long(curl, CURLOPT_FRESH_CONNECT, request->body.size == 0);
}

static bool prepare(struct exchange *exchange, struct curl_slist **headers)
{
    CURL *curl = exchange->curl;
    const struct s3_http_request *request = exchange->request;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!add_header(headers, request->headers[i].name, request->headers[i].value)) {
            return false;
        }
    }
    /* To ask whether a body is welcome takes a round trip; without it, a server that refuses a large one may close the
     * connection under it, so that its reason is lost. */
    if (request->body.size <= EXPECT_BYTES_MIN && !add_header(headers, "Expect", "")) {
        return false;
    }
    return prepare_connection(curl, &exchange->http->options) && set_text(curl, CURLOPT_URL, request->url) &&
           set_long(curl, CURLOPT_PATH_AS_IS, 1) && prepare_body(exchange) &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange) == CURLE_OK && set_long(curl, CURLOPT_NOPROGRESS, 0) &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange) == CURLE_OK;
}

static const char *header_of(CURL *curl, const char *name)
{
    struct curl_header *header = NULL;
    return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

static void read_headers(CURL *curl, struct s3_http_reply *reply)
{
    curl_off_t length = -1;
    const char *etag = header_of(curl, "ETag"), *range = header_of(curl, "Content-Range"),
               *version = header_of(curl, "x-amz-version-id");
    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    reply->has_length = length >= 0;
    reply->length = length >= 0 ? (uint64_t)length : 0;
    reply->has_version = version != NULL && strcmp(version, "null") != 0; /* "null": no longer versioned */
    reply->has_etag = etag != NULL && s3_etag_take(etag, &reply->etag);
    reply->has_range = range != NULL && s3_content_range_take(range, &reply->first, &reply->last, &reply->total);
}

/* By what was sent and what came, not by curl's code, which says where it noticed. */
static enum s3_exchange how_far(const struct exchange *exchange, CURLcode code)
{
    long sent = 0;
    (void)curl_easy_getinfo(exchange->curl, CURLINFO_REQUEST_SIZE, &sent);
    if (code == CURLE_OK && exchange->reply->status >= 200) {
        return S3_EXCHANGE_WHOLE;
    }
    if (exchange->reply->status >= 200) {
        return S3_EXCHANGE_BROKEN;
    }
    return sent == 0                                        ? S3_EXCHANGE_NOT_SENT
           : exchange->given < exchange->request->body.size ? S3_EXCHANGE_CUT
                                                            : S3_EXCHANGE_LOST;
}

static CURLcode perform(struct exchange *exchange)
{
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (prepare(exchange, &headers)) {
        code = curl_easy_perform(exchange->curl);
    }
    long status = 0;
    (void)curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
    exchange->reply->status = (int)status;
    exchange->reply->exchange = how_far(exchange, code);
    if (exchange->reply->exchange == S3_EXCHANGE_WHOLE) {
        read_headers(exchange->curl, exchange->reply);
    }
    curl_slist_free_all(headers);
    return code;
}

void s3_http_exchange(struct s3_http *http, const struct s3_http_request *request, struct s3_http_reply *ret_reply)
{
    struct exchange exchange = {
        .http = http,
        .request = request,
        .reply = ret_reply,
        .curl = take_handle(http),
        .before = request->ret_payload == NULL ? 0 : request->ret_payload->size,
        .begun_us = mr_clock_monotonic_us(&http->clock),
    };
    *ret_reply = (struct s3_http_reply){.exchange = S3_EXCHANGE_NOT_SENT, .curl = CURLE_OUT_OF_MEMORY};
    if (exchange.curl == NULL) {
        return;
    }
    const CURLcode code = perform(&exchange);
    ret_reply->curl = (int)(exchange.out_of_memory ? CURLE_OUT_OF_MEMORY
                            : exchange.too_long    ? CURLE_FILESIZE_EXCEEDED
                                                   : code);
    const bool whole = ret_reply->exchange == S3_EXCHANGE_WHOLE;
    if (request->ret_payload != NULL && !(whole && (ret_reply->status == 200 || ret_reply->status == 206))) {
        request->ret_payload->size = exchange.before;
    }
    give_handle(http, exchange.curl);
}

const char *s3_http_why(const struct s3_http_reply *reply)
{
    switch (reply->curl) {
    case CURLE_ABORTED_BY_CALLBACK: return "it took too long";
    case CURLE_OPERATION_TIMEDOUT: return "timed out";
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_GOT_NOTHING: return "the connection was closed before a reply";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "the server's certificate is not trusted: set MILLRACE_S3_CA_FILE to its authority's";
    default: return curl_easy_strerror((CURLcode)reply->curl);
    }
}
