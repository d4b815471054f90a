#include "service_rig.h"

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/wire.h"
#include "stamped.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_SIZE = 65536, QUIET_TURNS = 300 };

static const uint32_t partitions[SERVICE_RIG_PARTITIONS] = {0, 1};

static int64_t rig_wall(void *self)
{
    return ((struct service_rig *)self)->now_ms;
}

static int64_t rig_monotonic(void *self)
{
    return ((struct service_rig *)self)->now_ms * 1000;
}

static void start(struct service_rig *rig)
{
    struct mr_service *service = &rig->service;
    ck_assert(!mr_failed(rig->open(rig->config, service, &rig->spec)));
    ck_assert(!mr_failed(mr_work_open(0, 1024, &service->work)));
    service->log = memory_log_new(rig->broker, rig->spec.name, MR_LOG_ASSIGN);
    service->deployment.partitions = SERVICE_RIG_PARTITIONS;
    memset(service->deployment.log_id.bytes, 0xab, MR_LOG_ID_SIZE);
    const struct mr_stage_env env = {
        .log = service->log,
        .clock = service->clock,
        .trace = &service->trace,
        .metrics = service->metrics,
        .work = service->work,
        .deployment = &service->deployment,
        .partitions = partitions,
        .partition_count = SERVICE_RIG_PARTITIONS,
        .window_records = 64,
        .window_bytes = 1 << 20,
        .parked_max = 1000,
        .fold_every = rig->fold_every,
        .retry = service->retry,
        .probe_ms = 20,
        .stop_wait_ms = 1000,
    };
    ck_assert(!mr_failed(mr_stage_new(&rig->spec, &env, &service->stage)));
}

static void stop(struct service_rig *rig)
{
    mr_stage_free(rig->service.stage);
    mr_work_close(rig->service.work);
    rig->close(rig->spec.self);
    rig->service.log->ops->close(rig->service.log);
}

struct service_rig *service_rig_new(struct mr_error (*open)(void *, struct mr_service *, struct mr_stage_spec *),
                                    void (*close)(void *self), void *config, struct mr_store *store)
{
    struct service_rig *rig = calloc(1, sizeof *rig);
    rig->broker = memory_broker_new(1);
    rig->open = open;
    rig->close = close;
    rig->config = config;
    rig->now_ms = 1000000;
    rig->service.store = store;
    rig->service.retry = MR_RETRY_DEFAULT;
    rig->service.clock = (struct mr_clock){rig, rig_wall, rig_monotonic};
    rig->service.metrics = mr_metrics_new("test");
    rig->service.trace = (struct mr_trace){.descriptor = STDERR_FILENO,
                                           .format = MR_TRACE_LOGFMT,
                                           .least = MR_TRACE_ALARM,
                                           .service = "test",
                                           .clock = rig->service.clock};
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        memory_broker_create(rig->broker, mr_topics[i], SERVICE_RIG_PARTITIONS);
    }
    start(rig);
    return rig;
}

void service_rig_free(struct service_rig *rig)
{
    stop(rig);
    mr_metrics_free(rig->service.metrics);
    memory_broker_free(rig->broker);
    free(rig);
}

void service_rig_restart(struct service_rig *rig)
{
    stop(rig);
    start(rig);
}

/* Whether anything was written in a turn. */
static uint64_t written(const struct service_rig *rig)
{
    uint64_t sum = 0;
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        for (uint32_t p = 0; p < SERVICE_RIG_PARTITIONS; p++) {
            sum += memory_broker_high(rig->broker, mr_topics[i], p);
        }
    }
    return sum;
}

void service_rig_run(struct service_rig *rig)
{
    uint64_t before = written(rig);
    for (int quiet = 0; quiet < QUIET_TURNS && !rig->over; quiet++) {
        rig->over = !mr_stage_turn(rig->service.stage, 0, false, &rig->exit_code);
        rig->now_ms++;
        const uint64_t after = written(rig);
        quiet = after == before ? quiet : 0;
        before = after;
    }
}

uint32_t service_rig_partition(const char *model)
{
    return mr_partition_of(mr_bytes_of_text(model), SERVICE_RIG_PARTITIONS);
}

uint64_t service_rig_replay(struct service_rig *rig, const char *key, const char *replay_of, struct mr_buffer value)
{
    const struct mr_log_header header = {"mr_replay_of", mr_bytes_of_text(replay_of == NULL ? "" : replay_of)};
    const struct mr_log_output output = {.topic = MR_TOPIC_SUBMITTED,
                                         .partition = key == NULL ? 0 : service_rig_partition(key),
                                         .has_key = key != NULL,
                                         .key = mr_bytes_of_text(key == NULL ? "" : key),
                                         .has_value = value.data != NULL,
                                         .value = mr_buffer_view(&value),
                                         .headers = &header,
                                         .header_count = replay_of == NULL ? 0 : 1};
    const uint64_t offset = memory_broker_append(rig->broker, &output);
    mr_buffer_deinit(&value);
    return offset;
}

uint64_t service_rig_submit(struct service_rig *rig, const char *key, struct mr_buffer value)
{
    return service_rig_replay(rig, key, NULL, value);
}

void service_rig_ingested(struct service_rig *rig, const char *model, uint64_t origin, int64_t prev,
                          struct mr_buffer submitted)
{
    const struct mr_stage_stamp stamp = stamped_by(model, service_rig_partition(model), origin, prev);
    struct mr_wire_stamp wire_stamp;
    Millrace__Batch__V1__Ingested wire;
    millrace__batch__v1__ingested__init(&wire);
    mr_wire_stamp_init(&wire_stamp, &stamp);
    wire.stamp = &wire_stamp.message;
    wire.submitted = mr_wire_lend(mr_buffer_view(&submitted));
    (void)stamped_append(rig->broker, MR_TOPIC_INGESTED, &stamp, &wire.base);
    mr_buffer_deinit(&submitted);
}

const char *service_rig_origins(struct service_rig *rig, const char *topic, const char *model)
{
    return stamped_origins(rig->broker, topic, service_rig_partition(model), model);
}

const char *service_rig_reasons(struct service_rig *rig)
{
    static char text[TEXT_SIZE];
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t p = 0; p < SERVICE_RIG_PARTITIONS; p++) {
        for (uint64_t at = 0; at < memory_broker_high(rig->broker, MR_TOPIC_DEADLETTERS, p); at++) {
            struct mr_bytes reason;
            ck_assert(mr_log_header_find(memory_broker_record(rig->broker, MR_TOPIC_DEADLETTERS, p, at),
                                         "mr_dlq_reason", &reason));
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", used > 0 ? " " : "", (int)reason.size,
                                     (const char *)reason.data);
        }
    }
    return text;
}

const char *service_rig_last_detail(struct service_rig *rig, const char *model)
{
    static char text[MR_ERROR_DETAIL_MAX];
    const uint32_t partition = service_rig_partition(model);
    const uint64_t end = memory_broker_high(rig->broker, MR_TOPIC_DEADLETTERS, partition);
    struct mr_bytes detail;
    ck_assert_uint_gt(end, 0);
    ck_assert(mr_log_header_find(memory_broker_record(rig->broker, MR_TOPIC_DEADLETTERS, partition, end - 1),
                                 "mr_dlq_detail", &detail));
    snprintf(text, sizeof text, "%.*s", (int)detail.size, (const char *)detail.data);
    return text;
}

double service_rig_count(struct service_rig *rig, const char *decision)
{
    const struct mr_label labels[] = {{"stage", rig->spec.name}, {"decision", decision}};
    return mr_metric_value(mr_metrics_counter(rig->service.metrics, "millrace_decisions_total",
                                              "Decisions taken, by name.", labels, MR_COUNT_OF(labels)));
}
