#include "serve_http.h"

#include "serve_answer.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { IDLE_SECONDS_MAX = 30, SPARE_CONNECTIONS = 64, THREAD_STACK_SIZE = 512 * 1024 };

struct serve_http {
    const struct serve_http_config *config;
    struct MHD_Daemon *daemon;
    int listening; /* the socket after quiesce, else -1 */
    _Atomic uint32_t under_way;
    struct mr_metric *seconds;
};

/* One request, from its head to its answer. */
struct exchange {
    struct serve_http *http;
    bool counted;
    enum serve_path path;
    struct serve_decision decision;
    struct mr_error why; /* of REFUSE */
    struct mr_buffer body;
    struct timespec began;
};

/* ---- Answers ------------------------------------------------------------------------------------------- */

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status, const char *type,
                             const char *version_id, struct mr_buffer *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(body->size, body->data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        mr_buffer_deinit(body);
        return MHD_NO;
    }
    *body = (struct mr_buffer){0};
    char etag[SERVE_VERSION_SIZE + 2];
    bool good = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES;
    if (version_id[0] != '\0') {
        (void)snprintf(etag, sizeof etag, "\"%s\"", version_id);
        good = good && MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, etag) == MHD_YES;
    }
    if (status == MHD_HTTP_UNAUTHORIZED) {
        good = good && MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer") == MHD_YES;
    }
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        good = good && MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD, POST") == MHD_YES;
    }
    if (status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE) {
        good = good && MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1") == MHD_YES;
    }
    const enum MHD_Result result = good ? MHD_queue_response(connection, status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static void count(struct exchange *exchange, unsigned status)
{
    char text[16];
    struct timespec now;
    (void)snprintf(text, sizeof text, "%u", status);
    const struct mr_label label = {"status", text};
    mr_metric_add(mr_metrics_counter(exchange->http->config->metrics, "millrace_serve_requests_total",
                                     "Requests answered, but those of health.", &label, 1),
                  1);
    MR_ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    mr_metric_observe(exchange->http->seconds, (double)(now.tv_sec - exchange->began.tv_sec) +
                                                   1e-9 * (double)(now.tv_nsec - exchange->began.tv_nsec));
}

static enum MHD_Result send_answer(struct exchange *exchange, struct MHD_Connection *connection, struct mr_error error,
                                   struct serve_answer *answer)
{
    if (mr_failed(error)) {
        mr_buffer_deinit(&answer->body);
        *answer = (struct serve_answer){0};
        if (mr_failed(serve_answer_refusal(SERVE_REFUSAL_FAILED, &error, NULL, answer))) {
            mr_buffer_deinit(&answer->body);
            return MHD_NO; /* out of memory: the connection is closed */
        }
    }
    count(exchange, answer->status);
    return queue(connection, answer->status, "application/json", answer->version_id, &answer->body);
}

static enum MHD_Result answer_refusal(struct exchange *exchange, struct MHD_Connection *connection,
                                      enum serve_refusal refusal, const struct mr_error *why,
                                      const struct mr_field_fault *fault)
{
    struct serve_answer answer = {.status = 0};
    const struct mr_error error = serve_answer_refusal(refusal, why, fault, &answer);
    return send_answer(exchange, connection, error, &answer);
}

static enum MHD_Result answer_health(struct exchange *exchange, struct MHD_Connection *connection, const char *path)
{
    struct mr_health_answer answer;
    if (mr_failed(mr_health_answer(exchange->http->config->health, path, &answer))) {
        mr_buffer_deinit(&answer.body);
        return MHD_NO;
    }
    return queue(connection, answer.status, answer.type, "", &answer.body);
}

/* ---- What a request asks ------------------------------------------------------------------------------- */

static enum serve_method method_of(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0    ? SERVE_METHOD_GET
           : strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ? SERVE_METHOD_HEAD
           : strcmp(method, MHD_HTTP_METHOD_POST) == 0 ? SERVE_METHOD_POST
                                                       : SERVE_METHOD_OTHER;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static struct mr_error why_of(const struct serve_http *http, enum serve_refusal refusal)
{
    switch (refusal) {
    case SERVE_REFUSAL_LOGIN:
        return mr_error_make(MR_ERROR_REJECT, "no_token", 0, "expected the header Authorization: Bearer <token>");
    case SERVE_REFUSAL_DENIED: return mr_error_make(MR_ERROR_REJECT, "bad_token", 0, "the token is not the one");
    case SERVE_REFUSAL_METHOD:
        return mr_error_make(MR_ERROR_REJECT, "bad_method", 0,
                             "GET or HEAD of the model and of a price, POST of prices and of outputs");
    case SERVE_REFUSAL_LENGTH:
        return mr_error_make(MR_ERROR_REJECT, "no_length", 0, "expected the header Content-Length");
    case SERVE_REFUSAL_TOO_LARGE:
        return mr_error_make(MR_ERROR_REJECT, "too_large", 0, "at most %" PRIu64 " bytes", http->config->body_max);
    case SERVE_REFUSAL_BACKPRESSURE:
        return mr_error_make(MR_ERROR_TRANSIENT, "busy", 0, "%u requests are under way",
                             (unsigned)http->config->concurrency);
    case SERVE_REFUSAL_NOT_FOUND:
    case SERVE_REFUSAL_INVALID:
    case SERVE_REFUSAL_CONFLICT:
    case SERVE_REFUSAL_FAILED:
    case SERVE_REFUSAL_NOT_READY: break;
    }
    return mr_error_make(MR_ERROR_REJECT, "not_found", 0,
                         "there are /v1/models/%s, its /price of a pricing job and "
                         "/outputs of a labelled one, /healthz, /readyz and /metrics",
                         http->config->model_id);
}

/* False: a length that is no number. */
static bool length_of(const char *text, uint64_t *ret_length)
{
    char *end = NULL;
    errno = 0;
    *ret_length = strtoull(text, &end, 10);
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

/* By the head alone. */
static void admit(struct exchange *exchange, struct MHD_Connection *connection, const char *path, const char *method)
{
    struct serve_http *http = exchange->http;
    const char *length = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    struct serve_head head = {
        .method = method_of(method),
        .login = serve_login_of(header(connection, MHD_HTTP_HEADER_AUTHORIZATION), http->config->token),
        .length_max = http->config->body_max,
    };
    head.path = exchange->path = serve_path_of(path, http->config->model_id, &head.our_model);
    head.has_length = length != NULL && length_of(length, &head.length);
    if (head.path != SERVE_PATH_HEALTH) {
        exchange->counted = true;
        head.busy = atomic_fetch_add(&http->under_way, 1) >= http->config->concurrency;
    }
    exchange->decision = serve_decide_head(&head);
    if (exchange->decision.kind == SERVE_DECISION_REFUSE) {
        exchange->why = why_of(http, exchange->decision.refusal);
    }
}

static struct mr_error parse(struct exchange *exchange, struct MHD_Connection *connection, const char *method,
                             struct serve_request *request, struct mr_field_fault *fault)
{
    const char *values[MR_CONTRACT_FIELDS];
    if (method_of(method) == SERVE_METHOD_POST) {
        return serve_request_parse(exchange->path, mr_buffer_view(&exchange->body), request, fault);
    }
    const char *version = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "version");
    if (version != NULL) {
        MR_TRY(serve_request_version(version, request, fault));
    }
    if (exchange->path != SERVE_PATH_PRICE) {
        return mr_ok();
    }
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        values[i] = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND,
                                                mr_contract_field_text((enum mr_contract_field)i));
    }
    return serve_request_contract(values, request, fault);
}

static enum serve_wanted wanted_of(struct MHD_Connection *connection, const struct serve_request *request,
                                   const struct mr_view_info *info)
{
    const char *if_match = header(connection, MHD_HTTP_HEADER_IF_MATCH);
    const bool by_header = if_match == NULL || serve_if_match(if_match, info->version_id);
    const bool by_field = request->version[0] == '\0' || serve_names(request->version, info->counter, info->version_id);
    if (!by_header || !by_field) {
        return SERVE_WANTED_OTHER;
    }
    return if_match == NULL && request->version[0] == '\0' ? SERVE_WANTED_ANY : SERVE_WANTED_SERVED;
}

/* ---- The whole answer ---------------------------------------------------------------------------------- */

static enum MHD_Result refuse_facts(struct exchange *exchange, struct MHD_Connection *connection,
                                    enum serve_refusal refusal, const struct mr_view *view,
                                    const struct mr_error *parsed, const struct mr_field_fault *fault)
{
    struct mr_client_state state;
    struct mr_error why = why_of(exchange->http, refusal);
    if (refusal == SERVE_REFUSAL_INVALID) {
        return answer_refusal(exchange, connection, refusal, parsed, fault);
    }
    if (refusal == SERVE_REFUSAL_CONFLICT && view != NULL) {
        why = mr_error_make(MR_ERROR_REJECT, "other_version", 0, "version %" PRIu64 " (%s) is served",
                            mr_view_info(view)->counter, mr_view_info(view)->version_id);
    }
    if (refusal == SERVE_REFUSAL_NOT_READY) {
        mr_client_state(exchange->http->config->client, &state);
        why = mr_error_make(MR_ERROR_TRANSIENT, mr_client_phase_text(state.phase), 0, "no version is served yet%s%s",
                            mr_failed(state.error) ? ": " : "", state.error.detail);
    }
    return answer_refusal(exchange, connection, refusal, &why, NULL);
}

static enum MHD_Result answer(struct exchange *exchange, struct MHD_Connection *connection, const char *method)
{
    struct serve_request request = {.rows = NULL};
    struct mr_field_fault fault = {.path = ""};
    const struct mr_error parsed = parse(exchange, connection, method, &request, &fault);
    const struct mr_view *view = mr_client_acquire(exchange->http->config->client);
    const struct serve_facts facts = {
        .path = exchange->path,
        .valid = !mr_failed(parsed),
        .ready = view != NULL,
        .prices = view != NULL && mr_view_info(view)->prices,
        .wanted = view != NULL ? wanted_of(connection, &request, mr_view_info(view)) : SERVE_WANTED_ANY,
    };
    const struct serve_decision decision = serve_decide(&facts);
    enum MHD_Result result;
    if (decision.kind == SERVE_DECISION_REFUSE) {
        result = refuse_facts(exchange, connection, decision.refusal, view, &parsed, &fault);
    } else {
        struct serve_answer out = {.status = 0};
        const struct mr_error error = serve_answer_view(decision.kind, &request, view, &out);
        result = send_answer(exchange, connection, error, &out);
    }
    mr_view_release(view);
    serve_request_deinit(&request);
    return result;
}

static enum MHD_Result answer_decided(struct exchange *exchange, struct MHD_Connection *connection, const char *path,
                                      const char *method)
{
    switch (exchange->decision.kind) {
    case SERVE_DECISION_HEALTH: return answer_health(exchange, connection, path);
    case SERVE_DECISION_REFUSE:
        return answer_refusal(exchange, connection, exchange->decision.refusal, &exchange->why, NULL);
    case SERVE_DECISION_READ: return answer(exchange, connection, method);
    case SERVE_DECISION_MODEL:
    case SERVE_DECISION_PRICE:
    case SERVE_DECISION_OUTPUTS: break;
    }
    mr_unreachable(__func__);
}

static struct exchange *begin(struct serve_http *http)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange != NULL) {
        exchange->http = http;
        MR_ASSERT(clock_gettime(CLOCK_MONOTONIC, &exchange->began) == 0);
    }
    return exchange;
}

/* A body that will not be read is answered at once, and the connection closed behind it; what fits is read first, so
 * that the client is not cut off while it sends. */
static bool reads_body(const struct exchange *exchange)
{
    return exchange->decision.kind != SERVE_DECISION_REFUSE || (exchange->decision.refusal != SERVE_REFUSAL_TOO_LARGE &&
                                                                exchange->decision.refusal != SERVE_REFUSAL_LENGTH);
}

static enum MHD_Result handle(void *self, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request)
{
    (void)version;
    struct exchange *exchange = *request;
    if (exchange == NULL) {
        exchange = *request = begin(self);
        if (exchange == NULL) {
            return MHD_NO;
        }
        admit(exchange, connection, path, method);
        return reads_body(exchange) ? MHD_YES : answer_decided(exchange, connection, path, method);
    }
    if (*upload_size > 0) {
        const bool kept = exchange->decision.kind == SERVE_DECISION_READ;
        const size_t room = (size_t)exchange->http->config->body_max - exchange->body.size;
        if (kept && (*upload_size > room || mr_failed(mr_buffer_append(&exchange->body, upload, *upload_size)))) {
            return MHD_NO; /* more than its length said */
        }
        *upload_size = 0;
        return MHD_YES;
    }
    return answer_decided(exchange, connection, path, method);
}

static void completed(void *self, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode why)
{
    (void)connection;
    (void)why;
    struct serve_http *http = self;
    struct exchange *exchange = *request;
    if (exchange != NULL) {
        if (exchange->counted) {
            atomic_fetch_sub(&http->under_way, 1);
        }
        mr_buffer_deinit(&exchange->body);
        free(exchange);
        *request = NULL;
    }
}

/* ---- Listening ----------------------------------------------------------------------------------------- */

static struct mr_error cannot_listen(const struct serve_http_config *config, int native, const char *why)
{
    return mr_error_make(MR_ERROR_FATAL, "cannot_listen", native, "%s:%u: %s", config->host, (unsigned)config->port,
                         why);
}

static struct mr_error listen_at(struct serve_http *http)
{
    const struct serve_http_config *config = http->config;
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", (unsigned)config->port);
    const int failure = getaddrinfo(config->host, service, &wanted, &found);
    if (failure != 0) {
        return cannot_listen(config, failure, gai_strerror(failure));
    }
    const unsigned family = found->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0;
    errno = 0;
    http->daemon = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC | family, config->port,
                                    NULL, NULL, handle, http, MHD_OPTION_SOCK_ADDR, found->ai_addr,
                                    MHD_OPTION_THREAD_POOL_SIZE, (unsigned)config->threads, MHD_OPTION_CONNECTION_LIMIT,
                                    (unsigned)(config->concurrency + SPARE_CONNECTIONS), MHD_OPTION_CONNECTION_TIMEOUT,
                                    (unsigned)IDLE_SECONDS_MAX, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_SIZE,
                                    MHD_OPTION_NOTIFY_COMPLETED, completed, http, MHD_OPTION_END);
    const int native = errno;
    freeaddrinfo(found);
    return http->daemon != NULL ? mr_ok() : cannot_listen(config, native, strerror(native));
}

struct mr_error serve_http_open(const struct serve_http_config *config, struct serve_http **ret_http)
{
    struct serve_http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the HTTP server");
    }
    http->config = config;
    http->listening = -1;
    http->seconds = mr_metrics_histogram(config->metrics, "millrace_serve_request_seconds",
                                         "From a request's head to its answer.", NULL, 0);
    const struct mr_error error = listen_at(http);
    if (mr_failed(error)) {
        free(http);
        return error;
    }
    *ret_http = http;
    return mr_ok();
}

uint16_t serve_http_port(const struct serve_http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info != NULL ? info->port : http->config->port;
}

void serve_http_quiesce(struct serve_http *http)
{
    http->listening = MHD_quiesce_daemon(http->daemon);
}

uint32_t serve_http_under_way(const struct serve_http *http)
{
    return atomic_load(&http->under_way);
}

void serve_http_close(struct serve_http *http)
{
    if (http == NULL) {
        return;
    }
    MHD_stop_daemon(http->daemon);
    if (http->listening >= 0) {
        (void)close(http->listening);
    }
    free(http);
}
