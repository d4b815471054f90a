/*
 * GC on a real server: more keys than a page of a listing holds, collected twice; and beside writers and a second GC.
 * MILLRACE_TEST_GC_VERSIONS and MILLRACE_TEST_GC_SECONDS make it larger.
 */
#include "chain.h"
#include "check_main.h"
#include "gc_race.h"
#include "millrace/gc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char uri[160];

static uint64_t number_of(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text == NULL ? fallback : strtoull(text, NULL, 10);
}

/* A prefix that nobody has used. */
static void choose_uri(void)
{
    uint8_t bytes[8];
    char text[2 * sizeof bytes + 1];
    ck_assert(!mr_failed(mr_random(bytes, sizeof bytes)));
    mr_hex(mr_bytes_of(bytes, sizeof bytes), text);
    (void)snprintf(uri, sizeof uri, "s3://millrace/tests/%s", text);
}

static struct mr_gc_report collect(struct mr_store *store)
{
    struct mr_gc_report report;
    const struct mr_gc_request request = {.store = store, .model_id = "many", .keep_last = 3};
    const struct mr_error error = mr_gc_run(&request, &report);
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
    const struct mr_verify_result result = mr_versions_verify(store, "many");
    ck_assert_msg(result.verdict == MR_VERIFY_GOOD, "%s", result.detail);
    ck_assert_uint_eq(result.collected, report.collected.count + report.collected_before);
    return report;
}

START_TEST(more_than_a_page_is_collected_twice)
{
    const uint64_t versions = number_of("MILLRACE_TEST_GC_VERSIONS", 260); /* of four keys each */
    struct mr_store *store = NULL;
    ck_assert(!mr_failed(mr_store_open(uri, &store)));
    struct chain chain = {.store = store, .model = "many"};
    for (uint64_t i = 0; i < versions; i++) {
        char payload[32];
        (void)snprintf(payload, sizeof payload, "payload %u", (unsigned)i);
        (void)chain_commit(&chain, payload, NULL);
    }
    const struct mr_gc_report first = collect(store), second = collect(store);
    ck_assert_uint_eq(first.versions, versions);
    ck_assert_uint_eq(first.collected.count, versions - 4);
    ck_assert_uint_eq(first.kept, 4);
    ck_assert_uint_eq(second.collected.count + second.orphans.count + second.spool.count, 0);
    ck_assert_uint_eq(second.collected_before, versions - 4);
    mr_store_close(store);
}
END_TEST

START_TEST(beside_writers_and_a_second_gc)
{
    const struct gc_race race = {
        .uri = uri,
        .writers = 3,
        .seconds = (uint32_t)number_of("MILLRACE_TEST_GC_SECONDS", 0),
        .commits = 15,
        .collected = 5,
        .pins = 1,
    };
    gc_race(&race);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_set_timeout(tcase, 600);
    tcase_add_checked_fixture(tcase, choose_uri, NULL);
    tcase_add_test(tcase, more_than_a_page_is_collected_twice);
    tcase_add_test(tcase, beside_writers_and_a_second_gc);
}

int main(void)
{
    return check_main("s3_gc", add);
}
