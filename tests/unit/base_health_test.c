#include "check_main.h"
#include "millrace/metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static _Atomic(int64_t) now_us;

static int64_t fake_wall_ms(void *self)
{
    (void)self;
    return 1500;
}

static int64_t fake_monotonic_us(void *self)
{
    (void)self;
    return atomic_load(&now_us);
}

static const struct mr_clock fake_clock = {NULL, fake_wall_ms, fake_monotonic_us};

static int bound_socket(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    const int bound = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(bound, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(bound, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return bound;
}

/* Someone else may take a free port before it is used: then another one. */
static struct mr_health *open_health(struct mr_metrics *metrics, uint32_t stale_ms)
{
    struct mr_health *health = NULL;
    for (int tries = 0; tries < 20 && health == NULL; tries++) {
        uint16_t port;
        (void)close(bound_socket(&port));
        if (!mr_failed(mr_health_open(metrics, &fake_clock, "127.0.0.1", port, stale_ms, &health))) {
            ck_assert_uint_eq(mr_health_port(health), port);
        }
    }
    ck_assert_ptr_nonnull(health);
    return health;
}

/* The whole answer, head and body. */
static const char *ask(const struct mr_health *health, const char *request)
{
    static char answer[65536];
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(mr_health_port(health))};
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    char head[512];
    ck_assert_int_eq(connect(client, (const struct sockaddr *)&address, sizeof address), 0);
    const int length = snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", request,
                                strncmp(request, "POST", 4) == 0 ? "Content-Length: 0\r\n" : "");
    ck_assert_int_eq(write(client, head, (size_t)length), length);
    size_t size = 0;
    for (ssize_t got = 1; got > 0; size += (size_t)got) {
        got = read(client, answer + size, sizeof answer - 1 - size);
        ck_assert_int_ge(got, 0);
    }
    answer[size] = '\0';
    (void)close(client);
    return answer;
}

static void assert_answer(const struct mr_health *health, const char *request, const char *status, const char *body)
{
    const char *answer = ask(health, request);
    ck_assert_msg(strncmp(answer, "HTTP/1.1 ", 9) == 0 && strncmp(answer + 9, status, 3) == 0, "%s: %s", request,
                  answer);
    const char *end = strstr(answer, "\r\n\r\n");
    ck_assert_ptr_nonnull(end);
    ck_assert_str_eq(end + 4, body);
}

START_TEST(liveness_is_the_age_of_the_last_beat)
{
    struct mr_metrics *m = mr_metrics_new("test");
    atomic_store(&now_us, 1000 * 1000);
    struct mr_health *health = open_health(m, 5000);
    assert_answer(health, "GET /healthz", "200", "ok\n");
    atomic_store(&now_us, 6000 * 1000);
    assert_answer(health, "GET /healthz", "200", "ok\n");
    atomic_store(&now_us, 6001 * 1000);
    assert_answer(health, "GET /healthz", "503", "no progress for 5001 ms\n");
    mr_health_beat(health);
    assert_answer(health, "GET /healthz", "200", "ok\n");
    mr_health_close(health);
    mr_metrics_free(m);
}
END_TEST

START_TEST(readiness_says_what_it_waits_for)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_health *health = open_health(m, 5000);
    assert_answer(health, "GET /readyz", "503", "waiting: starting\n");
    mr_health_waiting(health, "folding");
    assert_answer(health, "GET /readyz", "503", "waiting: folding\n");
    mr_health_waiting(health, NULL);
    assert_answer(health, "GET /readyz?verbose=1", "200", "ready\n");
    mr_health_close(health);
    mr_metrics_free(m);
}
END_TEST

static double gauge(struct mr_metrics *m, const char *name, const char *reason)
{
    const struct mr_label label = {"reason", reason};
    return mr_metric_value(mr_metrics_gauge(m, name, "", &label, reason == NULL ? 0 : 1));
}

START_TEST(readiness_is_a_metric_too)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_health *health = open_health(m, 5000);
    ck_assert(gauge(m, "millrace_ready", NULL) == 0);
    ck_assert(gauge(m, "millrace_waiting", "starting") == 1);
    mr_health_waiting(health, "folding");
    ck_assert(gauge(m, "millrace_waiting", "starting") == 0);
    ck_assert(gauge(m, "millrace_waiting", "folding") == 1);
    mr_health_waiting(health, NULL);
    ck_assert(gauge(m, "millrace_waiting", "folding") == 0);
    ck_assert(gauge(m, "millrace_ready", NULL) == 1);
    mr_health_waiting(health, "broker down");
    ck_assert(gauge(m, "millrace_ready", NULL) == 0);
    ck_assert(gauge(m, "millrace_start_time_seconds", NULL) == 1.5);
    mr_health_close(health);
    mr_metrics_free(m);
}
END_TEST

START_TEST(metrics_are_the_page)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_health *health = open_health(m, 5000);
    struct mr_buffer page = {0};
    ck_assert(!mr_failed(mr_metrics_render(m, &page)));
    ck_assert(!mr_failed(mr_buffer_append(&page, "", 1)));
    assert_answer(health, "GET /metrics", "200", (const char *)page.data);
    ck_assert_ptr_nonnull(strstr(ask(health, "GET /metrics"), "text/plain; version=0.0.4"));
    mr_buffer_deinit(&page);
    mr_health_close(health);
    mr_metrics_free(m);
}
END_TEST

START_TEST(only_reading_is_answered)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_health *health = open_health(m, 5000);
    assert_answer(health, "HEAD /healthz", "200", "");
    assert_answer(health, "GET /", "404", "there are /metrics, /healthz and /readyz\n");
    assert_answer(health, "GET /healthz/", "404", "there are /metrics, /healthz and /readyz\n");
    assert_answer(health, "POST /metrics", "405", "only GET and HEAD\n");
    assert_answer(health, "DELETE /healthz", "405", "only GET and HEAD\n");
    ck_assert_ptr_nonnull(strstr(ask(health, "POST /healthz"), "Allow: GET, HEAD\r\n"));
    mr_health_close(health);
    mr_metrics_free(m);
}
END_TEST

START_TEST(a_port_that_is_taken_is_an_error)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_health *health = NULL;
    uint16_t port;
    const int taken = bound_socket(&port);
    ck_assert_int_eq(listen(taken, 1), 0);
    const struct mr_error e = mr_health_open(m, &fake_clock, "127.0.0.1", port, 5000, &health);
    ck_assert_int_eq(e.kind, MR_ERROR_FATAL);
    ck_assert_str_eq(e.code, "cannot_listen");
    char where[32];
    (void)snprintf(where, sizeof where, "127.0.0.1:%u", (unsigned)port);
    ck_assert_ptr_nonnull(strstr(e.detail, where));
    ck_assert_ptr_null(health);
    ck_assert_str_eq(mr_health_open(m, &fake_clock, "no such host", port, 5000, &health).code, "cannot_listen");
    (void)close(taken);
    mr_metrics_free(m);
}
END_TEST

START_TEST(port_zero_serves_nothing_and_keeps_the_state)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_health *health = NULL;
    ck_assert(!mr_failed(mr_health_open(m, &fake_clock, "127.0.0.1", 0, 5000, &health)));
    ck_assert_uint_eq(mr_health_port(health), 0);
    mr_health_beat(health);
    mr_health_waiting(health, NULL);
    mr_health_close(health);
    mr_health_close(NULL);
    mr_metrics_free(m);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, liveness_is_the_age_of_the_last_beat);
    tcase_add_test(tests, readiness_says_what_it_waits_for);
    tcase_add_test(tests, readiness_is_a_metric_too);
    tcase_add_test(tests, metrics_are_the_page);
    tcase_add_test(tests, only_reading_is_answered);
    tcase_add_test(tests, a_port_that_is_taken_is_an_error);
    tcase_add_test(tests, port_zero_serves_nothing_and_keeps_the_state);
}

int main(void)
{
    return check_main("base_health", add);
}
