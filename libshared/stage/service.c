/* The main of every service: opens what its stage needs, runs it, closes it. */
#include "millrace/service.h"

#include "millrace/log_kafka.h"
#include "millrace/store_doctor.h"
#include "retention.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PARTITIONS_MAX = 4096,
    JOBS_OF_RECORD_MAX = 4, /* at once */
    BROKER_WAIT_MS = 2000,
    RETRY_WAIT_MS = 250,
    HEALTH_STALE_MS = 30000,
    PROBE_MS = 500,
    STOP_WAIT_MS = 10000,
    FOLD_SHARE = 4,
    SETTINGS_MAX = 65536,
};

static volatile int stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static struct mr_error catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0 ||
        sigaction(SIGPIPE, &ignore, NULL) != 0) {
        return mr_error_make(MR_ERROR_FATAL, "signals", 0, "cannot install signal handlers");
    }
    return mr_ok();
}

/* Records are allocated by the threads of the Kafka client and freed by the loop: an arena of memory for each thread
 * would keep what another could use, and so does a heap with holes where large answers of a broker were. */
static void bound_memory(void)
{
    enum { ARENAS = 2, MAPPED_FROM = 128 * 1024 };
    (void)mallopt(M_ARENA_MAX, ARENAS);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
}

static enum mr_trace_level level_of(const char *text)
{
    return strcmp(text, "debug") == 0  ? MR_TRACE_DEBUG
           : strcmp(text, "info") == 0 ? MR_TRACE_INFO
           : strcmp(text, "warn") == 0 ? MR_TRACE_WARN
                                       : MR_TRACE_ALARM;
}

/* Between two tries of something that is not there yet; a signal ends it. */
static void pause_before_retry(void)
{
    const struct timespec wait = {.tv_sec = 0, .tv_nsec = RETRY_WAIT_MS * 1000000L};
    nanosleep(&wait, NULL);
}

static struct mr_error read_settings(const char *path, char **ret_text)
{
    *ret_text = NULL;
    if (*path == '\0') {
        return mr_ok();
    }
    FILE *file = fopen(path, "r");
    char *text = file == NULL ? NULL : calloc(SETTINGS_MAX, 1);
    if (text == NULL) {
        if (file != NULL) {
            fclose(file);
        }
        return mr_error_make(MR_ERROR_REJECT, "bad_settings", 0, "--broker-settings=%s: cannot read it", path);
    }
    const size_t size = fread(text, 1, SETTINGS_MAX - 1, file);
    const bool whole = feof(file) && !ferror(file);
    fclose(file);
    if (!whole) {
        free(text);
        return mr_error_make(MR_ERROR_REJECT, "bad_settings", 0, "--broker-settings=%s: over %d bytes", path,
                             SETTINGS_MAX);
    }
    text[size] = '\0';
    *ret_text = text;
    return mr_ok();
}

/* Tries `open` until it works, fails for good, or a stop is asked for. */
static struct mr_error until_there(struct mr_service *service, const char *what,
                                   struct mr_error (*open)(struct mr_service *service, void *with), void *with)
{
    bool told = false;
    for (;;) {
        const struct mr_error error = open(service, with);
        if (error.kind != MR_ERROR_TRANSIENT) {
            return error;
        }
        mr_health_waiting(service->health, what);
        mr_health_beat(service->health);
        if (!told) {
            told = true;
            MR_TRACE(&service->trace, MR_TRACE_WARN, "DependencyDown", mr_text("dependency", what),
                     mr_text("detail", error.detail));
        }
        if (stop_asked) {
            return mr_error_make(MR_ERROR_TRANSIENT, "stopped", 0, "stopped while waiting for %s", what);
        }
        pause_before_retry();
    }
}

static struct mr_error open_store(struct mr_service *service, void *with)
{
    (void)with;
    struct mr_store *store;
    MR_TRY(mr_store_open(service->config->store, &store));
    const struct mr_error error = mr_store_probe(store);
    if (mr_failed(error)) {
        mr_store_close(store);
        return error;
    }
    return mr_store_watch(store, &service->clock, &service->store);
}

struct log_wanted {
    const struct mr_stage_spec *spec;
    const char *settings;
    const struct mr_service_plan *plan;
};

static struct mr_error open_log(struct mr_service *service, void *with)
{
    const struct log_wanted *wanted = with;
    const struct mr_service_config *config = service->config;
    bool development;
    MR_TRY(mr_log_kafka_is_development(config->brokers, wanted->settings, BROKER_WAIT_MS, &development));
    char client[MR_ID_SIZE];
    snprintf(client, sizeof client, "millrace-%s", wanted->plan->name);
    const char *topics[MR_STAGE_INPUTS_MAX];
    for (size_t i = 0; i < wanted->spec->input_count; i++) {
        topics[i] = wanted->spec->inputs[i].topic;
    }
    const struct mr_log_kafka_config kafka = {
        .brokers = config->brokers,
        .settings = wanted->settings,
        .client_id = client,
        .group = config->group,
        .mode = strcmp(config->mode, "assign") == 0 ? MR_LOG_ASSIGN : MR_LOG_SUBSCRIBE,
        .topics = topics,
        .topic_count = wanted->spec->input_count,
        .development_broker = development,
        .linger_ms = (uint32_t)config->linger_ms,
        .consume = true,
        .produce = true,
    };
    struct mr_log *log;
    MR_TRY(mr_log_kafka_open(&kafka, &log));
    const struct mr_error error = mr_deployment_read(log, &service->deployment);
    if (mr_failed(error)) {
        log->ops->close(log);
        /* Topics that are not created yet are waited for, as a broker is. */
        return strcmp(error.code, "no_deployment") == 0 || strcmp(error.code, "unknown_topic") == 0
                   ? mr_error_make(MR_ERROR_TRANSIENT, error.code, error.native, "%s", error.detail)
                   : error;
    }
    service->log = log;
    if (wanted->plan->rereads_log && !development) {
        mr_retention_tell(&service->trace, config->brokers, wanted->settings);
    }
    return mr_ok();
}

static struct mr_error parse_partitions(const char *text, uint32_t count, uint32_t *ret_list, size_t *ret_count)
{
    *ret_count = 0;
    if (strcmp(text, "all") == 0) {
        for (uint32_t i = 0; i < count && i < PARTITIONS_MAX; i++) {
            ret_list[(*ret_count)++] = i;
        }
        return mr_ok();
    }
    const char *at = text;
    while (*at != '\0' && *ret_count < PARTITIONS_MAX) {
        char *end;
        const unsigned long index = strtoul(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || index >= count || (*end != ',' && *end != '\0')) {
            break;
        }
        ret_list[(*ret_count)++] = (uint32_t)index;
        at = *end == ',' ? end + 1 : end;
    }
    if (*at != '\0' || *ret_count == 0) {
        return mr_error_make(MR_ERROR_REJECT, "bad_partitions", 0,
                             "--partitions=%s: expected all, or indexes under %u joined by commas", text, count);
    }
    return mr_ok();
}

static int exit_code_of(struct mr_error error)
{
    if (strcmp(error.code, "stopped") == 0) {
        return MR_EXIT_OK;
    }
    if (strcmp(error.code, "device_unavailable") == 0 || strcmp(error.code, "dishonest_store") == 0) {
        return MR_EXIT_UNAVAILABLE;
    }
    if (strcmp(error.code, "log_discontinuity") == 0) {
        return MR_EXIT_LOG;
    }
    if (strcmp(error.code, "denied") == 0) {
        return MR_EXIT_DENIED;
    }
    return error.kind == MR_ERROR_REJECT ? MR_EXIT_USAGE : MR_EXIT_FAILED;
}

static struct mr_error run_stage(struct mr_service *service, const struct mr_stage_spec *spec, int *ret_exit)
{
    const struct mr_service_config *config = service->config;
    static uint32_t partitions[PARTITIONS_MAX];
    size_t count = 0;
    const bool assign = strcmp(config->mode, "assign") == 0;
    if (assign) {
        MR_TRY(parse_partitions(config->partitions, service->deployment.partitions, partitions, &count));
    }
    const struct mr_stage_env env = {
        .log = service->log,
        .clock = service->clock,
        .trace = &service->trace,
        .metrics = service->metrics,
        .health = service->health,
        .work = service->work,
        .store = service->store,
        .deployment = &service->deployment,
        .partitions = assign ? partitions : NULL,
        .partition_count = count,
        .window_records = (uint32_t)config->window_records,
        .window_bytes = config->window_bytes,
        .parked_max = (uint32_t)config->parked_max,
        .fold_every = (uint32_t)config->fold_every,
        .fold_share = FOLD_SHARE,
        .retry = service->retry,
        .probe_ms = PROBE_MS,
        .stop_wait_ms = STOP_WAIT_MS,
    };
    MR_TRY(mr_stage_new(spec, &env, &service->stage));
    MR_TRACE(&service->trace, MR_TRACE_INFO, "Started", mr_text("mode", config->mode),
             mr_count("partitions", service->deployment.partitions), mr_count("pid", (uint64_t)getpid()));
    *ret_exit = mr_stage_run(service->stage, &stop_asked);
    return mr_ok();
}

static struct mr_error serve(const struct mr_service_plan *plan, struct mr_service *service, int *ret_exit)
{
    char *settings = NULL;
    struct mr_stage_spec spec = {0};
    if (plan->assign_only && strcmp(plan->common->mode, "assign") != 0) {
        return mr_error_make(MR_ERROR_REJECT, "bad_mode", 0,
                             "--mode=%s: millrace-%s is given its partitions: --mode=assign", plan->common->mode,
                             plan->name);
    }
    if (plan->check != NULL) {
        MR_TRY(plan->check(plan->config));
    }
    MR_TRY(catch_signals());
    MR_TRY(mr_health_open(service->metrics, &service->clock, plan->common->health_host,
                          (uint16_t)plan->common->health_port, HEALTH_STALE_MS, &service->health));
    mr_health_waiting(service->health, "starting");
    if (plan->workers > 0) {
        const uint64_t queue = (plan->common->window_records + 16) * JOBS_OF_RECORD_MAX * PARTITIONS_MAX;
        MR_TRY(mr_work_open(plan->workers, queue > UINT32_MAX ? UINT32_MAX : (uint32_t)queue, &service->work));
    }
    if (plan->uses_store) {
        MR_TRY(until_there(service, "store", open_store, NULL));
    }
    MR_TRY(read_settings(plan->common->broker_settings, &settings));
    /* The spec is needed for its topics before the log is there; the service gets the log before its first record. */
    struct mr_error error = plan->open(plan->config, service, &spec);
    if (!mr_failed(error)) {
        struct log_wanted wanted = {&spec, settings, plan};
        error = until_there(service, "broker", open_log, &wanted);
        if (!mr_failed(error)) {
            error = run_stage(service, &spec, ret_exit);
        }
        mr_work_close(service->work);
        service->work = NULL;
        mr_stage_free(service->stage);
        plan->close(spec.self);
    }
    free(settings);
    return error;
}

int mr_service_main(const struct mr_service_plan *plan, int argc, char *argv[])
{
    if (argc == 2 && strcmp(argv[1], "--help-markdown") == 0) {
        mr_config_markdown(plan->options, stdout);
        return MR_EXIT_OK;
    }
    const struct mr_error bad = mr_config_load(plan->options, plan->config, argc, argv, NULL, 0, NULL);
    if (mr_failed(bad)) {
        const bool help = strcmp(bad.code, "help") == 0;
        if (!help) {
            fprintf(stderr, "millrace-%s: %s\n", plan->name, bad.detail);
        }
        mr_config_help(plan->options, help ? stdout : stderr);
        return help ? MR_EXIT_OK : MR_EXIT_USAGE;
    }
    bound_memory();
    struct mr_service service = {.clock = mr_clock_system(),
                                 .config = plan->common,
                                 .retry = {.attempts_max = (uint32_t)plan->common->retry_attempts,
                                           .first_wait_ms = (uint32_t)plan->common->retry_first_ms,
                                           .wait_ms_max = (uint32_t)plan->common->retry_longest_ms}};
    service.trace = mr_trace_open(plan->name, STDERR_FILENO, level_of(plan->common->log_level));
    service.metrics = mr_metrics_new(plan->name);
    int exit_code = MR_EXIT_FAILED;
    if (service.metrics != NULL) {
        const struct mr_error error = serve(plan, &service, &exit_code);
        if (mr_failed(error)) {
            exit_code = exit_code_of(error);
            MR_TRACE(&service.trace, MR_TRACE_ALARM, "CannotStart", mr_text("code", error.code),
                     mr_text("detail", error.detail), mr_number("exit", exit_code));
        }
    }
    if (service.log != NULL) {
        service.log->ops->close(service.log);
    }
    mr_work_close(service.work);
    mr_store_close(service.store);
    mr_health_close(service.health);
    mr_metrics_free(service.metrics);
    return exit_code;
}
