/* publish with its real operations over the in-memory log, with a view that is never there. */
#include "check_main.h"
#include "publish_effects.h"
#include "trained.h"

#include "millrace/version/v1/version.pb-c.h"

#include <string.h>

static struct publish_config config;
static struct service_rig *rig;

static void begin(const char *redis)
{
    config =
        (struct publish_config){.redis = redis, .view_interval_ms = 100, .view_probe_ms = 1000, .view_timeout_ms = 100};
    rig = service_rig_new(publish_effects_open, publish_effects_close, &config, NULL);
}

static void end(void)
{
    ck_assert(!rig->over);
    service_rig_free(rig);
}

static const char *header_of(const char *topic, const char *model, uint64_t at, const char *name)
{
    static char text[128];
    struct mr_bytes value;
    const uint32_t partition = service_rig_partition(model);
    ck_assert(mr_log_header_find(memory_broker_record(rig->broker, topic, partition, at), name, &value));
    (void)snprintf(text, sizeof text, "%.*s", (int)value.size, (const char *)value.data);
    return text;
}

START_TEST(one_record_gives_one_event_in_order)
{
    begin("none");
    trained_step(rig, "a", 1, -1, 1, 0.5f);
    trained_step(rig, "b", 2, -1, 1, 0.5f);
    trained_step(rig, "a", 3, 1, 2, 0.25f);
    trained_commit(rig, "a", 3, -1, 0);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_METRICS, "a"), "1 3");
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_METRICS, "b"), "2");
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_VERSIONS, "a"), "3");
    ck_assert_str_eq(header_of(MR_TOPIC_VERSIONS, "a", 0, "ce_id"),
                     "0000000000000000000000000000000000000000000000000000000000000000");
    ck_assert_str_eq(header_of(MR_TOPIC_VERSIONS, "a", 0, "ce_type"), "millrace.version.v1.VersionPublished");
    end();
}
END_TEST

START_TEST(a_restart_repeats_nothing)
{
    begin("none");
    trained_step(rig, "a", 1, -1, 1, 0.5f);
    trained_commit(rig, "a", 1, -1, 0);
    service_rig_run(rig);
    service_rig_restart(rig);
    trained_step(rig, "a", 2, 1, 2, 0.25f);
    trained_step(rig, "a", 2, 1, 2, 0.25f); /* as train writes it again after a crash of its own */
    trained_commit(rig, "a", 2, 1, 1);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_METRICS, "a"), "1 2");
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_VERSIONS, "a"), "1 2");
    end();
}
END_TEST

START_TEST(a_sink_that_is_away_holds_nothing_back)
{
    begin("unix:/nonexistent/socket");
    trained_step(rig, "a", 1, -1, 1, 0.5f);
    service_rig_run(rig); /* the write fails in it */
    ck_assert_double_eq(service_rig_count(rig, "Published"), 1);
    for (uint64_t i = 2; i <= 300; i++) {
        trained_step(rig, "a", i, (int64_t)i - 1, i, 0.5f);
    }
    trained_commit(rig, "a", 300, -1, 0);
    service_rig_run(rig);
    ck_assert_uint_eq(memory_broker_high(rig->broker, MR_TOPIC_METRICS, service_rig_partition("a")), 300);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_VERSIONS, "a"), "300");
    ck_assert_double_eq(service_rig_count(rig, "ExportDeferred"), 300);
    ck_assert_double_eq(service_rig_count(rig, "Published"), 1);
    end();
}
END_TEST

START_TEST(an_unreadable_record_stops_its_model_alone)
{
    begin("none");
    trained_step(rig, "a", 1, -1, 1, 0.5f);
    trained_nonsense(rig, "a", 2, 1);
    trained_step(rig, "a", 3, 2, 2, 0.5f);
    trained_step(rig, "b", 4, -1, 1, 0.5f);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_METRICS, "a"), "1");
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_METRICS, "b"), "4");
    ck_assert_double_ge(service_rig_count(rig, "Unreadable"), 1);
    end();
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, one_record_gives_one_event_in_order);
    tcase_add_test(tcase, a_restart_repeats_nothing);
    tcase_add_test(tcase, a_sink_that_is_away_holds_nothing_back);
    tcase_add_test(tcase, an_unreadable_record_stops_its_model_alone);
}

int main(void)
{
    return check_main("publish_stage", add);
}
