/* Two runs of a model in a log, two versions in a store; the versions are folded again. */
#include "check_main.h"
#include "memory_log.h"
#include "memory_store.h"
#include "replay_fold.h"
#include "submitted.h"

#include <stdio.h>
#include <string.h>

enum { PARTITION = 0, OTHER_MODEL_AT = 3 };

static struct memory_broker *broker;
static struct cli_session session;
static struct mr_store *store;
static const struct mr_engine_ops *ops;
static struct mr_engine *engine;
static struct mr_log_id log_id = {{0xab}};

/* What a version is made of, as the fold goes along. */
struct making {
    struct train_fold fold;
    struct train_chain chain;
    struct mr_version_entry last;
    uint64_t counter;
};

/* A record of the model's log behind `prev`; the value is the caller's. */
static struct mr_buffer validated(const char *model, uint64_t origin, int64_t prev, struct mr_buffer submitted)
{
    Millrace__Common__V1__Origin wire_origin;
    Millrace__Common__V1__Offset wire_prev;
    Millrace__Common__V1__Stamp stamp;
    Millrace__Batch__V1__Validated wire;
    millrace__common__v1__origin__init(&wire_origin);
    millrace__common__v1__offset__init(&wire_prev);
    millrace__common__v1__stamp__init(&stamp);
    millrace__batch__v1__validated__init(&wire);
    wire_origin.log_id = (ProtobufCBinaryData){MR_LOG_ID_SIZE, log_id.bytes};
    wire_origin.offset = origin;
    wire_prev.value = prev < 0 ? 0 : (uint64_t)prev;
    stamp.model_id = (char *)(uintptr_t)model;
    stamp.origin = &wire_origin;
    stamp.prev = prev < 0 ? NULL : &wire_prev;
    wire.stamp = &stamp;
    wire.submitted = (ProtobufCBinaryData){submitted.size, submitted.data};
    wire.precision = MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP;
    struct mr_buffer value = {0};
    const size_t size = millrace__batch__v1__validated__get_packed_size(&wire);
    ck_assert(!mr_failed(mr_buffer_reserve(&value, size)));
    value.size = millrace__batch__v1__validated__pack(&wire, value.data);
    mr_buffer_deinit(&submitted);
    return value;
}

static void append(const char *model, struct mr_bytes value)
{
    const struct mr_log_output output = {.topic = MR_TOPIC_VALIDATED,
                                         .partition = PARTITION,
                                         .has_key = true,
                                         .key = mr_bytes_of_text(model),
                                         .has_value = true,
                                         .value = value};
    (void)memory_broker_append(broker, &output);
}

static void put(const char *key, struct mr_bytes body)
{
    const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
    ck_assert_int_eq(mr_store_put(store, key, body, always).outcome, MR_STORE_DONE);
}

static void put_metadata(struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    ck_assert(!mr_failed(mr_version_encode(&entry->version, &json)));
    entry->record_hash = mr_sha256_of(mr_buffer_view(&json));
    mr_key_version("m", entry->version.version_id, "metadata.json", key);
    put(key, mr_buffer_view(&json));
    mr_buffer_deinit(&json);
}

static void put_head(const struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    const struct mr_head head = mr_head_of(&entry->version, &entry->record_hash);
    ck_assert(!mr_failed(mr_head_encode(&head, &json)));
    mr_key_head("m", key);
    put(key, mr_buffer_view(&json));
    mr_buffer_deinit(&json);
}

static void commit(struct making *making, struct train_outcome *outcome, uint64_t origin)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer bytes = {0};
    struct mr_version_entry entry = {.version = {.counter = making->counter, .position = {.offset = origin}}};
    ck_assert(!mr_failed(train_cut_seal(&outcome->cut, &making->chain, &bytes)));
    struct mr_version *version = &entry.version;
    version->content_hash = making->chain.last;
    version->size = bytes.size;
    version->semantic_version = mr_semver_genesis();
    version->semantic_version.patch = making->counter;
    version->step = outcome->step;
    memcpy(version->position.log_id, log_id.bytes, MR_LOG_ID_SIZE);
    (void)snprintf(version->model_id, sizeof version->model_id, "m");
    (void)snprintf(version->run_id, sizeof version->run_id, "r%llu", (unsigned long long)making->counter);
    (void)snprintf(version->arithmetic_profile, sizeof version->arithmetic_profile, MR_PROFILE_NAME);
    version->has_parent = making->counter > 0;
    version->parent_record_hash = making->last.record_hash;
    memcpy(version->parent_version_id, making->last.version.version_id, sizeof version->parent_version_id);
    mr_version_id(version->counter, &version->content_hash, version->version_id);
    ck_assert(!mr_failed(mr_commit_id(version, &version->commit_id)));
    mr_key_version("m", version->version_id, "checkpoint.pb", key);
    put(key, mr_buffer_view(&bytes));
    put_metadata(&entry);
    put_head(&entry);
    mr_buffer_deinit(&bytes);
    making->last = entry;
    making->counter++;
}

/* Into the log, into the fold, and into the store when a checkpoint is due. */
static void make(struct making *making, uint64_t origin, int64_t prev, struct mr_buffer submitted)
{
    struct mr_buffer value = validated("m", origin, prev, submitted);
    struct train_outcome outcome = {0};
    append("m", mr_buffer_view(&value));
    ck_assert(!mr_failed(train_fold_validated(&making->fold, &making->chain, store, mr_buffer_view(&value), &outcome)));
    if (outcome.has_cut) {
        commit(making, &outcome, origin);
    }
    train_outcome_deinit(&outcome);
    mr_buffer_deinit(&value);
}

/* Origins 0 to 2 make version 0, 4 to 6 version 1; 3 is another model's. */
static void make_versions(void)
{
    struct making making = {.counter = 0};
    train_fold_init(&making.fold, ops, engine, "m");
    const char *spec = SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP);
    make(&making, 0, -1, submitted_start("r0", "m", spec));
    make(&making, 1, 0, submitted_batch("r0", "m", "", "\"sobol_range\":{\"start\":0,\"count\":4}"));
    make(&making, 2, 1, submitted_stop("r0", "m"));
    struct mr_buffer other = validated("o", OTHER_MODEL_AT, -1, submitted_start("r0", "o", spec));
    append("o", mr_buffer_view(&other));
    mr_buffer_deinit(&other);
    make(&making, 4, 2, submitted_start("r1", "m", spec));
    make(&making, 5, 4, submitted_batch("r1", "m", "", "\"sobol_range\":{\"start\":4,\"count\":4}"));
    make(&making, 6, 5, submitted_stop("r1", "m"));
    ck_assert_uint_eq(making.counter, 2);
    train_fold_deinit(&making.fold);
}

static void begin(void)
{
    broker = memory_broker_new(1);
    memory_broker_create(broker, MR_TOPIC_VALIDATED, 1);
    session = (struct cli_session){.log = memory_log_new(broker, NULL, MR_LOG_ASSIGN),
                                   .deployment = {.log_id = log_id, .partitions = 1}};
    store = memory_store_new(1);
    const struct mr_engine_options options = {.device = "cpu", .threads = 1};
    ck_assert(!mr_failed(mr_engine_select("cpu", &ops)));
    ck_assert(!mr_failed(ops->open(&options, &engine)));
    make_versions();
}

static void end(void)
{
    ops->close(engine);
    mr_store_close(store);
    cli_session_close(&session);
    memory_broker_free(broker);
}

static struct replay replay_of(uint64_t counter, bool from_parent)
{
    return (struct replay){.session = &session,
                           .store = store,
                           .ops = ops,
                           .engine = engine,
                           .model_id = "m",
                           .choice = {.kind = MR_VERSION_COUNTER, .counter = counter},
                           .from_parent = from_parent};
}

START_TEST(every_version_is_its_own_again)
{
    static const struct {
        uint64_t counter;
        bool from_parent;
        uint64_t records;
    } cases[] = {{0, true, 3}, {0, false, 3}, {1, true, 3}, {1, false, 6}};
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct replay replay = replay_of(cases[i].counter, cases[i].from_parent);
        const struct mr_error error = replay_run(&replay);
        ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
        ck_assert_msg(replay_equal(&replay), "case %zu", i);
        ck_assert_uint_eq(replay.records, cases[i].records);
        ck_assert_int_eq(replay.has_base, cases[i].counter > 0 && cases[i].from_parent);
        replay_deinit(&replay);
    }
}
END_TEST

START_TEST(a_shortened_log_is_a_gap_that_is_named)
{
    memory_broker_expire(broker, MR_TOPIC_VALIDATED, PARTITION, 1);
    struct replay from_genesis = replay_of(1, false);
    const struct mr_error gap = replay_run(&from_genesis);
    ck_assert_str_eq(gap.code, "log_gap");
    ck_assert_msg(strstr(gap.detail, "record 0 ") != NULL, "%s", gap.detail);
    ck_assert(!replay_equal(&from_genesis));
    replay_deinit(&from_genesis);
    /* What the parent's checkpoint has folded in is not needed. */
    struct replay from_parent = replay_of(1, true);
    ck_assert(!mr_failed(replay_run(&from_parent)));
    ck_assert(replay_equal(&from_parent));
    replay_deinit(&from_parent);
    /* With the first record behind the parent gone, it is. */
    memory_broker_expire(broker, MR_TOPIC_VALIDATED, PARTITION, 5);
    struct replay again = replay_of(1, true);
    const struct mr_error second = replay_run(&again);
    ck_assert_str_eq(second.code, "log_gap");
    ck_assert_msg(strstr(second.detail, "record 4 ") != NULL, "%s", second.detail);
    replay_deinit(&again);
}
END_TEST

START_TEST(an_empty_log_has_lost_the_version)
{
    memory_broker_expire(broker, MR_TOPIC_VALIDATED, PARTITION, 7);
    struct replay replay = replay_of(1, true);
    const struct mr_error error = replay_run(&replay);
    ck_assert_str_eq(error.code, "log_gap");
    ck_assert_msg(strstr(error.detail, "record 6 ") != NULL, "%s", error.detail);
    replay_deinit(&replay);
}
END_TEST

START_TEST(another_log_is_refused)
{
    session.deployment.log_id.bytes[0] = 1;
    struct replay replay = replay_of(1, true);
    ck_assert_str_eq(replay_run(&replay).code, "log_discontinuity");
    ck_assert_uint_eq(replay.records, 0);
    replay_deinit(&replay);
}
END_TEST

/* The same log with another batch in it gives other bytes. */
START_TEST(another_batch_is_not_equal)
{
    struct memory_broker *const real = broker;
    struct mr_log *const real_log = session.log;
    broker = memory_broker_new(1);
    memory_broker_create(broker, MR_TOPIC_VALIDATED, 1);
    session.log = memory_log_new(broker, NULL, MR_LOG_ASSIGN);
    const char *spec = SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP);
    struct mr_buffer values[] = {
        validated("m", 0, -1, submitted_start("r0", "m", spec)),
        validated("m", 1, 0, submitted_batch("r0", "m", "", "\"sobol_range\":{\"start\":8,\"count\":4}")),
        validated("m", 2, 1, submitted_stop("r0", "m")),
    };
    for (size_t i = 0; i < MR_COUNT_OF(values); i++) {
        append("m", mr_buffer_view(&values[i]));
        mr_buffer_deinit(&values[i]);
    }
    struct replay replay = replay_of(0, true);
    ck_assert(!mr_failed(replay_run(&replay)));
    ck_assert(replay.has_hash);
    ck_assert(!replay_equal(&replay));
    replay_deinit(&replay);
    real_log->ops->close(real_log);
    memory_broker_free(real);
}
END_TEST

START_TEST(an_unknown_version_is_not_found)
{
    struct replay replay = replay_of(9, true);
    ck_assert_str_eq(replay_run(&replay).code, "not_found");
    replay_deinit(&replay);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, every_version_is_its_own_again);
    tcase_add_test(tcase, a_shortened_log_is_a_gap_that_is_named);
    tcase_add_test(tcase, an_empty_log_has_lost_the_version);
    tcase_add_test(tcase, another_log_is_refused);
    tcase_add_test(tcase, another_batch_is_not_equal);
    tcase_add_test(tcase, an_unknown_version_is_not_found);
}

int main(void)
{
    return check_main("cli_replay", add);
}
