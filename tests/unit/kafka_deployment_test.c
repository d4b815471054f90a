#include "check_main.h"
#include "memory_log.h"

#include "millrace/topics.h"

#include <string.h>

static struct memory_broker *memory;
static struct mr_log *log_;

static void open_memory(void)
{
    memory = memory_broker_new(1);
    log_ = memory_log_new(memory, NULL, MR_LOG_ASSIGN);
}
static void close_memory(void)
{
    log_->ops->close(log_);
    memory_broker_free(memory);
}

static struct mr_deployment example(void)
{
    struct mr_deployment d = {.partitions = 2, .predecessor_count = MR_PREDECESSORS_MAX};
    memset(d.log_id.bytes, 0xab, MR_LOG_ID_SIZE);
    for (size_t i = 0; i < MR_PREDECESSORS_MAX; i++) {
        memset(d.predecessors[i].bytes, (int)i, MR_LOG_ID_SIZE);
    }
    return d;
}

static void append(const struct mr_deployment *deployment, enum mr_deployment_record kind)
{
    ck_assert(!mr_failed(mr_deployment_append(log_, deployment, kind, 1000)));
}

static uint8_t log_id_found(void)
{
    struct mr_deployment got;
    ck_assert(!mr_failed(mr_deployment_read(log_, &got)));
    return got.log_id.bytes[0];
}

static void create_all(uint32_t partitions)
{
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        memory_broker_create(memory, mr_topics[i], partitions);
    }
}

static void refused(struct mr_error error, enum mr_error_class kind, const char *code)
{
    ck_assert_int_eq(error.kind, kind);
    ck_assert_str_eq(error.code, code);
}

START_TEST(a_record_survives_its_encoding)
{
    const struct mr_deployment given = example();
    struct mr_buffer value = {0};
    ck_assert(!mr_failed(mr_buffer_append(&value, "before", 6)));
    ck_assert(!mr_failed(mr_deployment_encode(&given, &value)));
    struct mr_deployment got;
    ck_assert(!mr_failed(mr_deployment_decode(mr_bytes_of(value.data + 6, value.size - 6), &got)));
    ck_assert_mem_eq(got.log_id.bytes, given.log_id.bytes, MR_LOG_ID_SIZE);
    ck_assert_uint_eq(got.partitions, 2);
    ck_assert_uint_eq(got.predecessor_count, MR_PREDECESSORS_MAX);
    ck_assert_mem_eq(got.predecessors, given.predecessors, sizeof got.predecessors);
    mr_buffer_deinit(&value);
}
END_TEST

START_TEST(what_is_no_deployment_is_refused)
{
    struct mr_deployment got = {.partitions = 77};
    refused(mr_deployment_decode(mr_bytes_of_text("garbage"), &got), MR_ERROR_REJECT, "bad_deployment");
    refused(mr_deployment_decode(mr_bytes_of_text(""), &got), MR_ERROR_REJECT, "bad_deployment");
    refused(mr_deployment_decode(mr_bytes_of("\x0a\x02\x01\x02\x10\x04", 6), &got), MR_ERROR_REJECT, "bad_deployment");
    ck_assert_uint_eq(got.partitions, 77);
}
END_TEST

START_TEST(places_are_in_order_of_age)
{
    const struct mr_deployment d = example();
    struct mr_log_id id = d.predecessors[3];
    size_t place = 0;
    ck_assert(mr_deployment_place(&d, &id, &place) && place == 3);
    ck_assert(mr_deployment_place(&d, &d.log_id, &place) && place == MR_PREDECESSORS_MAX);
    id.bytes[7] ^= 1;
    ck_assert(!mr_deployment_place(&d, &id, &place));
}
END_TEST

/* Two creators at once, or one whose record was late: all of them must find the same. */
START_TEST(of_creations_the_first_counts)
{
    create_all(2);
    memory_broker_create(memory, MR_TOPIC_DEPLOYMENT, 1);
    struct mr_deployment d = example();
    append(&d, MR_DEPLOYMENT_CREATED);
    memset(d.log_id.bytes, 0xcd, MR_LOG_ID_SIZE);
    append(&d, MR_DEPLOYMENT_CREATED);
    ck_assert_uint_eq(log_id_found(), 0xab);
}
END_TEST

START_TEST(of_replacements_the_last_counts)
{
    create_all(2);
    memory_broker_create(memory, MR_TOPIC_DEPLOYMENT, 1);
    struct mr_deployment d = example();
    append(&d, MR_DEPLOYMENT_CREATED);
    memset(d.log_id.bytes, 0xcd, MR_LOG_ID_SIZE);
    append(&d, MR_DEPLOYMENT_REPLACED);
    memset(d.log_id.bytes, 0xef, MR_LOG_ID_SIZE);
    append(&d, MR_DEPLOYMENT_REPLACED);
    memset(d.log_id.bytes, 0x12, MR_LOG_ID_SIZE);
    append(&d, MR_DEPLOYMENT_CREATED);
    ck_assert_uint_eq(log_id_found(), 0xef);
}
END_TEST

/* Compaction keeps the last record of each key, so no creation may have the key of another. */
START_TEST(compaction_keeps_every_creation)
{
    memory_broker_create(memory, MR_TOPIC_DEPLOYMENT, 1);
    struct mr_deployment d = example();
    append(&d, MR_DEPLOYMENT_CREATED);
    memset(d.log_id.bytes, 0xcd, MR_LOG_ID_SIZE);
    append(&d, MR_DEPLOYMENT_CREATED);
    append(&d, MR_DEPLOYMENT_REPLACED);
    static const char *const keys[] = {"abababababababababababababababab", "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
                                       "deployment"};
    struct mr_log_reader *reader;
    ck_assert(!mr_failed(log_->ops->reader_open(log_, MR_TOPIC_DEPLOYMENT, 0, 0, &reader)));
    for (size_t i = 0; i < MR_COUNT_OF(keys); i++) {
        struct mr_log_record record;
        bool some;
        ck_assert(!mr_failed(log_->ops->reader_next(log_, reader, 1000, &some, &record)));
        ck_assert(some && record.has_key && mr_bytes_equal(record.key, mr_bytes_of_text(keys[i])));
    }
    log_->ops->reader_close(log_, reader);
}
END_TEST

START_TEST(a_record_that_is_not_acknowledged_is_unknown)
{
    memory_broker_create(memory, MR_TOPIC_DEPLOYMENT, 1);
    memory_broker_set_down(memory, true);
    const struct mr_deployment d = example();
    ck_assert_int_eq(mr_deployment_append(log_, &d, MR_DEPLOYMENT_CREATED, 100).kind, MR_ERROR_UNKNOWN);
}
END_TEST

START_TEST(a_log_without_a_deployment_is_refused)
{
    struct mr_deployment got;
    refused(mr_deployment_read(log_, &got), MR_ERROR_REJECT, "no_deployment");
    create_all(2);
    memory_broker_create(memory, MR_TOPIC_DEPLOYMENT, 1);
    refused(mr_deployment_read(log_, &got), MR_ERROR_REJECT, "no_deployment");
    memory_broker_set_down(memory, true);
    ck_assert_int_eq(mr_deployment_read(log_, &got).kind, MR_ERROR_TRANSIENT);
}
END_TEST

START_TEST(another_number_of_partitions_is_refused)
{
    create_all(3);
    memory_broker_create(memory, MR_TOPIC_DEPLOYMENT, 1);
    const struct mr_deployment d = example();
    append(&d, MR_DEPLOYMENT_CREATED);
    struct mr_deployment got;
    refused(mr_deployment_read(log_, &got), MR_ERROR_REJECT, "log_discontinuity");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, open_memory, close_memory);
    tcase_add_test(tests, a_record_survives_its_encoding);
    tcase_add_test(tests, what_is_no_deployment_is_refused);
    tcase_add_test(tests, places_are_in_order_of_age);
    tcase_add_test(tests, of_creations_the_first_counts);
    tcase_add_test(tests, of_replacements_the_last_counts);
    tcase_add_test(tests, compaction_keeps_every_creation);
    tcase_add_test(tests, a_record_that_is_not_acknowledged_is_unknown);
    tcase_add_test(tests, a_log_without_a_deployment_is_refused);
    tcase_add_test(tests, another_number_of_partitions_is_refused);
}

int main(void)
{
    return check_main("kafka_deployment", add);
}
