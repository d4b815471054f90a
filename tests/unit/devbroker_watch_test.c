#include "check_main.h"
#include "watch.h"

static const struct mr_log_header headers[] = {{"ce_id", {(const uint8_t *)"1234", 4}}};

START_TEST(a_weight_is_never_below_the_wire_format)
{
    /* Record batch v2: 61 bytes; a record of small numbers: 7 bytes beside key, value and headers; a header: 2. */
    struct mr_log_record record = {.topic = "t", .key = mr_bytes_of_text("key"), .value = mr_bytes_of_text("value")};
    ck_assert_uint_ge(devbroker_weight_bytes(&record), 61 + 7 + 3 + 5);
    const uint64_t bare = devbroker_weight_bytes(&record);
    record.headers = headers;
    record.header_count = 1;
    ck_assert_uint_ge(devbroker_weight_bytes(&record), bare + 2 + 5 + 4);
    const uint64_t small = devbroker_weight_bytes(&record);
    record.value.size = 1000000; /* never read */
    ck_assert_uint_eq(devbroker_weight_bytes(&record), small + 1000000 - 5);
}
END_TEST

START_TEST(loads_are_of_each_partition)
{
    struct devbroker_watch watch = {0};
    ck_assert(!devbroker_watch_knows(&watch, "a"));
    ck_assert(!mr_failed(devbroker_watch_topic(&watch, "a", 2)));
    ck_assert(!mr_failed(devbroker_watch_topic(&watch, "b", 1)));
    ck_assert(devbroker_watch_knows(&watch, "a") && devbroker_watch_knows(&watch, "b"));
    struct mr_log_record record = {.topic = "a", .partition = 1, .value = mr_bytes_of_text("x")};
    const uint64_t weight = devbroker_weight_bytes(&record);
    (void)devbroker_watch_add(&watch, &record);
    struct devbroker_load load = devbroker_watch_add(&watch, &record);
    ck_assert_uint_eq(load.records, 2);
    ck_assert_uint_eq(load.bytes, 2 * weight);
    record.partition = 0;
    ck_assert_uint_eq(devbroker_watch_add(&watch, &record).records, 1);
    record.topic = "b";
    ck_assert_uint_eq(devbroker_watch_add(&watch, &record).records, 1);
    devbroker_watch_deinit(&watch);
    ck_assert(!devbroker_watch_knows(&watch, "a"));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_weight_is_never_below_the_wire_format);
    tcase_add_test(tests, loads_are_of_each_partition);
}

int main(void)
{
    return check_main("devbroker_watch", add);
}
