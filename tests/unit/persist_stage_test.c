/* persist as a stage: over the in-memory log and an in-memory store, with faults, restarts and models side by side. */
#include "check_main.h"
#include "memory_log.h"
#include "memory_store.h"
#include "millrace/checkpoint/v1/checkpoint.pb-c.h"
#include "millrace/version/v1/version.pb-c.h"
#include "millrace/versions.h"
#include "millrace/wire.h"
#include "persist_effects.h"
#include "stamped.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One persist process; the broker and the store outlive it. */
struct process {
    struct memory_broker *broker;
    struct persist_config config;
    struct mr_service service;
    struct mr_stage_spec spec;
    int64_t now_ms;
    bool over;
    int exit_code;
};

static struct process process;

static int64_t wall_ms(void *self)
{
    return ((const struct process *)self)->now_ms;
}

static int64_t monotonic_us(void *self)
{
    return ((const struct process *)self)->now_ms * 1000;
}

/* ---- The process -------------------------------------------------------------------------------------------- */

static void start(void)
{
    struct mr_service *service = &process.service;
    static const uint32_t partitions[] = {0, 1};
    struct mr_store *store = service->store;
    *service = (struct mr_service){.clock = {&process, wall_ms, monotonic_us}, .store = store};
    service->trace = (struct mr_trace){.descriptor = open("/dev/null", O_WRONLY | O_CLOEXEC),
                                       .format = MR_TRACE_JSON,
                                       .least = MR_TRACE_DEBUG,
                                       .service = "persist",
                                       .clock = service->clock};
    service->metrics = mr_metrics_new("persist");
    memset(service->deployment.log_id.bytes, 0xab, MR_LOG_ID_SIZE);
    service->deployment.partitions = 2;
    ck_assert(!mr_failed(mr_work_open(0, 1000, &service->work)));
    service->log = memory_log_new(process.broker, "persist", MR_LOG_ASSIGN);
    ck_assert(!mr_failed(persist_effects_open(&process.config, service, &process.spec)));
    const struct mr_stage_env env = {
        .log = service->log,
        .clock = service->clock,
        .trace = &service->trace,
        .metrics = service->metrics,
        .work = service->work,
        .deployment = &service->deployment,
        .partitions = partitions,
        .partition_count = MR_COUNT_OF(partitions),
        .window_records = 64,
        .window_bytes = 1 << 20,
        .parked_max = 100,
        .probe_ms = 20,
        .stop_wait_ms = 100,
    };
    process.over = false;
    process.exit_code = -1;
    ck_assert(!mr_failed(mr_stage_new(&process.spec, &env, &service->stage)));
}

static void end(void)
{
    struct mr_service *service = &process.service;
    mr_work_close(service->work);
    mr_stage_free(service->stage);
    persist_effects_close(process.spec.self);
    service->log->ops->close(service->log);
    mr_metrics_free(service->metrics);
    (void)close(service->trace.descriptor);
}

/* The log never waits and time is ours: after so many turns nothing is left to do but to wait. */
static void run(void)
{
    for (int i = 0; i < 300 && !process.over; i++) {
        process.over = !mr_stage_turn(process.service.stage, 0, false, &process.exit_code);
        process.now_ms++;
    }
}

static void setup(void)
{
    process = (struct process){.broker = memory_broker_new(3), .now_ms = 1777982400000};
    process.config.ancestor_probe_ms = 50;
    process.service.store = memory_store_new(3);
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        memory_broker_create(process.broker, mr_topics[i], 2);
    }
    start();
}

static void teardown(void)
{
    struct mr_store *store = process.service.store;
    end();
    mr_store_close(store);
    memory_broker_free(process.broker);
}

/* ---- Checkpoints and versions -------------------------------------------------------------------------------- */

/* Checkpoint n of a model (origin 10 n + 5, content "<model> <n><suffix>"), its payload in the spool. */
static struct mr_sha256 content_of(const char *model, int n, const char *suffix)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s %d%s", model, n, suffix);
    return mr_sha256_of(mr_bytes_of_text(text));
}

static void spool_key(const char *model, int n, const char *suffix, char ret_key[MR_VERSION_KEY_SIZE])
{
    const struct mr_sha256 content = content_of(model, n, suffix);
    mr_key_spool(model, &content, ret_key);
}

static bool spooled(const char *model, int n, const char *suffix)
{
    char key[MR_VERSION_KEY_SIZE];
    spool_key(model, n, suffix, key);
    return memory_store_peek(process.service.store, key).size > 0;
}

static void produce(const char *model, int n, const char *suffix)
{
    char text[64], key[MR_VERSION_KEY_SIZE];
    const struct mr_sha256 content = content_of(model, n, suffix), previous = content_of(model, n - 1, suffix);
    (void)snprintf(text, sizeof text, "%s %d%s", model, n, suffix);
    spool_key(model, n, suffix, key);
    memory_store_set(process.service.store, key, text);

    const struct mr_stage_stamp stamp =
        stamped_by(model, mr_partition_of(mr_bytes_of_text(model), 2), (uint64_t)(10 * n + 5), 10 * n - 5);
    struct mr_wire_stamp wire_stamp;
    Millrace__Checkpoint__V1__CheckpointProduced wire;
    millrace__checkpoint__v1__checkpoint_produced__init(&wire);
    mr_wire_stamp_init(&wire_stamp, &stamp);
    wire.stamp = &wire_stamp.message;
    wire.run_id = mr_wire_text("run-1");
    wire.step = (uint64_t)n;
    wire.size = strlen(text);
    wire.content_hash = mr_wire_lend_hash(&content);
    wire.previous = mr_wire_lend(mr_bytes_of(previous.bytes, n > 0 ? sizeof previous.bytes : 0));
    wire.spool_key = key;
    wire.arithmetic_profile = mr_wire_text("mr-f32-v1");
    wire.message = mr_wire_text("Checkpoint");
    wire.version_bump = MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_PATCH;
    (void)stamped_append(process.broker, MR_TOPIC_PRODUCED, &stamp, &wire.base);
}

/* The model's version events. */
static size_t committed(const char *model, const struct mr_log_record *ret_records[], size_t max)
{
    const uint32_t partition = mr_partition_of(mr_bytes_of_text(model), 2);
    size_t count = 0;
    for (uint64_t at = 0; at < memory_broker_high(process.broker, MR_TOPIC_COMMITTED, partition); at++) {
        const struct mr_log_record *record = memory_broker_record(process.broker, MR_TOPIC_COMMITTED, partition, at);
        if (mr_bytes_equal(record->key, mr_bytes_of_text(model))) {
            ck_assert_uint_lt(count, max);
            ret_records[count++] = record;
        }
    }
    return count;
}

static size_t committed_count(const char *model)
{
    const struct mr_log_record *records[16];
    return committed(model, records, MR_COUNT_OF(records));
}

static void expect_chain(const char *model, uint64_t versions)
{
    const struct mr_verify_result result = mr_versions_verify(process.service.store, model);
    ck_assert_msg(result.verdict == MR_VERIFY_GOOD, "%s", result.detail);
    ck_assert_uint_eq(result.versions, versions);
}

static void head_key(const char *model, char ret_key[MR_VERSION_KEY_SIZE])
{
    mr_key_head(model, ret_key);
}

static char *copy_of_head(const char *model)
{
    char key[MR_VERSION_KEY_SIZE];
    head_key(model, key);
    const struct mr_bytes head = memory_store_peek(process.service.store, key);
    return strndup((const char *)head.data, head.size);
}

static void set_head(const char *model, const char *text)
{
    char key[MR_VERSION_KEY_SIZE];
    head_key(model, key);
    memory_store_set(process.service.store, key, text);
}

/* ---- Tests --------------------------------------------------------------------------------------------------- */

START_TEST(commits_in_order)
{
    const struct mr_log_record *records[16];
    for (int n = 0; n < 4; n++) {
        produce("a", n, "");
        produce("b", n, "");
    }
    run();
    ck_assert(!process.over);
    expect_chain("a", 4);
    expect_chain("b", 4);
    ck_assert_uint_eq(committed("a", records, MR_COUNT_OF(records)), 4);
    for (int n = 0; n < 4; n++) {
        struct mr_bytes ce_id;
        char commit_id[MR_SHA256_TEXT_SIZE];
        Millrace__Version__V1__VersionCommitted *event =
            millrace__version__v1__version_committed__unpack(NULL, records[n]->value.size, records[n]->value.data);
        ck_assert_ptr_nonnull(event);
        ck_assert_uint_eq(event->version->counter, (uint64_t)n);
        ck_assert_uint_eq(event->stamp->origin->offset, (uint64_t)(10 * n + 5));
        ck_assert_int_eq(event->stamp->prev != NULL, n > 0);
        mr_hex(mr_bytes_of(event->version->commit_id.data, event->version->commit_id.len), commit_id);
        ck_assert(mr_log_header_find(records[n], "ce_id", &ce_id));
        ck_assert(mr_bytes_equal(ce_id, mr_bytes_of_text(commit_id)));
        millrace__version__v1__version_committed__free_unpacked(event, NULL);
        ck_assert(!spooled("a", n, ""));
    }
}
END_TEST

/* Rule C10. */
START_TEST(spool_stays_until_the_event_is_acknowledged)
{
    memory_broker_hold_acks(process.broker, true);
    produce("a", 0, "");
    run();
    expect_chain("a", 1);
    ck_assert_uint_eq(committed_count("a"), 1);
    ck_assert(spooled("a", 0, ""));
    memory_broker_hold_acks(process.broker, false);
    run();
    ck_assert(!spooled("a", 0, ""));
}
END_TEST

/* Rule C6: the head was moved, the event was lost with the process: the next one says the same. */
START_TEST(restart_emits_the_same_event)
{
    const struct mr_log_record *records[16];
    struct mr_buffer first = {0};
    produce("a", 0, "");
    run();
    ck_assert_uint_eq(committed("a", records, MR_COUNT_OF(records)), 1);
    ck_assert(!mr_failed(mr_buffer_append(&first, records[0]->value.data, records[0]->value.size)));
    char *head = copy_of_head("a");
    const size_t objects = memory_store_count(process.service.store);

    /* The same log without the event, and without the group's offset. */
    end();
    memory_broker_free(process.broker);
    process.broker = memory_broker_new(4);
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        memory_broker_create(process.broker, mr_topics[i], 2);
    }
    produce("a", 0, "");
    start();
    run();
    ck_assert_uint_eq(committed("a", records, MR_COUNT_OF(records)), 1);
    ck_assert(mr_bytes_equal(records[0]->value, mr_buffer_view(&first)));
    char *after = copy_of_head("a");
    ck_assert_str_eq(after, head);
    ck_assert_uint_eq(memory_store_count(process.service.store), objects);
    mr_buffer_deinit(&first);
    free(head);
    free(after);
}
END_TEST

START_TEST(a_store_that_is_down_is_waited_for)
{
    memory_store_set_faults(process.service.store, (struct memory_store_faults){.unread = 1000});
    produce("a", 0, "");
    produce("a", 1, "");
    run();
    ck_assert(!process.over);
    ck_assert_uint_eq(committed_count("a"), 0);
    memory_store_set_faults(process.service.store, (struct memory_store_faults){.lost_after = 1000});
    run(); /* every write is applied, and no answer ever comes back: reading back settles each */
    run();
    ck_assert_uint_eq(committed_count("a"), 2);
    memory_store_set_faults(process.service.store, (struct memory_store_faults){0});
    expect_chain("a", 2);
}
END_TEST

START_TEST(not_fast_forward_holds_back_its_model_only)
{
    produce("a", 0, "");
    run();
    char *old = copy_of_head("a");
    produce("a", 1, "");
    run();
    char *new = copy_of_head("a");
    set_head("a", old); /* somebody restored it */
    produce("a", 2, "");
    produce("b", 0, "");
    run();
    ck_assert(!process.over);
    ck_assert_uint_eq(committed_count("a"), 2);
    ck_assert_uint_eq(committed_count("b"), 1);
    set_head("a", new);
    run();
    ck_assert_uint_eq(committed_count("a"), 3);
    expect_chain("a", 3);
    free(old);
    free(new);
}
END_TEST

START_TEST(conflicts_are_resolved_without_a_version)
{
    produce("a", 0, "");
    run();
    end();
    memory_broker_free(process.broker);
    process.broker = memory_broker_new(4);
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        memory_broker_create(process.broker, mr_topics[i], 2);
    }
    const size_t objects = memory_store_count(process.service.store);
    produce("a", 0, "other"); /* another content at head's position */
    produce("a", 1, "other"); /* and what follows from it */
    start();
    run();
    ck_assert(!process.over);
    ck_assert_uint_eq(committed_count("a"), 0);
    ck_assert(spooled("a", 0, "other") && spooled("a", 1, "other"));
    ck_assert_uint_eq(memory_store_count(process.service.store), objects + 2);
    expect_chain("a", 1);
}
END_TEST

START_TEST(missing_head_stops_its_model_only)
{
    produce("a", 0, "");
    produce("a", 1, "");
    run();
    set_head("a", NULL);
    produce("a", 2, "");
    produce("b", 0, "");
    run();
    ck_assert(!process.over);
    ck_assert_uint_eq(committed_count("a"), 2);
    ck_assert_uint_eq(committed_count("b"), 1);
    ck_assert_ptr_null(memory_store_peek(process.service.store, "a/head.json").data);
}
END_TEST

static void expect_exit(int exit_code)
{
    run();
    ck_assert(process.over);
    ck_assert_int_eq(process.exit_code, exit_code);
}

START_TEST(a_head_of_another_log_is_refused)
{
    produce("a", 0, "");
    run();
    char *head = copy_of_head("a");
    memcpy(strstr(head, "\"log_id\":\"ab") + 10, "cd", 2);
    set_head("a", head);
    free(head);
    produce("a", 1, "");
    expect_exit(MR_EXIT_LOG);
}
END_TEST

START_TEST(a_store_that_denies_ends_the_process)
{
    memory_store_answer_next(process.service.store, "metadata.json", MR_STORE_DENIED, false);
    produce("a", 0, "");
    expect_exit(MR_EXIT_DENIED);
}
END_TEST

START_TEST(unreadable_events_stop_their_model)
{
    uint8_t value[128];
    Millrace__Common__V1__Origin origin;
    Millrace__Common__V1__Stamp stamp;
    Millrace__Checkpoint__V1__CheckpointProduced wire;
    uint8_t log_id[MR_LOG_ID_SIZE];
    millrace__common__v1__origin__init(&origin);
    millrace__common__v1__stamp__init(&stamp);
    millrace__checkpoint__v1__checkpoint_produced__init(&wire);
    memset(log_id, 0xab, sizeof log_id);
    origin.log_id = (ProtobufCBinaryData){sizeof log_id, log_id};
    origin.partition = mr_partition_of(mr_bytes_of_text("a"), 2);
    stamp.model_id = mr_wire_text("a");
    stamp.origin = &origin;
    wire.stamp = &stamp;
    wire.run_id = mr_wire_text("not a run id");
    const size_t size = millrace__checkpoint__v1__checkpoint_produced__pack(&wire, value);
    const struct mr_log_output output = {.topic = MR_TOPIC_PRODUCED,
                                         .partition = origin.partition,
                                         .has_key = true,
                                         .key = mr_bytes_of_text("a"),
                                         .has_value = true,
                                         .value = mr_bytes_of(value, size)};
    (void)memory_broker_append(process.broker, &output);
    produce("b", 0, "");
    run();
    ck_assert(!process.over);
    ck_assert_uint_eq(committed_count("b"), 1);
    ck_assert_uint_eq(committed_count("a"), 0);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, commits_in_order);
    tcase_add_test(tcase, spool_stays_until_the_event_is_acknowledged);
    tcase_add_test(tcase, restart_emits_the_same_event);
    tcase_add_test(tcase, a_store_that_is_down_is_waited_for);
    tcase_add_test(tcase, not_fast_forward_holds_back_its_model_only);
    tcase_add_test(tcase, conflicts_are_resolved_without_a_version);
    tcase_add_test(tcase, missing_head_stops_its_model_only);
    tcase_add_test(tcase, a_head_of_another_log_is_refused);
    tcase_add_test(tcase, a_store_that_denies_ends_the_process);
    tcase_add_test(tcase, unreadable_events_stop_their_model);
}

int main(void)
{
    return check_main("persist_stage", add);
}
