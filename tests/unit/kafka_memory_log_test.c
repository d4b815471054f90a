/* The record log in memory keeps the promises of millrace/log.h that tests of the stage loop rest on. */
#include "check_main.h"
#include "memory_log.h"

static struct memory_broker *memory;
static struct mr_log *log_;

static void open_memory(void)
{
    memory = memory_broker_new(7);
    memory_broker_create(memory, "t", 2);
    log_ = memory_log_new(memory, "g", MR_LOG_SUBSCRIBE);
}
static void close_memory(void)
{
    log_->ops->close(log_);
    memory_broker_free(memory);
}

static struct mr_error produce(uint32_t partition, uint64_t token)
{
    const struct mr_log_output output = {.topic = "t",
                                         .partition = partition,
                                         .has_value = true,
                                         .value = mr_bytes_of(&token, sizeof token),
                                         .token = token};
    return log_->ops->produce(log_, &output);
}
static void append(uint32_t partition, size_t count)
{
    const struct mr_log_output output = {.topic = "t", .partition = partition, .has_key = true};
    for (size_t i = 0; i < count; i++) {
        (void)memory_broker_append(memory, &output);
    }
}
static struct mr_log_event expect(enum mr_log_event_kind kind)
{
    const struct mr_log_event event = log_->ops->poll(log_, 0);
    ck_assert_int_eq(event.kind, kind);
    return event;
}
static void expect_record(uint32_t partition, uint64_t offset)
{
    const struct mr_log_event event = expect(MR_LOG_EVENT_RECORD);
    ck_assert_uint_eq(event.of.record.view.partition, partition);
    ck_assert_uint_eq(event.of.record.view.offset, offset);
    ck_assert_uint_eq(memory_log_held(log_), 1);
    log_->ops->record_free(log_, event.of.record.held);
}

START_TEST(deliveries_come_in_order)
{
    ck_assert(!mr_failed(produce(0, 1)) && !mr_failed(produce(1, 2)) && !mr_failed(produce(0, 3)));
    ck_assert_uint_eq(log_->ops->in_flight(log_), 3);
    ck_assert_uint_eq(memory_broker_high(memory, "t", 0), 0);
    const uint64_t offsets[] = {0, 0, 1};
    for (uint64_t i = 0; i < 3; i++) {
        const struct mr_log_event event = expect(MR_LOG_EVENT_DELIVERED);
        ck_assert_uint_eq(event.of.delivered.token, i + 1);
        ck_assert_uint_eq(event.of.delivered.offset, offsets[i]);
    }
    expect(MR_LOG_EVENT_QUIET);
    ck_assert_uint_eq(log_->ops->in_flight(log_), 0);
}
END_TEST

START_TEST(acknowledgements_and_writes_can_wait)
{
    memory_broker_hold_acks(memory, true);
    ck_assert(!mr_failed(produce(0, 1)) && !mr_failed(produce(0, 2)));
    expect(MR_LOG_EVENT_QUIET);
    ck_assert_uint_eq(memory_broker_high(memory, "t", 0), 2);
    memory_broker_release_acks(memory, 1);
    ck_assert_uint_eq(expect(MR_LOG_EVENT_DELIVERED).of.delivered.token, 1);
    expect(MR_LOG_EVENT_QUIET);
    memory_broker_hold_writes(memory, true);
    ck_assert(!mr_failed(produce(0, 3)));
    memory_broker_hold_acks(memory, false);
    ck_assert_uint_eq(expect(MR_LOG_EVENT_DELIVERED).of.delivered.token, 2);
    expect(MR_LOG_EVENT_QUIET);
    ck_assert_uint_eq(memory_broker_high(memory, "t", 0), 2);
    memory_broker_hold_writes(memory, false);
    ck_assert_uint_eq(expect(MR_LOG_EVENT_DELIVERED).of.delivered.token, 3);
}
END_TEST

START_TEST(nothing_follows_a_failure_in_its_partition)
{
    memory_broker_fail_next(memory, "t");
    ck_assert(!mr_failed(produce(0, 1)) && !mr_failed(produce(1, 2)) && !mr_failed(produce(0, 3)));
    ck_assert_uint_eq(expect(MR_LOG_EVENT_DELIVERY_FAILED).of.delivery_failed.token, 1);
    ck_assert_uint_eq(expect(MR_LOG_EVENT_DELIVERED).of.delivered.token, 2);
    ck_assert_uint_eq(expect(MR_LOG_EVENT_DELIVERY_FAILED).of.delivery_failed.token, 3);
    ck_assert(!mr_failed(produce(0, 4)));
    ck_assert_uint_eq(expect(MR_LOG_EVENT_DELIVERY_FAILED).of.delivery_failed.token, 4);
    ck_assert_uint_eq(memory_broker_high(memory, "t", 0), 0);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
    memory_broker_set_queue_max(memory, 1);
    ck_assert(!mr_failed(produce(0, 1)));
    ck_assert_str_eq(produce(0, 2).code, "queue_full");
    expect(MR_LOG_EVENT_DELIVERED);
    ck_assert(!mr_failed(produce(0, 3)));
}
END_TEST

START_TEST(fetching_takes_turns_pauses_and_moves)
{
    append(0, 3);
    append(1, 2);
    ck_assert(!mr_failed(log_->ops->fetch(log_, "t", 0, MR_LOG_OFFSET_COMMITTED)));
    ck_assert(!mr_failed(log_->ops->fetch(log_, "t", 1, 1)));
    expect_record(1, 1);
    expect_record(0, 0);
    ck_assert(!mr_failed(log_->ops->pause(log_, "t", 0)));
    expect(MR_LOG_EVENT_QUIET);
    ck_assert(!mr_failed(log_->ops->fetch(log_, "t", 1, 0)));
    expect_record(1, 0);
    expect_record(1, 1);
    ck_assert(!mr_failed(log_->ops->resume(log_, "t", 0)));
    expect_record(0, 1);
    ck_assert_str_eq(log_->ops->fetch(log_, "t", 2, 0).code, "unknown_topic");
}
END_TEST

START_TEST(expired_offsets_are_gone_once)
{
    append(0, 5);
    memory_broker_expire(memory, "t", 0, 3);
    ck_assert(!mr_failed(log_->ops->fetch(log_, "t", 0, 2)));
    expect(MR_LOG_EVENT_OFFSET_GONE);
    expect(MR_LOG_EVENT_QUIET);
    ck_assert(!mr_failed(log_->ops->fetch(log_, "t", 0, MR_LOG_OFFSET_COMMITTED)));
    expect_record(0, 3);
    struct mr_log_reader *reader = NULL;
    struct mr_log_record record;
    bool some = false;
    ck_assert(!mr_failed(log_->ops->reader_open(log_, "t", 0, 0, &reader)));
    ck_assert_str_eq(log_->ops->reader_next(log_, reader, 0, &some, &record).code, "offset_gone");
    ck_assert(!mr_failed(log_->ops->reader_seek(log_, reader, 4)));
    ck_assert(!mr_failed(log_->ops->reader_next(log_, reader, 0, &some, &record)));
    ck_assert(some && record.offset == 4);
    ck_assert(!mr_failed(log_->ops->reader_next(log_, reader, 0, &some, &record)));
    ck_assert(!some);
    log_->ops->reader_close(log_, reader);
}
END_TEST

START_TEST(a_revocation_holds_until_it_is_released)
{
    const uint32_t both[] = {0, 1}, one[] = {1};
    append(0, 2);
    memory_log_assign(log_, both, 2);
    ck_assert_uint_eq(expect(MR_LOG_EVENT_ASSIGNED).of.assigned.count, 2);
    ck_assert(!mr_failed(log_->ops->fetch(log_, "t", 0, 0)));
    memory_log_revoke(log_);
    expect(MR_LOG_EVENT_REVOKED);
    memory_log_assign(log_, one, 1);
    ck_assert(memory_log_revoking(log_));
    expect(MR_LOG_EVENT_QUIET);
    log_->ops->released(log_);
    ck_assert_uint_eq(expect(MR_LOG_EVENT_ASSIGNED).of.assigned.partitions[0], 1);
    expect(MR_LOG_EVENT_QUIET);
    ck_assert(memory_log_paused(log_, "t", 0));
}
END_TEST

START_TEST(offsets_are_the_groups)
{
    bool some = true;
    uint64_t next = 0;
    ck_assert(!mr_failed(log_->ops->committed(log_, "t", 0, &some, &next)) && !some);
    ck_assert(!mr_failed(log_->ops->commit(log_, "t", 0, 2)));
    memory_broker_fail_commits(memory, 1);
    ck_assert(!mr_failed(log_->ops->commit(log_, "t", 0, 3)));
    expect(MR_LOG_EVENT_COMMIT_FAILED);
    struct mr_log *const other = memory_log_new(memory, "g", MR_LOG_ASSIGN);
    ck_assert(!mr_failed(other->ops->committed(other, "t", 0, &some, &next)));
    ck_assert(some && next == 2);
    other->ops->close(other);
}
END_TEST

START_TEST(down_is_told_once_and_nothing_moves)
{
    append(0, 1);
    ck_assert(!mr_failed(log_->ops->fetch(log_, "t", 0, 0)));
    memory_broker_set_down(memory, true);
    ck_assert(!mr_failed(produce(1, 1)));
    expect(MR_LOG_EVENT_DOWN);
    expect(MR_LOG_EVENT_QUIET);
    uint64_t low, high;
    ck_assert_int_eq(log_->ops->watermarks(log_, "t", 0, &low, &high).kind, MR_ERROR_TRANSIENT);
    memory_broker_set_down(memory, false);
    expect(MR_LOG_EVENT_UP);
    expect(MR_LOG_EVENT_DELIVERED);
    expect_record(0, 0);
}
END_TEST

/* What a crash leaves: a prefix of each partition, and over many seeds every one. */
START_TEST(a_crash_leaves_any_prefix)
{
    bool left[4] = {false};
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct memory_broker *const broker = memory_broker_new(seed);
        memory_broker_create(broker, "t", 1);
        struct mr_log *const log = memory_log_new(broker, NULL, MR_LOG_ASSIGN);
        for (uint64_t i = 0; i < 3; i++) {
            const struct mr_log_output output = {
                .topic = "t", .has_value = true, .value = mr_bytes_of(&i, sizeof i), .token = i};
            ck_assert(!mr_failed(log->ops->produce(log, &output)));
        }
        log->ops->close(log);
        const uint64_t high = memory_broker_high(broker, "t", 0);
        ck_assert_uint_le(high, 3);
        left[high] = true;
        for (uint64_t i = 0; i < high; i++) {
            ck_assert(mr_bytes_equal(memory_broker_record(broker, "t", 0, i)->value, mr_bytes_of(&i, sizeof i)));
        }
        memory_broker_free(broker);
    }
    ck_assert(left[0] && left[1] && left[2] && left[3]);
}
END_TEST

START_TEST(shuffled_acknowledgements_keep_each_partitions_order)
{
    memory_broker_shuffle(memory, true);
    for (uint64_t i = 0; i < 40; i++) {
        ck_assert(!mr_failed(produce(i % 2, i)));
    }
    uint64_t next[2] = {0, 1}, sequence = 0;
    for (uint64_t i = 0; i < 40; i++) {
        const uint64_t token = expect(MR_LOG_EVENT_DELIVERED).of.delivered.token;
        ck_assert_uint_eq(token, next[token % 2]);
        next[token % 2] += 2;
        sequence += token == i ? 1 : 0;
    }
    ck_assert_uint_lt(sequence, 40); /* and it was shuffled */
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, open_memory, close_memory);
    tcase_add_test(tests, deliveries_come_in_order);
    tcase_add_test(tests, acknowledgements_and_writes_can_wait);
    tcase_add_test(tests, nothing_follows_a_failure_in_its_partition);
    tcase_add_test(tests, the_queue_is_bounded);
    tcase_add_test(tests, fetching_takes_turns_pauses_and_moves);
    tcase_add_test(tests, expired_offsets_are_gone_once);
    tcase_add_test(tests, a_revocation_holds_until_it_is_released);
    tcase_add_test(tests, offsets_are_the_groups);
    tcase_add_test(tests, down_is_told_once_and_nothing_moves);
    tcase_add_test(tests, a_crash_leaves_any_prefix);
    tcase_add_test(tests, shuffled_acknowledgements_keep_each_partitions_order);
}

int main(void)
{
    return check_main("kafka_memory_log", add);
}
