/* What Millrace's topics should be, and how differences are told. */
#include "check_main.h"

#include "millrace/topics_create.h"

#include <string.h>

enum { DEPLOYMENT = MR_TOPICS_COUNT - 1 };

static const struct mr_topics_plan plan = {
    .partitions = 6, .replication = 3, .submitted_retention_hours = 48, .validated_retention_hours = 0};

static size_t index_of(const char *topic)
{
    size_t i = 0;
    while (strcmp(mr_topic_name(i), topic) != 0) {
        i++;
    }
    return i;
}

static const char *planned(const struct mr_topics_plan *wanted, const char *topic, const char *setting)
{
    static struct mr_topic_values values;
    size_t i = 0;
    mr_topic_plan_values(wanted, index_of(topic), &values);
    while (strcmp(mr_topic_setting_names[i], setting) != 0) {
        i++;
    }
    return values.text[i];
}

/* Everything as planned. */
static struct mr_topics_found whole(void)
{
    struct mr_topics_found found;
    memset(&found, 0, sizeof found);
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        found.topics[i] = (struct mr_topic_found){.exists = true,
                                                  .ready = true,
                                                  .partitions = mr_topic_partitions(&plan, i),
                                                  .replication = plan.replication,
                                                  .has_values = true};
        mr_topic_plan_values(&plan, i, &found.topics[i].values);
    }
    return found;
}

START_TEST(every_topic_has_its_place)
{
    for (size_t i = 0; mr_topics[i] != NULL; i++) {
        ck_assert_str_eq(mr_topic_name(i), mr_topics[i]);
        ck_assert_uint_eq(mr_topic_partitions(&plan, i), 6);
    }
    ck_assert_ptr_null(mr_topics[DEPLOYMENT]);
    ck_assert_str_eq(mr_topic_name(DEPLOYMENT), MR_TOPIC_DEPLOYMENT);
    ck_assert_uint_eq(mr_topic_partitions(&plan, DEPLOYMENT), 1);
}
END_TEST

static const struct {
    const char *topic, *setting, *value;
} settings[] = {
    {MR_TOPIC_SUBMITTED, "retention.ms", "172800000"},
    {MR_TOPIC_SUBMITTED, "max.message.bytes", "3145728"},
    {MR_TOPIC_SUBMITTED, "compression.type", "uncompressed"},
    {MR_TOPIC_INGESTED, "retention.ms", "-1"},
    {MR_TOPIC_VALIDATED, "retention.ms", "-1"},
    {MR_TOPIC_VALIDATED, "retention.bytes", "-1"},
    {MR_TOPIC_VALIDATED, "cleanup.policy", "delete"},
    {MR_TOPIC_DEADLETTERS, "max.message.bytes", "4259840"},
    {MR_TOPIC_DEADLETTERS, "compression.type", "producer"},
    {MR_TOPIC_METRICS, "message.timestamp.type", "CreateTime"},
    {MR_TOPIC_METRICS, "unclean.leader.election.enable", "false"},
    {MR_TOPIC_DEPLOYMENT, "cleanup.policy", "compact"},
    {MR_TOPIC_DEPLOYMENT, "min.insync.replicas", "2"},
};

START_TEST(a_setting_is_explicit)
{
    ck_assert_str_eq(planned(&plan, settings[_i].topic, settings[_i].setting), settings[_i].value);
}
END_TEST

START_TEST(two_replicas_are_asked_for_only_where_one_may_be_away)
{
    struct mr_topics_plan other = plan;
    for (other.replication = 1; other.replication < 6; other.replication++) {
        ck_assert_str_eq(planned(&other, MR_TOPIC_VALIDATED, "min.insync.replicas"), other.replication < 3 ? "1" : "2");
    }
}
END_TEST

START_TEST(retention_is_of_the_topic_that_it_is_given_for)
{
    const struct mr_topics_plan other = {.partitions = 1, .replication = 1, .validated_retention_hours = 876000};
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        const char *topic = mr_topic_name(i);
        ck_assert_str_eq(planned(&other, topic, "retention.ms"),
                         strcmp(topic, MR_TOPIC_VALIDATED) == 0 ? "3153600000000" : "-1");
    }
}
END_TEST

START_TEST(what_is_as_planned_has_no_differences)
{
    struct mr_topics_found found = whole();
    struct mr_topic_differences differences;
    mr_topics_compare(&plan, &found, &differences);
    ck_assert_uint_eq(differences.count, 0);
    /* What is missing is no difference: somebody else decides about it. */
    found.topics[3].exists = false;
    found.topics[3].partitions = 0;
    mr_topics_compare(&plan, &found, &differences);
    ck_assert_uint_eq(differences.count, 0);
}
END_TEST

START_TEST(a_difference_says_what_where_and_how)
{
    struct mr_topics_found found = whole();
    struct mr_topic_differences differences;
    const size_t validated = index_of(MR_TOPIC_VALIDATED);
    found.topics[validated].partitions = 7;
    memcpy(found.topics[validated].values.text[1], "604800000", sizeof "604800000");
    found.topics[DEPLOYMENT].replication = 1;
    mr_topics_compare(&plan, &found, &differences);
    ck_assert_uint_eq(differences.count, 3);
    static const struct {
        const char *topic, *what, *wanted, *found;
    } expected[] = {
        {MR_TOPIC_VALIDATED, "partitions", "6", "7"},
        {MR_TOPIC_VALIDATED, "retention.ms", "-1", "604800000"},
        {MR_TOPIC_DEPLOYMENT, "replication", "3", "1"},
    };
    for (size_t i = 0; i < MR_COUNT_OF(expected); i++) {
        ck_assert_str_eq(mr_topic_name(differences.list[i].topic), expected[i].topic);
        ck_assert_str_eq(differences.list[i].what, expected[i].what);
        ck_assert_str_eq(differences.list[i].wanted, expected[i].wanted);
        ck_assert_str_eq(differences.list[i].found, expected[i].found);
    }
}
END_TEST

START_TEST(all_may_differ)
{
    struct mr_topics_found found;
    struct mr_topic_differences differences;
    memset(&found, 0, sizeof found);
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        found.topics[i].exists = true;
        found.topics[i].has_values = true;
    }
    mr_topics_compare(&plan, &found, &differences);
    ck_assert_uint_eq(differences.count, MR_COUNT_OF(differences.list));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, every_topic_has_its_place);
    tcase_add_loop_test(tests, a_setting_is_explicit, 0, (int)MR_COUNT_OF(settings));
    tcase_add_test(tests, two_replicas_are_asked_for_only_where_one_may_be_away);
    tcase_add_test(tests, retention_is_of_the_topic_that_it_is_given_for);
    tcase_add_test(tests, what_is_as_planned_has_no_differences);
    tcase_add_test(tests, a_difference_says_what_where_and_how);
    tcase_add_test(tests, all_may_differ);
}

int main(void)
{
    return check_main("kafka_topics_plan", add);
}
