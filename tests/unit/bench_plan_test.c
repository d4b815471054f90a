/* What the benchmark's figures rest on: its batches have 1 KiB of payload in a spec that is taken, it waits for exactly
 * the versions that come, and its percentiles are ranks. */
#include "check_main.h"
#include "events.h"
#include "measures.h"

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/spec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Versions that close with batches 0 .. end - 1, and the stops: counted one by one. */
static uint64_t counted(const struct bench_plan *plan, uint64_t end, bool stop)
{
    uint64_t versions = 0;
    for (uint64_t model = 0; model < plan->models; model++) {
        uint64_t step = 0, last = UINT64_MAX;
        for (uint64_t number = model; number < end; number += plan->models) {
            step++;
            if (plan->commit_every > 0 && step % plan->commit_every == 0) {
                versions++;
                last = step;
            }
        }
        versions += stop && last != step ? 1 : 0;
    }
    return versions;
}

START_TEST(versions_are_those_that_come)
{
    for (uint64_t models = 1; models < 5; models++) {
        for (uint64_t every = 0; every < 5; every++) {
            const struct bench_plan plan = {.name = "plan", .models = models, .commit_every = every};
            for (uint64_t first = 0; first < 15; first++) {
                for (uint64_t end = first; end < 30; end++) {
                    const uint64_t open = bench_versions_due(&plan, first, end - first, false);
                    ck_assert_uint_eq(open, counted(&plan, end, false) - counted(&plan, first, false));
                    const uint64_t stopped = bench_versions_due(&plan, first, end - first, true);
                    ck_assert_uint_eq(stopped, counted(&plan, end, true) - counted(&plan, first, false));
                }
            }
        }
    }
}
END_TEST

static Millrace__Batch__V1__Submitted *unpacked(const struct mr_buffer *value)
{
    Millrace__Batch__V1__Submitted *event = millrace__batch__v1__submitted__unpack(NULL, value->size, value->data);
    ck_assert_ptr_nonnull(event);
    return event;
}

START_TEST(the_spec_is_taken)
{
    for (uint64_t every = 0; every < 2; every++) {
        const struct bench_plan plan = {.name = "plan", .models = 3, .commit_every = every};
        struct mr_buffer value = {0};
        ck_assert(!mr_failed(bench_encode_start(&plan, 2, &value)));
        Millrace__Batch__V1__Submitted *event = unpacked(&value);
        ck_assert_str_eq(event->run_started->model_id, "plan-00002");
        struct mr_run_spec spec;
        struct mr_field_fault fault;
        const struct mr_error error = mr_run_spec_decode(event->run_started->spec, &spec, &fault);
        ck_assert_msg(!mr_failed(error), "%s", error.detail);
        ck_assert_int_eq(spec.commit, every > 0 ? MR_COMMIT_FINAL_AND_INTERVAL : MR_COMMIT_FINAL);
        ck_assert_uint_eq(spec.layers, 0);
        millrace__batch__v1__submitted__free_unpacked(event, NULL);
        mr_buffer_deinit(&value);
    }
}
END_TEST

START_TEST(a_batch_has_a_kibibyte)
{
    const struct bench_plan plan = {.name = "plan", .models = 3};
    struct mr_buffer value = {0};
    for (uint64_t number = 0; number < 9; number++) {
        ck_assert(!mr_failed(bench_encode_batch(&plan, number, &value)));
        Millrace__Batch__V1__Submitted *event = unpacked(&value);
        const Millrace__Batch__V1__Batch *batch = event->batch;
        char model_id[MR_ID_SIZE];
        bench_model_id(&plan, number % 3, model_id);
        ck_assert_str_eq(batch->model_id, model_id);
        ck_assert_uint_eq(batch->labelled->features->data.len + batch->labelled->targets->data.len, 1024);
        ck_assert_uint_eq(batch->producer->sequence, number + 1);
        millrace__batch__v1__submitted__free_unpacked(event, NULL);
    }
    mr_buffer_deinit(&value);
}
END_TEST

START_TEST(every_model_gets_all_kinds_of_poison)
{
    const struct bench_plan plan = {.name = "plan", .models = 3, .poison_models = 3};
    struct mr_buffer value = {0};
    unsigned unknown[3] = {0}, not_a_number[3] = {0}, claims[3] = {0};
    for (uint64_t number = 0; number < 9; number++) {
        ck_assert(!mr_failed(bench_encode_poison(&plan, number, "/run/socket", &value)));
        Millrace__Batch__V1__Submitted *event = unpacked(&value);
        const Millrace__Batch__V1__Batch *batch = event->batch;
        const Millrace__Common__V1__Tensor *features = batch->labelled->features;
        char model_id[MR_ID_SIZE];
        bench_model_id(&plan, 3 + number % 3, model_id);
        ck_assert_str_eq(batch->model_id, model_id);
        unknown[number % 3] += strcmp(batch->run_id, "plan") != 0;
        if (features->content_case == MILLRACE__COMMON__V1__TENSOR__CONTENT_CLAIM) {
            ck_assert_str_eq(features->claim->uri, "file:///run/socket");
            claims[number % 3]++;
        } else {
            float first;
            memcpy(&first, features->data.data, sizeof first);
            not_a_number[number % 3] += isnan(first) != 0;
        }
        millrace__batch__v1__submitted__free_unpacked(event, NULL);
    }
    for (unsigned model = 0; model < 3; model++) {
        ck_assert_uint_eq(unknown[model], 1);
        ck_assert_uint_eq(not_a_number[model], 1);
        ck_assert_uint_eq(claims[model], 1);
    }
    mr_buffer_deinit(&value);
}
END_TEST

START_TEST(percentiles_are_ranks)
{
    uint32_t values[1000];
    struct bench_percentiles found;
    for (uint32_t i = 0; i < 1000; i++) {
        values[i] = (i * 7 + 3) % 1000 + 1; /* 1 to 1000, mixed */
    }
    ck_assert(bench_percentiles_sort(values, 1000, &found));
    ck_assert_uint_eq(found.count, 1000);
    ck_assert_uint_eq(found.p50_us, 500);
    ck_assert_uint_eq(found.p90_us, 900);
    ck_assert_uint_eq(found.p99_us, 990);
    ck_assert_uint_eq(found.p999_us, 999);
    ck_assert_uint_eq(found.max_us, 1000);
    ck_assert(bench_percentiles_sort(values, 1, &found));
    ck_assert_uint_eq(found.p50_us, 1);
    ck_assert(!bench_percentiles_sort(values, 0, &found));
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, every_model_gets_all_kinds_of_poison);
    tcase_add_test(tcase, versions_are_those_that_come);
    tcase_add_test(tcase, the_spec_is_taken);
    tcase_add_test(tcase, a_batch_has_a_kibibyte);
    tcase_add_test(tcase, percentiles_are_ranks);
}

int main(void)
{
    return check_main("bench_plan", add_tests);
}
