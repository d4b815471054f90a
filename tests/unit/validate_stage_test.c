/* validate on its own stage, over the in-memory log and a real store: records in, outputs, copies and dead letters out.
 */
#define _XOPEN_SOURCE 700 /* nftw */
#include "check_main.h"
#include "millrace/hash.h"
#include "scripted_store.h"
#include "service_rig.h"
#include "store_scratch.h"
#include "submitted.h"
#include "validate_effects.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct validate_config config = {.max_rows = 1000, .max_payload_bytes = 65536};

struct bench {
    struct scratch scratch;
    struct mr_store *files;
    struct scripted_store store;
    struct service_rig *rig;
    int64_t last; /* origin of the model's last record */
};

static struct bench *bench_new(void)
{
    static struct bench bench;
    memset(&bench, 0, sizeof bench);
    bench.scratch = scratch_make();
    char uri[128];
    snprintf(uri, sizeof uri, "%s/store", bench.scratch.uri);
    ck_assert(!mr_failed(mr_store_open(uri, &bench.files)));
    scripted_store_init(&bench.store, bench.files);
    bench.rig = service_rig_new(validate_effects_open, validate_effects_close, &config, &bench.store.base);
    bench.last = -1;
    return &bench;
}

static void bench_free(struct bench *bench)
{
    service_rig_free(bench->rig);
    mr_store_close(bench->files);
    scratch_drop(&bench->scratch);
}

/* The model's next record. */
static void feed(struct bench *bench, struct mr_buffer submitted)
{
    service_rig_ingested(bench->rig, "m", (uint64_t)(bench->last + 1), bench->last, submitted);
    bench->last++;
}

static void start_labelled(struct bench *bench)
{
    feed(bench, submitted_start("r", "m", SUBMITTED_LABELLED_SPEC(SUBMITTED_KEEP)));
}

static const float good_features[] = {1, 2, 3, 4};

static void write_file(const struct bench *bench, const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", bench->scratch.path, name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

/* A labelled batch of two rows, whose features are claimed from a file; `data` is what the claim says of it. */
static void feed_claim(struct bench *bench, const char *name, const void *data, size_t size)
{
    char payload[1024], hash_text[MR_SHA256_TEXT_SIZE];
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of(data, size));
    mr_sha256_text(&hash, hash_text);
    snprintf(payload, sizeof payload,
             "\"labelled\":{\"features\":{\"dtype\":\"float32\",\"shape\":[2,2],\"claim\":{\"uri\":\"%s/%s\","
             "\"size\":16,\"sha256\":\"%s\"}},\"targets\":{\"dtype\":\"float32\",\"shape\":[2,1,2],\"data\":\"%s\"}}",
             bench->scratch.uri, name, hash_text, submitted_floats(good_features, 4));
    feed(bench, submitted_batch("r", "m", "", payload));
}

static bool copied(const struct bench *bench)
{
    char key[160], text[MR_SHA256_TEXT_SIZE];
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of(good_features, sizeof good_features));
    mr_sha256_text(&hash, text);
    (void)snprintf(key, sizeof key, "m/payloads/%s", text);
    const struct mr_store_result result = mr_store_head(bench->files, key);
    return result.outcome == MR_STORE_DONE && result.size == sizeof good_features;
}

static const char *validated(struct bench *bench)
{
    return service_rig_origins(bench->rig, MR_TOPIC_VALIDATED, "m");
}

START_TEST(a_run_passes_and_bad_batches_are_named)
{
    struct bench *bench = bench_new();
    const float bad[] = {100, 100, -1, 0.01f, 0.01f, 0.2f};
    char payload[512];
    snprintf(payload, sizeof payload,
             "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[1,6],\"data\":\"%s\"}}",
             submitted_floats(bad, 6));
    feed(bench, submitted_start("r", "m", SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)));
    feed(bench, submitted_batch("r", "m", "", "\"sobol_range\":{\"start\":0,\"count\":8}"));
    feed(bench, submitted_batch("r", "m", "", payload));
    feed(bench, submitted_batch("r", "m", "", "\"sobol_range\":{\"start\":0,\"count\":1001}"));
    feed(bench, submitted_batch("other", "m", "", "\"sobol_range\":{\"start\":0,\"count\":8}"));
    feed(bench, submitted_stop("r", "m"));
    feed(bench, submitted_batch("r", "m", "", "\"sobol_range\":{\"start\":0,\"count\":8}"));
    service_rig_run(bench->rig);
    ck_assert_str_eq(validated(bench), "0 1 5");
    ck_assert_str_eq(service_rig_reasons(bench->rig), "out_of_domain too_large unknown_run run_closed");
    ck_assert_double_eq(service_rig_count(bench->rig, "OutOfDomain"), 1);
    ck_assert_double_eq(service_rig_count(bench->rig, "DeadLettered"), 4);
    bench_free(bench);
}
END_TEST

/* _i is 1: what it remembers comes from the cache of the fold. */
START_TEST(a_restart_remembers_the_open_run)
{
    struct bench *bench = bench_new();
    bench->rig->fold_every = (uint32_t)_i;
    service_rig_restart(bench->rig);
    feed(bench, submitted_start("r", "m", SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)));
    service_rig_run(bench->rig);
    service_rig_restart(bench->rig);
    feed(bench, submitted_batch("r", "m", "", "\"sobol_range\":{\"start\":0,\"count\":8}"));
    service_rig_run(bench->rig);
    ck_assert_str_eq(validated(bench), "0 1");
    ck_assert(service_rig_count(bench->rig, "FoldCacheTaken") == _i);
    ck_assert(service_rig_count(bench->rig, "FoldCacheIgnored") == 0);
    /* Neither is the run that was closed last forgotten, nor the spec that limits the open one. */
    feed(bench, submitted_stop("r", "m"));
    service_rig_run(bench->rig);
    service_rig_restart(bench->rig);
    feed(bench, submitted_batch("r", "m", "", "\"sobol_range\":{\"start\":0,\"count\":8}"));
    feed(bench, submitted_start("s", "m", SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)));
    service_rig_run(bench->rig);
    service_rig_restart(bench->rig);
    feed(bench, submitted_batch("s", "m", "", "\"sobol_range\":{\"start\":0,\"count\":1001}"));
    service_rig_run(bench->rig);
    ck_assert_str_eq(service_rig_reasons(bench->rig), "run_closed too_large");
    bench_free(bench);
}
END_TEST

START_TEST(claims_are_verified_and_copied)
{
    struct bench *bench = bench_new();
    start_labelled(bench);
    write_file(bench, "good", good_features, sizeof good_features);
    feed_claim(bench, "good", good_features, sizeof good_features);
    feed_claim(bench, "good", good_features, sizeof good_features);
    service_rig_run(bench->rig);
    ck_assert_str_eq(validated(bench), "0 1 2");
    ck_assert(copied(bench));
    ck_assert_uint_eq(bench->store.puts, 2);
    ck_assert_uint_eq(bench->store.heads, 1); /* the second was there already */
    bench_free(bench);
}
END_TEST

START_TEST(bad_claims_are_rejected_at_once_by_name)
{
    struct bench *bench = bench_new();
    const float nan_inside[] = {1, 2, (float)NAN, 4};
    start_labelled(bench);
    write_file(bench, "short", good_features, 12);
    write_file(bench, "long", (const float[5]){0}, 20);
    write_file(bench, "other", (const float[4]){9, 9, 9, 9}, 16);
    write_file(bench, "nan", nan_inside, 16);
    char folder[128];
    snprintf(folder, sizeof folder, "%s/folder", bench->scratch.path);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    feed_claim(bench, "missing", good_features, 16);
    feed_claim(bench, "short/under", good_features, 16);
    feed_claim(bench, "short", good_features, 16);
    feed_claim(bench, "long", good_features, 16);
    feed_claim(bench, "other", good_features, 16);
    feed_claim(bench, "nan", nan_inside, 16);
    feed_claim(bench, "folder", good_features, 16);
    service_rig_run(bench->rig);
    ck_assert_str_eq(validated(bench), "0");
    ck_assert_str_eq(service_rig_reasons(bench->rig),
                     "claim_missing claim_missing claim_size_mismatch claim_size_mismatch checksum_mismatch non_finite "
                     "unsupported_claim");
    ck_assert_uint_eq(bench->store.puts, 0);
    ck_assert_double_eq(service_rig_count(bench->rig, "RetryScheduled"), 0);
    bench_free(bench);
}
END_TEST

START_TEST(a_lost_answer_is_settled_by_reading_back)
{
    struct bench *bench = bench_new();
    start_labelled(bench);
    write_file(bench, "good", good_features, sizeof good_features);
    bench->store.put = MR_STORE_UNKNOWN;
    bench->store.put_applies = true;
    feed_claim(bench, "good", good_features, sizeof good_features);
    service_rig_run(bench->rig);
    ck_assert_str_eq(validated(bench), "0 1");
    ck_assert_uint_eq(bench->store.puts, 1);
    ck_assert(copied(bench));
    bench_free(bench);
}
END_TEST

START_TEST(a_store_that_is_down_costs_no_attempt)
{
    struct bench *bench = bench_new();
    start_labelled(bench);
    write_file(bench, "good", good_features, sizeof good_features);
    bench->store.put = MR_STORE_UNAVAILABLE;
    feed_claim(bench, "good", good_features, sizeof good_features);
    service_rig_run(bench->rig);
    bench->store.put = MR_STORE_UNKNOWN; /* and the write did not get through either */
    service_rig_run(bench->rig);
    ck_assert_str_eq(validated(bench), "0");
    ck_assert_str_eq(service_rig_reasons(bench->rig), "");
    ck_assert_uint_gt(bench->store.puts, 6); /* more probes than attempts that a record has */
    bench->store.put = (enum mr_store_outcome)0;
    service_rig_run(bench->rig);
    ck_assert_str_eq(validated(bench), "0 1");
    ck_assert_double_eq(service_rig_count(bench->rig, "RetryScheduled"), 0);
    bench_free(bench);
}
END_TEST

/* The copy's key holds something else: nobody deletes it, the record is tried five times, and its model goes on. */
START_TEST(a_corrupt_copy_is_tried_five_times)
{
    struct bench *bench = bench_new();
    char key[160], text[MR_SHA256_TEXT_SIZE];
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of(good_features, sizeof good_features));
    mr_sha256_text(&hash, text);
    (void)snprintf(key, sizeof key, "m/payloads/%s", text);
    const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
    ck_assert_int_eq(mr_store_put(bench->files, key, mr_bytes_of("torn", 4), always).outcome, MR_STORE_DONE);
    start_labelled(bench);
    write_file(bench, "good", good_features, sizeof good_features);
    feed_claim(bench, "good", good_features, sizeof good_features);
    feed(bench, submitted_stop("r", "m"));
    for (int i = 0; i < 30; i++) {
        service_rig_run(bench->rig);
        bench->rig->now_ms += 2000;
    }
    ck_assert_double_eq(service_rig_count(bench->rig, "RetryScheduled"), 4);
    ck_assert_double_eq(service_rig_count(bench->rig, "RetryExhausted"), 1);
    ck_assert_str_eq(service_rig_reasons(bench->rig), "copy_corrupt");
    ck_assert_str_eq(validated(bench), "0 2");
    bench_free(bench);
}
END_TEST

/* Something else than ingest wrote to its topic: that model stops with an alarm, and the others go on. */
START_TEST(a_corrupt_record_stops_its_model_alone)
{
    struct bench *bench = bench_new();
    const char *other = service_rig_partition("n") == service_rig_partition("m") ? "n" : "o";
    feed(bench, submitted_start("r", "m", SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)));
    feed(bench, submitted_bytes("{}"));
    feed(bench, submitted_stop("r", "m"));
    service_rig_ingested(bench->rig, other, 20, -1,
                         submitted_start("r", other, SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)));
    service_rig_run(bench->rig);
    ck_assert_str_eq(validated(bench), "0");
    ck_assert_str_eq(service_rig_origins(bench->rig, MR_TOPIC_VALIDATED, other), "20");
    ck_assert_double_eq(service_rig_count(bench->rig, "CorruptRecord"), 1);
    ck_assert(!bench->rig->over);
    bench_free(bench);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, a_corrupt_record_stops_its_model_alone);
    tcase_add_test(tcase, a_run_passes_and_bad_batches_are_named);
    tcase_add_loop_test(tcase, a_restart_remembers_the_open_run, 0, 2);
    tcase_add_test(tcase, claims_are_verified_and_copied);
    tcase_add_test(tcase, bad_claims_are_rejected_at_once_by_name);
    tcase_add_test(tcase, a_lost_answer_is_settled_by_reading_back);
    tcase_add_test(tcase, a_store_that_is_down_costs_no_attempt);
    tcase_add_test(tcase, a_corrupt_copy_is_tried_five_times);
}

int main(void)
{
    return check_main("validate_stage", add);
}
