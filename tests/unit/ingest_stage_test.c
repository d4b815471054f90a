/* ingest on its own stage, over the in-memory log: records in, outputs and dead letters out, and restarts between. */
#include "check_main.h"
#include "ingest_effects.h"
#include "millrace/batch/v1/batch.pb-c.h"
#include "service_rig.h"
#include "submitted.h"

#include <stdio.h>
#include <string.h>

static struct ingest_config config = {.max_record_bytes = 655360, .max_inline_bytes = 524288};

static struct service_rig *open_rig(void)
{
    return service_rig_new(ingest_effects_open, ingest_effects_close, &config, NULL);
}

static struct mr_buffer start_of(const char *run, const char *model)
{
    return submitted_start(run, model, SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP));
}

static struct mr_buffer range_of(const char *run, const char *model)
{
    return submitted_batch(run, model, "", "\"sobol_range\":{\"start\":0,\"count\":8}");
}

static struct mr_buffer numbered(const char *run, const char *model, unsigned sequence)
{
    char producer[96];
    snprintf(producer, sizeof producer, "\"producer\":{\"producer_id\":\"p\",\"sequence\":%u},", sequence);
    return submitted_batch(run, model, producer, "\"sobol_range\":{\"start\":0,\"count\":8}");
}

static struct mr_buffer garbage(void)
{
    struct mr_buffer bytes = {0};
    ck_assert(!mr_failed(mr_buffer_append(&bytes, "\xff\xfe garbage", 10)));
    return bytes;
}

START_TEST(good_records_pass_unchanged_and_in_order)
{
    struct service_rig *rig = open_rig();
    struct mr_buffer batch = range_of("r1", "m"), copy = {0};
    ck_assert(!mr_failed(mr_buffer_append(&copy, batch.data, batch.size)));
    service_rig_submit(rig, "m", start_of("r1", "m"));
    service_rig_submit(rig, "m", batch);
    service_rig_submit(rig, "m", submitted_stop("r1", "m"));
    service_rig_submit(rig, "m", start_of("r2", "m"));
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_INGESTED, "m"), "0 1 2 3");
    ck_assert_str_eq(service_rig_reasons(rig), "");
    const struct mr_log_record *record =
        memory_broker_record(rig->broker, MR_TOPIC_INGESTED, service_rig_partition("m"), 1);
    Millrace__Batch__V1__Ingested *wire =
        millrace__batch__v1__ingested__unpack(NULL, record->value.size, record->value.data);
    ck_assert(mr_bytes_equal(mr_bytes_of(wire->submitted.data, wire->submitted.len), mr_buffer_view(&copy)));
    ck_assert_uint_eq(wire->stamp->prev->value, 0);
    millrace__batch__v1__ingested__free_unpacked(wire, NULL);
    mr_buffer_deinit(&copy);
    service_rig_free(rig);
}
END_TEST

START_TEST(mistakes_end_in_dead_letters_and_disturb_nothing)
{
    struct service_rig *rig = open_rig();
    service_rig_submit(rig, "m", start_of("r1", "m"));
    service_rig_submit(rig, "m", garbage());
    service_rig_submit(rig, "m", (struct mr_buffer){0});
    service_rig_submit(rig, "m", start_of("r2", "m"));
    service_rig_submit(rig, "m", range_of("r9", "m"));
    service_rig_submit(rig, "m", range_of("r1", "n"));
    service_rig_submit(rig, "m", range_of("r1", "m"));
    service_rig_submit(rig, "m", submitted_batch("r1", "m", "", "\"sobol_range\":{\"count\":0}"));
    service_rig_submit(rig, "m", submitted_stop("r1", "m"));
    service_rig_submit(rig, "m", range_of("r1", "m"));
    service_rig_submit(rig, "m", start_of("r1", "m"));
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_INGESTED, "m"), "0 6 8");
    ck_assert_str_eq(service_rig_reasons(rig),
                     "undecodable empty_value conflict unknown_run key_mismatch run_closed conflict");
    ck_assert_double_eq(service_rig_count(rig, "EmptyBatch"), 1);
    ck_assert_double_eq(service_rig_count(rig, "Rejected"), 7);
    ck_assert_double_eq(service_rig_count(rig, "DeadLettered"), 7);
    ck_assert_str_eq(service_rig_last_detail(rig, "m"),
                     "run_started.run_id: run r1 was closed: start a run with a new id");
    ck_assert(!rig->over);
    service_rig_free(rig);
}
END_TEST

START_TEST(keys_that_are_no_id_are_refused_too)
{
    struct service_rig *rig = open_rig();
    service_rig_submit(rig, NULL, range_of("r1", "m"));
    service_rig_submit(rig, "No Id", range_of("r1", "m"));
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_reasons(rig), "key_mismatch key_mismatch");
    service_rig_free(rig);
}
END_TEST

START_TEST(a_thousand_poison_records_stand_between_good_ones)
{
    struct service_rig *rig = open_rig();
    service_rig_submit(rig, "m", start_of("r1", "m"));
    for (int i = 0; i < 1000; i++) {
        service_rig_submit(rig, "m", garbage());
    }
    service_rig_submit(rig, "m", range_of("r1", "m"));
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_INGESTED, "m"), "0 1001");
    ck_assert_double_eq(service_rig_count(rig, "DeadLettered"), 1000);
    service_rig_free(rig);
}
END_TEST

/* _i is 1: what it remembers comes from the cache of the fold. */
static struct service_rig *open_rig_that_caches(int cached)
{
    struct service_rig *rig = open_rig();
    rig->fold_every = (uint32_t)cached;
    service_rig_restart(rig);
    return rig;
}

static void close_rig_that_cached(struct service_rig *rig)
{
    ck_assert(service_rig_count(rig, "FoldCacheTaken") == (rig->fold_every > 0 ? 1 : 0));
    ck_assert(service_rig_count(rig, "FoldCacheIgnored") == 0);
    service_rig_free(rig);
}

START_TEST(a_restart_remembers_by_its_output)
{
    struct service_rig *rig = open_rig_that_caches(_i);
    service_rig_submit(rig, "m", start_of("r1", "m"));
    service_rig_submit(rig, "m", numbered("r1", "m", 1));
    service_rig_submit(rig, "m", numbered("r1", "m", 2));
    service_rig_run(rig);
    service_rig_restart(rig);
    service_rig_submit(rig, "m", numbered("r1", "m", 2));
    service_rig_submit(rig, "m", numbered("r1", "m", 1));
    service_rig_submit(rig, "m", numbered("r1", "m", 3));
    service_rig_submit(rig, "m", start_of("r2", "m"));
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_INGESTED, "m"), "0 1 2 5");
    ck_assert_str_eq(service_rig_reasons(rig), "conflict");
    close_rig_that_cached(rig);
}
END_TEST

START_TEST(a_replay_is_accepted_once_even_after_a_restart)
{
    struct service_rig *rig = open_rig_that_caches(_i);
    service_rig_submit(rig, "m", numbered("r1", "m", 5));
    service_rig_submit(rig, "m", start_of("r1", "m"));
    service_rig_submit(rig, "m", numbered("r1", "m", 9));
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_reasons(rig), "unknown_run");
    service_rig_replay(rig, "m", "abc", numbered("r1", "m", 5));
    service_rig_replay(rig, "m", "abc", numbered("r1", "m", 5));
    service_rig_run(rig);
    service_rig_restart(rig);
    service_rig_replay(rig, "m", "abc", numbered("r1", "m", 5));
    service_rig_submit(rig, "m", numbered("r1", "m", 10));
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_INGESTED, "m"), "1 2 3 6");
    ck_assert_double_eq(service_rig_count(rig, "Duplicate"), 2);
    close_rig_that_cached(rig);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, good_records_pass_unchanged_and_in_order);
    tcase_add_test(tcase, mistakes_end_in_dead_letters_and_disturb_nothing);
    tcase_add_test(tcase, keys_that_are_no_id_are_refused_too);
    tcase_add_test(tcase, a_thousand_poison_records_stand_between_good_ones);
    tcase_add_loop_test(tcase, a_restart_remembers_by_its_output, 0, 2);
    tcase_add_loop_test(tcase, a_replay_is_accepted_once_even_after_a_restart, 0, 2);
}

int main(void)
{
    return check_main("ingest_stage", add);
}
