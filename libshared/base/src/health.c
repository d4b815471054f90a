/* A small HTTP front on one thread of libmicrohttpd. It only reads: what it says is set by the loop. */
#include "millrace/metrics.h"

#include "threads.h"

#include <microhttpd.h>

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { CONNECTIONS_MAX = 16, IDLE_SECONDS_MAX = 5, THREAD_STACK_SIZE = 256 * 1024 };

struct mr_health {
    struct mr_metrics *metrics;
    struct mr_clock clock;
    uint32_t stale_ms;
    uint16_t port;
    struct MHD_Daemon *daemon; /* NULL: port 0 */
    _Atomic(int64_t) beat_us;
    _Atomic(const char *) waiting; /* NULL: ready */
    struct mr_metric *ready;
};

static struct mr_error answer_healthz(struct mr_health *health, struct mr_health_answer *answer)
{
    const int64_t age_us = mr_clock_monotonic_us(&health->clock) - atomic_load(&health->beat_us);
    if (age_us > (int64_t)health->stale_ms * 1000) {
        answer->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return mr_buffer_append_text(&answer->body, "no progress for %" PRId64 " ms\n", age_us / 1000);
    }
    return mr_buffer_append_text(&answer->body, "ok\n");
}

static struct mr_error answer_readyz(struct mr_health *health, struct mr_health_answer *answer)
{
    const char *waiting = atomic_load(&health->waiting);
    if (waiting != NULL) {
        answer->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return mr_buffer_append_text(&answer->body, "waiting: %s\n", waiting);
    }
    return mr_buffer_append_text(&answer->body, "ready\n");
}

struct mr_error mr_health_answer(struct mr_health *health, const char *path, struct mr_health_answer *answer)
{
    *answer = (struct mr_health_answer){.status = MHD_HTTP_OK, .type = "text/plain; charset=utf-8"};
    if (strcmp(path, "/healthz") == 0) {
        return answer_healthz(health, answer);
    }
    if (strcmp(path, "/readyz") == 0) {
        return answer_readyz(health, answer);
    }
    if (strcmp(path, "/metrics") == 0) {
        answer->type = "text/plain; version=0.0.4; charset=utf-8";
        return mr_metrics_render(health->metrics, &answer->body);
    }
    answer->status = MHD_HTTP_NOT_FOUND;
    return mr_buffer_append_text(&answer->body, "there are /metrics, /healthz and /readyz\n");
}

static struct mr_error answer_path(struct mr_health *health, const char *path, const char *method,
                                   struct mr_health_answer *answer)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        answer->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        return mr_buffer_append_text(&answer->body, "only GET and HEAD\n");
    }
    return mr_health_answer(health, path, answer);
}

/* Takes the body. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, struct mr_health_answer *answer)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.size, answer->body.data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        mr_buffer_deinit(&answer->body);
        return MHD_NO;
    }
    bool is_good = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type) == MHD_YES;
    if (is_good && answer->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        is_good = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES;
    }
    const enum MHD_Result result = is_good ? MHD_queue_response(connection, answer->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *self, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request)
{
    (void)version;
    (void)upload;
    static char seen;
    if (*request == NULL) {
        *request = &seen; /* the first call comes before the body; an answer there would cut the client's upload off */
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0; /* read and dropped */
        return MHD_YES;
    }
    struct mr_health_answer answer = {.status = MHD_HTTP_OK, .type = "text/plain; charset=utf-8"};
    if (mr_failed(answer_path(self, path, method, &answer))) {
        mr_buffer_deinit(&answer.body);
        return MHD_NO; /* out of memory: the connection is closed */
    }
    return send_answer(connection, &answer);
}

static struct mr_error cannot_listen(const char *host, uint16_t port, int native, const char *why)
{
    return mr_error_make(MR_ERROR_FATAL, "cannot_listen", native, "metrics and health on %s:%u: %s", host,
                         (unsigned)port, why);
}

static struct mr_error listen_at(struct mr_health *health, const char *host, uint16_t port)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int failure = getaddrinfo(host, service, &wanted, &found);
    if (failure != 0) {
        return cannot_listen(host, port, failure, gai_strerror(failure));
    }
    const unsigned family = found->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0;
    sigset_t before;
    mr_signals_block(&before);
    errno = 0;
    health->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | family, port, NULL, NULL, handle, health, MHD_OPTION_SOCK_ADDR,
        found->ai_addr, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS_MAX, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_SIZE, MHD_OPTION_END);
    const int native = errno;
    mr_signals_restore(&before);
    freeaddrinfo(found);
    return health->daemon != NULL ? mr_ok() : cannot_listen(host, port, native, strerror(native));
}

static void show_waiting(struct mr_health *health, const char *reason, double value)
{
    if (reason != NULL) {
        const struct mr_label label = {"reason", reason};
        mr_metric_set(mr_metrics_gauge(health->metrics, "millrace_waiting", "1 while /readyz says this.", &label, 1),
                      value);
    }
}

struct mr_error mr_health_open(struct mr_metrics *metrics, const struct mr_clock *clock, const char *host,
                               uint16_t port, uint32_t stale_ms, struct mr_health **ret_health)
{
    struct mr_health *health = calloc(1, sizeof *health);
    if (health == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for the health state");
    }
    health->metrics = metrics;
    health->clock = *clock;
    health->stale_ms = stale_ms;
    health->port = port;
    atomic_init(&health->beat_us, mr_clock_monotonic_us(clock));
    atomic_init(&health->waiting, "starting");
    mr_metric_set(mr_metrics_gauge(metrics, "millrace_start_time_seconds", "When it was started, since 1970.", NULL, 0),
                  (double)mr_clock_wall_ms(clock) / 1e3);
    health->ready = mr_metrics_gauge(metrics, "millrace_ready", "1 while /readyz is 200.", NULL, 0);
    show_waiting(health, "starting", 1);
    if (port != 0) {
        const struct mr_error error = listen_at(health, host, port);
        if (mr_failed(error)) {
            free(health);
            return error;
        }
    }
    *ret_health = health;
    return mr_ok();
}

void mr_health_beat(struct mr_health *health)
{
    atomic_store(&health->beat_us, mr_clock_monotonic_us(&health->clock));
}

void mr_health_waiting(struct mr_health *health, const char *reason)
{
    const char *before = atomic_exchange(&health->waiting, reason);
    mr_metric_set(health->ready, reason == NULL ? 1 : 0);
    if (before != reason) {
        show_waiting(health, before, 0);
        show_waiting(health, reason, 1);
    }
}

uint16_t mr_health_port(const struct mr_health *health)
{
    return health->port;
}

void mr_health_close(struct mr_health *health)
{
    if (health != NULL && health->daemon != NULL) {
        MHD_stop_daemon(health->daemon);
    }
    free(health);
}
