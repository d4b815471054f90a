#include "train_world.h"

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/wire.h"
#include "persist_effects.h"
#include "stage_gpu_effects.h"
#include "stamped.h"
#include "train_effects.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { QUIET_TURNS = 3000, SETTLE_TURNS_MAX = 200000 };

static const uint32_t partitions[WORLD_PARTITIONS] = {0, 1};

static int64_t wall(void *self)
{
    return ((struct world *)self)->now_ms;
}

static int64_t monotonic(void *self)
{
    return ((struct world *)self)->now_ms * 1000;
}

/* ---- Processes ------------------------------------------------------------------------------------------------- */

static void open_stage(struct world *world, struct world_process *process)
{
    const struct stage_gpu_rules rules = {.device = {.kind = STAGE_GPU_DEVICE_CPU}, .cap = {.max_bytes = 1 << 16}};
    ck_assert(!mr_failed(stage_gpu_effects_open_with(&rules, world->owner, &process->service, &process->spec)));
}

static void open_train(struct world *world, struct world_process *process)
{
    const struct train_config config = {
        .device = "cpu", .threads = world->threads, .run_ahead = world->run_ahead, .models_max = world->models_max};
    ck_assert(!mr_failed(mr_arena_private_connect(world->owner, &world->consumer)));
    ck_assert(!mr_failed(train_effects_open_with(&config, &process->service, world->consumer, &process->spec)));
}

static void open_persist(struct world *world, struct world_process *process)
{
    static struct persist_config config = {.ancestor_probe_ms = 50};
    (void)world;
    ck_assert(!mr_failed(persist_effects_open(&config, &process->service, &process->spec)));
}

void world_start(struct world *world, enum world_part part)
{
    static void (*const opens[WORLD_PARTS])(struct world *, struct world_process *) = {open_stage, open_train,
                                                                                       open_persist};
    static const char *const groups[WORLD_PARTS] = {"stage_gpu", "train", "persist"};
    struct world_process *process = &world->process[part];
    struct mr_service *service = &process->service;
    service->store = world->store;
    service->clock = (struct mr_clock){world, wall, monotonic};
    service->trace = (struct mr_trace){.descriptor = STDERR_FILENO,
                                       .format = MR_TRACE_LOGFMT,
                                       .least = MR_TRACE_ALARM,
                                       .service = groups[part],
                                       .clock = service->clock};
    service->deployment.partitions = WORLD_PARTITIONS;
    memset(service->deployment.log_id.bytes, 0xab, MR_LOG_ID_SIZE);
    opens[part](world, process);
    ck_assert(!mr_failed(mr_work_open(0, 4096, &service->work)));
    service->log = memory_log_new(world->broker, groups[part], MR_LOG_ASSIGN);
    const struct mr_stage_env env = {
        .log = service->log,
        .clock = service->clock,
        .trace = &service->trace,
        .metrics = service->metrics,
        .work = service->work,
        .deployment = &service->deployment,
        .partitions = partitions,
        .partition_count = WORLD_PARTITIONS,
        .window_records = 16,
        .window_bytes = 1 << 20,
        .parked_max = 100,
        .fold_every = 3,
        .probe_ms = 20,
        .stop_wait_ms = 1000,
    };
    ck_assert(!mr_failed(mr_stage_new(&process->spec, &env, &service->stage)));
    process->up = true;
}

void world_crash(struct world *world, enum world_part part)
{
    static void (*const closes[WORLD_PARTS])(void *) = {stage_gpu_effects_close, train_effects_close,
                                                        persist_effects_close};
    struct world_process *process = &world->process[part];
    if (!process->up) {
        return;
    }
    mr_stage_free(process->service.stage);
    mr_work_close(process->service.work);
    closes[part](process->spec.self);
    if (part == WORLD_TRAIN) {
        mr_arena_consumer_close(world->consumer);
    }
    process->service.log->ops->close(process->service.log);
    process->up = false;
}

void world_turn(struct world *world)
{
    for (int part = 0; part < WORLD_PARTS; part++) {
        struct world_process *process = &world->process[part];
        if (process->up && !mr_stage_turn(process->service.stage, 0, false, &process->exit_code)) {
            world_crash(world, (enum world_part)part);
        }
    }
    world->now_ms++;
}

static uint64_t written(const struct world *world)
{
    uint64_t sum = 0;
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
            sum += memory_broker_high(world->broker, mr_topics[i], p);
        }
    }
    return sum;
}

void world_settle(struct world *world)
{
    memory_broker_hold_writes(world->broker, false);
    memory_broker_hold_acks(world->broker, false);
    memory_broker_set_down(world->broker, false);
    memory_store_set_faults(world->store, (struct memory_store_faults){0});
    uint64_t before = written(world);
    for (int turns = 0, quiet = 0; quiet < QUIET_TURNS && turns < SETTLE_TURNS_MAX; turns++, quiet++) {
        for (int part = 0; part < WORLD_PARTS; part++) {
            if (!world->process[part].up && world->process[part].exit_code == 0) {
                world_start(world, (enum world_part)part);
            }
        }
        world_turn(world);
        quiet = written(world) == before ? quiet : 0;
        before = written(world);
    }
}

struct world *world_new(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    ck_assert_ptr_nonnull(world);
    const struct mr_arena_config arena = {.bytes = 1 << 14, .blocks = 8};
    world->broker = memory_broker_new(seed);
    world->store = memory_store_new(seed);
    world->now_ms = 1000000;
    world->threads = 1;
    world->run_ahead = 4;
    world->models_max = 100;
    ck_assert(!mr_failed(mr_arena_private_open(&arena, &world->owner)));
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        memory_broker_create(world->broker, mr_topics[i], WORLD_PARTITIONS);
    }
    for (int part = 0; part < WORLD_PARTS; part++) {
        world->process[part].service.metrics = mr_metrics_new("test");
        world_start(world, (enum world_part)part);
    }
    return world;
}

void world_free(struct world *world)
{
    for (int part = 0; part < WORLD_PARTS; part++) {
        world_crash(world, (enum world_part)part);
        mr_metrics_free(world->process[part].service.metrics);
    }
    mr_arena_owner_close(world->owner);
    mr_store_close(world->store);
    memory_broker_free(world->broker);
    free(world);
}

/* ---- The log ------------------------------------------------------------------------------------------------------
 */

uint32_t world_partition(const char *model)
{
    return mr_partition_of(mr_bytes_of_text(model), WORLD_PARTITIONS);
}

static size_t slot_of(struct world *world, const char *model)
{
    size_t slot = 0;
    while (slot < world->models && strcmp(world->model[slot].id, model) != 0) {
        slot++;
    }
    if (slot == world->models) {
        ck_assert_uint_lt(slot, WORLD_MODELS_MAX);
        snprintf(world->model[slot].id, sizeof world->model[slot].id, "%s", model);
        world->models++;
    }
    return slot;
}

uint64_t world_validated(struct world *world, const char *model, struct mr_buffer submitted)
{
    const size_t slot = slot_of(world, model);
    struct mr_log_output output = {.topic = MR_TOPIC_SUBMITTED,
                                   .partition = world_partition(model),
                                   .has_key = true,
                                   .key = mr_bytes_of_text(model),
                                   .has_value = true,
                                   .value = mr_buffer_view(&submitted)};
    const uint64_t origin = memory_broker_append(world->broker, &output);
    const struct mr_stage_stamp stamp =
        stamped_by(model, output.partition, origin, world->model[slot].some ? (int64_t)world->model[slot].last : -1);
    struct mr_wire_stamp wire_stamp;
    struct mr_arena arena = {0};
    Millrace__Batch__V1__Validated wire;
    millrace__batch__v1__validated__init(&wire);
    mr_wire_stamp_init(&wire_stamp, &stamp);
    wire.stamp = &wire_stamp.message;
    wire.submitted = mr_wire_lend(mr_buffer_view(&submitted));
    wire.precision = MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP;
    ck_assert(!mr_failed(mr_wire_pack(&wire.base, &arena, &output.value)));
    output.topic = MR_TOPIC_VALIDATED;
    /* Equal in every world: the time of a record goes into what is hashed. */
    output.timestamp_ms = 1777982400000 + (int64_t)origin;
    memory_broker_append(world->broker, &output);
    mr_arena_deinit(&arena);
    mr_buffer_deinit(&submitted);
    world->model[slot].some = true;
    world->model[slot].last = origin;
    return origin;
}

/* ---- What came out --------------------------------------------------------------------------------------------------
 */

struct mr_head world_head(struct world *world, const char *model)
{
    struct mr_head head;
    bool some = false;
    ck_assert(!mr_failed(mr_head_read(world->store, model, &some, &head, NULL)));
    ck_assert_msg(some, "%s has no version", model);
    return head;
}

static bool of_model(const struct mr_log_record *record, const char *model)
{
    return mr_bytes_equal(record->key, mr_bytes_of_text(model));
}

char *world_steps(struct world *world, const char *model)
{
    const uint32_t partition = world_partition(model);
    const uint64_t end = memory_broker_high(world->broker, MR_TOPIC_TRAINED, partition);
    struct mr_buffer text = {0};
    struct mr_sha256 *seen = calloc(memory_broker_high(world->broker, MR_TOPIC_SUBMITTED, partition) + 1, sizeof *seen);
    int64_t last = -1;
    for (uint64_t at = 0; at < end; at++) {
        const struct mr_log_record *record = memory_broker_record(world->broker, MR_TOPIC_TRAINED, partition, at);
        if (!of_model(record, model)) {
            continue;
        }
        Millrace__Common__V1__Stamped *stamped =
            millrace__common__v1__stamped__unpack(NULL, record->value.size, record->value.data);
        const uint64_t origin = stamped->stamp->origin->offset;
        const struct mr_sha256 hash = mr_sha256_of(record->value);
        if ((int64_t)origin > last) {
            char hex[MR_SHA256_TEXT_SIZE];
            ck_assert_msg(stamped->stamp->prev == NULL ? last < 0 : (int64_t)stamped->stamp->prev->value == last,
                          "a gap before %" PRIu64, origin);
            mr_sha256_text(&hash, hex);
            ck_assert(!mr_failed(mr_buffer_append_text(&text, "%" PRIu64 " %s\n", origin, hex)));
            seen[origin] = hash;
            last = (int64_t)origin;
        }
        ck_assert_msg(mr_sha256_equal(&seen[origin], &hash), "%s: two values for origin %" PRIu64, model, origin);
        millrace__common__v1__stamped__free_unpacked(stamped, NULL);
    }
    ck_assert(!mr_failed(mr_buffer_append(&text, "", 1)));
    free(seen);
    return (char *)text.data;
}

double world_count(struct world *world, const char *decision)
{
    const struct mr_label labels[] = {{"stage", "train"}, {"decision", decision}};
    return mr_metric_value(mr_metrics_counter(world->process[WORLD_TRAIN].service.metrics, "millrace_decisions_total",
                                              "Decisions taken, by name.", labels, MR_COUNT_OF(labels)));
}
