/* millrace serve: a model over HTTP, as the client library serves it. serve.h has what is decided of a request. */
#include "serve_http.h"

#include "cli.h"

#include "millrace/trace.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BEAT_MS = 200, STALE_MS = 30 * 1000, STOP_WAIT_MS = 5000, STOP_LOOK_MS = 10 };

struct serve_config {
    const char *store, *model, *version, *redis, *host, *token, *log_level;
    uint64_t poll_ms, port, threads, concurrency, body_max;
};
#define TYPE struct serve_config
static const struct mr_option rows[] = {
    CLI_ROW_TEXT(TYPE, "store", store, NULL, "Object store: file:///dir or s3://bucket/prefix."),
    CLI_ROW_TEXT(TYPE, "model", model, NULL, "Model id."),
    CLI_ROW_TEXT(TYPE, "version", version, "head", "head is followed; a counter or a version id stays."),
    CLI_ROW_TEXT(TYPE, "redis", redis, "none",
                 "Where publish tells of new versions: unix:/path, host:port, or none: polling alone."),
    CLI_ROW_COUNT(TYPE, "poll-ms", poll_ms, "10000", 1, 3600000,
                  "How late a version may be served without being told of it."),
    CLI_ROW_TEXT(TYPE, "host", host, "127.0.0.1", "Address; any but a loopback one needs a token."),
    CLI_ROW_COUNT(TYPE, "port", port, "8090", 0, 65535, "Port; 0 takes a free one, which the log says."),
    CLI_ROW(TYPE, "serve-token", token, MR_OPTION_SECRET, "", 0, 0, NULL,
            "What requests must bring as Authorization: Bearer; without it nobody is asked."),
    CLI_ROW_COUNT(TYPE, "threads", threads, "2", 1, 64, "Threads that answer."),
    CLI_ROW_COUNT(TYPE, "concurrency", concurrency, "64", 1, 4096, "Requests under way at most; further ones get 429."),
    CLI_ROW_COUNT(TYPE, "body-max", body_max, "1048576", 1024, 67108864, "Bytes of a request at most."),
    CLI_ROW(TYPE, "log-level", log_level, MR_OPTION_CHOICE, "info", 0, 0, "debug|info|warn|alarm",
            "The least level that is written to standard error."),
};
static const struct mr_option_table table = {"millrace serve", "A model over HTTP: prices, outputs, what is served.",
                                             rows, MR_COUNT_OF(rows)};

struct server {
    const struct serve_config *config;
    struct mr_clock clock;
    struct mr_trace trace;
    struct mr_metrics *metrics;
    struct mr_health *health;
    struct mr_client *client;
    struct serve_http *http;
};

/* ---- What the client tells ----------------------------------------------------------------------------- */

static void on_served(struct server *server, const struct mr_client_event *event)
{
    mr_metric_add(mr_metrics_counter(server->metrics, "millrace_serve_swaps_total", "Versions served so far.", NULL, 0),
                  1);
    mr_metric_set(mr_metrics_gauge(server->metrics, "millrace_serve_version", "The version that is served.", NULL, 0),
                  (double)event->counter);
    MR_TRACE(&server->trace, MR_TRACE_INFO, mr_client_event_text(event->kind), mr_text("model", server->config->model),
             mr_count("counter", event->counter), mr_text("version", event->version_id));
}

static void on_event(void *self, const struct mr_client_event *event)
{
    struct server *server = self;
    if (event->kind == MR_CLIENT_SERVED) {
        on_served(server, event);
        return;
    }
    const bool bad = mr_failed(event->error);
    if (bad) {
        const struct mr_label labels[] = {{"event", mr_client_event_text(event->kind)}, {"code", event->error.code}};
        mr_metric_add(mr_metrics_counter(server->metrics, "millrace_serve_troubles_total",
                                         "What kept a version from being served, or a wake-up from coming.", labels,
                                         MR_COUNT_OF(labels)),
                      1);
    }
    MR_TRACE(&server->trace, bad ? MR_TRACE_WARN : MR_TRACE_INFO, mr_client_event_text(event->kind),
             mr_text("model", server->config->model), mr_text("code", event->error.code),
             mr_text("detail", event->error.detail));
}

/* ---- The run ------------------------------------------------------------------------------------------- */

static struct timespec timespec_of(long ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000};
}

/* Until SIGTERM or SIGINT; then what is under way is answered. */
static void run_until_stopped(struct server *server, const sigset_t *stops)
{
    const struct timespec beat = timespec_of(BEAT_MS), glance = timespec_of(STOP_LOOK_MS);
    while (sigtimedwait(stops, NULL, &beat) < 0) {
        struct mr_client_state state;
        mr_client_state(server->client, &state);
        mr_health_waiting(server->health, state.phase == MR_CLIENT_READY ? NULL : mr_client_phase_text(state.phase));
        mr_health_beat(server->health);
    }
    serve_http_quiesce(server->http);
    for (int waited = 0; waited < STOP_WAIT_MS && serve_http_under_way(server->http) > 0; waited += STOP_LOOK_MS) {
        (void)sigtimedwait(stops, NULL, &glance);
    }
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

static struct mr_error open_client(struct server *server)
{
    const struct serve_config *config = server->config;
    const struct mr_client_options options = {
        .store = config->store,
        .model = config->model,
        .version = config->version,
        .redis = strcmp(config->redis, "none") == 0 ? NULL : config->redis,
        .poll_ms = (uint32_t)config->poll_ms,
        .on_event = on_event,
        .self = server,
    };
    return mr_client_open(&options, &server->client);
}

static struct mr_error serve(struct server *server)
{
    const struct serve_config *config = server->config;
    sigset_t stops;
    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGINT);
    /* Before any thread is there: they inherit it, and the signals come here. */
    MR_ASSERT(sigprocmask(SIG_BLOCK, &stops, NULL) == 0);
    MR_TRY(mr_health_open(server->metrics, &server->clock, "", 0, STALE_MS, &server->health));
    mr_health_waiting(server->health, mr_client_phase_text(MR_CLIENT_BOOTSTRAPPING));
    MR_TRY(open_client(server));
    const struct serve_http_config http = {
        .client = server->client,
        .metrics = server->metrics,
        .health = server->health,
        .model_id = config->model,
        .token = config->token,
        .host = config->host,
        .port = (uint16_t)config->port,
        .threads = (uint32_t)config->threads,
        .concurrency = (uint32_t)config->concurrency,
        .body_max = config->body_max,
    };
    MR_TRY(serve_http_open(&http, &server->http));
    MR_TRACE(&server->trace, MR_TRACE_INFO, "Listening", mr_text("host", config->host),
             mr_count("port", serve_http_port(server->http)), mr_text("token", config->token[0] == '\0' ? "no" : "yes"),
             mr_count("pid", (uint64_t)getpid()));
    run_until_stopped(server, &stops);
    serve_http_close(server->http);
    return mr_ok();
}

static enum mr_trace_level level_of(const char *name)
{
    return strcmp(name, "debug") == 0  ? MR_TRACE_DEBUG
           : strcmp(name, "info") == 0 ? MR_TRACE_INFO
           : strcmp(name, "warn") == 0 ? MR_TRACE_WARN
                                       : MR_TRACE_ALARM;
}

static int run(const void *options, const struct cli_rest *rest)
{
    (void)rest;
    const struct serve_config *config = options;
    if (config->token[0] == '\0' && !is_loopback(config->host)) {
        return cli_usage("millrace serve: --host=%s can be reached by others: set MILLRACE_SERVE_TOKEN or "
                         "MILLRACE_SERVE_TOKEN_FILE",
                         config->host);
    }
    struct server server = {.config = config, .clock = mr_clock_system(), .metrics = mr_metrics_new("serve")};
    server.trace = mr_trace_open("serve", STDERR_FILENO, level_of(config->log_level));
    const struct mr_error error =
        server.metrics == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "metrics") : serve(&server);
    const int code = mr_failed(error) ? cli_fail(&error) : MR_EXIT_OK;
    mr_client_close(server.client);
    mr_health_close(server.health);
    mr_metrics_free(server.metrics);
    return code;
}

const struct cli_verb cli_verb_serve = {"serve", "", 0, &table, sizeof(TYPE), run};
