#include "check_main.h"
#include "millrace/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *page_of(const struct mr_metrics *metrics)
{
    struct mr_buffer page = {0};
    ck_assert(!mr_failed(mr_metrics_render(metrics, &page)));
    ck_assert(!mr_failed(mr_buffer_append(&page, "", 1)));
    return (char *)page.data;
}

static void assert_on_page(const struct mr_metrics *metrics, const char *wanted)
{
    char *page = page_of(metrics);
    ck_assert_msg(strstr(page, wanted) != NULL, "\"%s\" is not in:\n%s", wanted, page);
    free(page);
}

START_TEST(the_page_is_sorted_whatever_the_order_of_calls)
{
    const struct mr_label ab[] = {{"a", "1"}, {"b", "2"}};
    const struct mr_label ba[] = {{"b", "2"}, {"a", "1"}};
    const struct mr_label a0[] = {{"a", "0"}};
    struct mr_metrics *m = mr_metrics_new("test");
    mr_metric_set(mr_metrics_gauge(m, "millrace_z_bytes", "Last.", NULL, 0), 1.5);
    mr_metric_add(mr_metrics_counter(m, "millrace_a_total", "First.", ba, 2), 2);
    mr_metric_add(mr_metrics_counter(m, "millrace_a_total", "First.", a0, 1), 1);
    mr_metric_add(mr_metrics_counter(m, "millrace_a_total", "First.", ab, 2), 3);
    char *page = page_of(m);
    ck_assert_str_eq(page,
                     "# HELP millrace_a_total First.\n"
                     "# TYPE millrace_a_total counter\n"
                     "millrace_a_total{a=\"0\"} 1\n"
                     "millrace_a_total{a=\"1\",b=\"2\"} 5\n"
                     "# HELP millrace_build_info The program that runs, as labels\n"
                     "# TYPE millrace_build_info gauge\n"
                     "millrace_build_info{service=\"test\",version=\"0.1.0\"} 1\n"
                     "# HELP millrace_metrics_overflow_total Uses of a series that is beyond the limit of 10,000\n"
                     "# TYPE millrace_metrics_overflow_total counter\n"
                     "millrace_metrics_overflow_total 0\n"
                     "# HELP millrace_z_bytes Last.\n"
                     "# TYPE millrace_z_bytes gauge\n"
                     "millrace_z_bytes 1.5\n");
    free(page);
    mr_metrics_free(m);
}
END_TEST

START_TEST(the_same_name_and_labels_are_the_same_series)
{
    const struct mr_label one[] = {{"model", "a"}};
    const struct mr_label two[] = {{"model", "b"}};
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_metric *first = mr_metrics_counter(m, "millrace_x_total", "X.", one, 1);
    ck_assert_ptr_eq(mr_metrics_counter(m, "millrace_x_total", "X.", one, 1), first);
    ck_assert_ptr_ne(mr_metrics_counter(m, "millrace_x_total", "X.", two, 1), first);
    ck_assert_ptr_ne(mr_metrics_counter(m, "millrace_y_total", "Y.", one, 1), first);
    mr_metric_add(first, 2);
    mr_metric_add(first, 0.5);
    ck_assert(mr_metric_value(first) == 2.5);
    mr_metrics_free(m);
}
END_TEST

START_TEST(texts_are_escaped)
{
    const struct mr_label labels[] = {{"path", "a\\b\"c\nd\xff\xc3\xa9"}};
    struct mr_metrics *m = mr_metrics_new("test");
    (void)mr_metrics_gauge(m, "millrace_x", "Back\\slash \"quoted\"\nline.", labels, 1);
    assert_on_page(m, "# HELP millrace_x Back\\\\slash \"quoted\"\\nline.\n");
    assert_on_page(m, "millrace_x{path=\"a\\\\b\\\"c\\nd\xef\xbf\xbd\xc3\xa9\"} 0\n");
    mr_metrics_free(m);
}
END_TEST

START_TEST(values_that_are_no_numbers_are_spelled_as_prometheus_does)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_metric *x = mr_metrics_gauge(m, "millrace_x", "X.", NULL, 0);
    mr_metric_set(x, (double)INFINITY);
    assert_on_page(m, "\nmillrace_x +Inf\n");
    mr_metric_set(x, -(double)INFINITY);
    assert_on_page(m, "\nmillrace_x -Inf\n");
    mr_metric_set(x, (double)NAN);
    assert_on_page(m, "\nmillrace_x NaN\n");
    mr_metric_set(x, 0.1);
    mr_metric_add(x, -0.4);
    assert_on_page(m, "\nmillrace_x -0.30000000000000004\n");
    mr_metrics_free(m);
}
END_TEST

START_TEST(buckets_are_cumulative_and_include_their_bound)
{
    const struct mr_label labels[] = {{"stage", "ingest"}};
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_metric *h = mr_metrics_histogram(m, "millrace_wait_seconds", "Waits.", labels, 1);
    const double seconds[] = {0, 0.0001, 0.000125, 1.0, 100.0, 100.5};
    for (size_t i = 0; i < MR_COUNT_OF(seconds); i++) {
        mr_metric_observe(h, seconds[i]);
    }
    assert_on_page(m, "# TYPE millrace_wait_seconds histogram\n"
                      "millrace_wait_seconds_bucket{stage=\"ingest\",le=\"0.0001\"} 2\n"
                      "millrace_wait_seconds_bucket{stage=\"ingest\",le=\"0.0002\"} 3\n");
    assert_on_page(m, "le=\"0.5\"} 3\nmillrace_wait_seconds_bucket{stage=\"ingest\",le=\"1\"} 4\n");
    assert_on_page(m, "le=\"50\"} 4\n"
                      "millrace_wait_seconds_bucket{stage=\"ingest\",le=\"100\"} 5\n"
                      "millrace_wait_seconds_bucket{stage=\"ingest\",le=\"+Inf\"} 6\n"
                      "millrace_wait_seconds_count{stage=\"ingest\"} 6\n"
                      "millrace_wait_seconds_sum{stage=\"ingest\"} 201.500225\n");
    ck_assert(mr_metric_value(h) == 6);
    mr_metrics_free(m);
}
END_TEST

START_TEST(beyond_the_limit_series_share_one_and_a_counter_says_so)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_metric *overflow = NULL;
    for (int i = 0; i < 10100; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%d", i);
        const struct mr_label labels[] = {{"i", value}};
        struct mr_metric *metric = mr_metrics_counter(m, "millrace_many_total", "Many.", labels, 1);
        ck_assert_ptr_nonnull(metric);
        if (i < 9998) { /* the registry has two of its own */
            ck_assert_ptr_ne(metric, overflow);
        } else if (i > 9998) {
            ck_assert_ptr_eq(metric, overflow);
        }
        overflow = metric;
    }
    mr_metric_add(overflow, 1);
    mr_metric_set(mr_metrics_gauge(m, "millrace_late", "Late.", NULL, 0), 1);
    mr_metric_observe(mr_metrics_histogram(m, "millrace_late_seconds", "Late.", NULL, 0), 1);
    assert_on_page(m, "\nmillrace_metrics_overflow_total 104\n");
    /* What was there before goes on. */
    const struct mr_label labels[] = {{"i", "42"}};
    struct mr_metric *metric = mr_metrics_counter(m, "millrace_many_total", "Many.", labels, 1);
    ck_assert_ptr_ne(metric, overflow);
    mr_metric_add(metric, 1);
    assert_on_page(m, "\nmillrace_many_total{i=\"42\"} 1\n");
    mr_metrics_free(m);
}
END_TEST

enum { THREADS = 4, ROUNDS = 5000 };

static void *add_many(void *argument)
{
    struct mr_metrics *m = argument;
    for (int i = 0; i < ROUNDS; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%d", i % 50);
        const struct mr_label labels[] = {{"i", value}};
        mr_metric_add(mr_metrics_counter(m, "millrace_shared_total", "Shared.", labels, 1), 1);
        mr_metric_observe(mr_metrics_histogram(m, "millrace_shared_seconds", "Shared.", NULL, 0), 0.001);
    }
    return NULL;
}

START_TEST(no_count_of_any_thread_is_lost)
{
    struct mr_metrics *m = mr_metrics_new("test");
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_many, m), 0);
    }
    free(page_of(m)); /* while they run */
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    const struct mr_label labels[] = {{"i", "7"}};
    ck_assert(mr_metric_value(mr_metrics_counter(m, "millrace_shared_total", "Shared.", labels, 1)) ==
              (double)(THREADS * ROUNDS / 50));
    ck_assert(mr_metric_value(mr_metrics_histogram(m, "millrace_shared_seconds", "Shared.", NULL, 0)) ==
              (double)(THREADS * ROUNDS));
    mr_metrics_free(m);
}
END_TEST

START_TEST(rendering_replaces_the_old_page)
{
    struct mr_metrics *m = mr_metrics_new("test");
    struct mr_buffer page = {0};
    ck_assert(!mr_failed(mr_metrics_render(m, &page)));
    const size_t size = page.size;
    ck_assert(!mr_failed(mr_metrics_render(m, &page)));
    ck_assert_uint_eq(page.size, size);
    mr_buffer_deinit(&page);
    mr_metrics_free(m);
    mr_metrics_free(NULL);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, the_page_is_sorted_whatever_the_order_of_calls);
    tcase_add_test(tests, the_same_name_and_labels_are_the_same_series);
    tcase_add_test(tests, texts_are_escaped);
    tcase_add_test(tests, values_that_are_no_numbers_are_spelled_as_prometheus_does);
    tcase_add_test(tests, buckets_are_cumulative_and_include_their_bound);
    tcase_add_test(tests, beyond_the_limit_series_share_one_and_a_counter_says_so);
    tcase_add_test(tests, no_count_of_any_thread_is_lost);
    tcase_add_test(tests, rendering_replaces_the_old_page);
}

int main(void)
{
    return check_main("base_metrics", add);
}
