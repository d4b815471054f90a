/* millrace-devbroker as a process: what it starts with, and how it ends. */
#include "check_main.h"
#include "dev_broker.h"
#include "log_events.h"

#include "millrace/config.h"
#include "millrace/topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dev_broker broker;

static struct mr_log *open_log(void)
{
    const struct mr_log_kafka_config config = dev_broker_config(&broker, NULL);
    struct mr_log *log = NULL;
    ck_assert(!mr_failed(mr_log_kafka_open(&config, &log)));
    return log;
}

START_TEST(it_has_every_topic_and_a_deployment)
{
    dev_broker_start(&broker, DEVBROKER_PROGRAM, "--partitions=3",
                     "--adopt=000102030405060708090a0b0c0d0e0f,ffffffffffffffffffffffffffffffff", NULL);
    struct mr_log *const log = open_log();
    struct mr_deployment deployment;
    const struct mr_error error = mr_deployment_read(log, &deployment);
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
    ck_assert_uint_eq(deployment.partitions, 3);
    ck_assert_uint_eq(deployment.predecessor_count, 2);
    ck_assert_uint_eq(deployment.predecessors[0].bytes[15], 0x0f);
    ck_assert_uint_eq(deployment.predecessors[1].bytes[0], 0xff);
    size_t place = 9;
    ck_assert(mr_deployment_place(&deployment, &deployment.log_id, &place) && place == 2);
    log->ops->close(log);
    ck_assert(dev_broker_said(&broker, "volatile"));
    ck_assert_int_eq(dev_broker_stop(&broker), MR_EXIT_OK);
    dev_broker_forget(&broker);
}
END_TEST

START_TEST(two_brokers_have_two_log_ids)
{
    struct mr_deployment deployments[2];
    for (size_t i = 0; i < 2; i++) {
        dev_broker_start(&broker, DEVBROKER_PROGRAM, NULL);
        struct mr_log *const log = open_log();
        ck_assert(!mr_failed(mr_deployment_read(log, &deployments[i])));
        log->ops->close(log);
        ck_assert_int_eq(dev_broker_stop(&broker), MR_EXIT_OK);
        dev_broker_forget(&broker);
    }
    size_t place;
    ck_assert(!mr_deployment_place(&deployments[0], &deployments[1].log_id, &place));
}
END_TEST

START_TEST(clients_can_tell_what_it_is)
{
    dev_broker_start(&broker, DEVBROKER_PROGRAM, NULL);
    bool is = false;
    ck_assert(!mr_failed(mr_log_kafka_is_development(broker.address, NULL, 30000, &is)));
    ck_assert(is);
    ck_assert_int_eq(dev_broker_stop(&broker), MR_EXIT_OK);
    const struct mr_error error = mr_log_kafka_is_development(broker.address, NULL, 300, &is);
    ck_assert_int_eq(error.kind, MR_ERROR_TRANSIENT);
    dev_broker_forget(&broker);
}
END_TEST

START_TEST(a_port_can_be_chosen_and_is_not_shared)
{
    struct dev_broker second;
    char port[32];
    dev_broker_start(&broker, DEVBROKER_PROGRAM, NULL);
    (void)snprintf(port, sizeof port, "--port=%s", strchr(broker.address, ':') + 1);
    ck_assert_int_eq(dev_broker_try(&second, DEVBROKER_PROGRAM, port, NULL), MR_EXIT_UNAVAILABLE);
    ck_assert(dev_broker_said(&second, "port_in_use"));
    dev_broker_forget(&second);
    ck_assert_int_eq(dev_broker_stop(&broker), MR_EXIT_OK);
    dev_broker_forget(&broker);
    dev_broker_start(&second, DEVBROKER_PROGRAM, port, NULL);
    ck_assert_str_eq(second.address, broker.address);
    ck_assert_int_eq(dev_broker_stop(&second), MR_EXIT_OK);
    dev_broker_forget(&second);
}
END_TEST

/* Writes until the broker ends; what cannot be delivered any more is dropped by close. */
static void write_until_it_ends(const char *topic, uint32_t partition)
{
    struct mr_log *const log = open_log();
    uint8_t bytes[1000] = {0};
    const struct mr_log_output output = {
        .topic = topic, .partition = partition, .has_value = true, .value = mr_bytes_of(bytes, sizeof bytes)};
    for (bool up = true; up;) {
        ck_assert(!mr_failed(log->ops->produce(log, &output)));
        while (up && log->ops->in_flight(log) > 0) {
            up = log->ops->poll(log, 100).kind != MR_LOG_EVENT_DOWN;
        }
    }
    log->ops->close(log);
}

START_TEST(it_stops_before_it_would_drop_bytes)
{
    dev_broker_start(&broker, DEVBROKER_PROGRAM, "--stop-bytes=20000", NULL);
    write_until_it_ends(MR_TOPIC_STAGED, 2);
    ck_assert_int_eq(dev_broker_wait(&broker), MR_EXIT_RETRY);
    ck_assert(
        dev_broker_said(&broker, "\"decision\":\"PartitionFull\",\"topic\":\"" MR_TOPIC_STAGED "\",\"partition\":2"));
    dev_broker_forget(&broker);
}
END_TEST

START_TEST(it_stops_before_it_would_drop_batches)
{
    dev_broker_start(&broker, DEVBROKER_PROGRAM, "--stop-records=7", NULL);
    write_until_it_ends(MR_TOPIC_METRICS, 0);
    ck_assert_int_eq(dev_broker_wait(&broker), MR_EXIT_RETRY);
    ck_assert(dev_broker_said(&broker, "\"records\":8"));
    dev_broker_forget(&broker);
}
END_TEST

static void expect_usage(const char *option)
{
    ck_assert_int_eq(dev_broker_try(&broker, DEVBROKER_PROGRAM, option, NULL), MR_EXIT_USAGE);
    dev_broker_forget(&broker);
}

START_TEST(bad_options_are_refused)
{
    expect_usage("--partitions=0");
    expect_usage("--stop-bytes=5242880"); /* the mock drops there */
    expect_usage("--adopt=00010203");
    expect_usage("--adopt=000102030405060708090a0b0c0d0e0f,zz");
}
END_TEST

static void add(TCase *tests)
{
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, it_has_every_topic_and_a_deployment);
    tcase_add_test(tests, two_brokers_have_two_log_ids);
    tcase_add_test(tests, clients_can_tell_what_it_is);
    tcase_add_test(tests, a_port_can_be_chosen_and_is_not_shared);
    tcase_add_test(tests, it_stops_before_it_would_drop_bytes);
    tcase_add_test(tests, it_stops_before_it_would_drop_batches);
    tcase_add_test(tests, bad_options_are_refused);
}

int main(void)
{
    return check_main("devbroker", add);
}
