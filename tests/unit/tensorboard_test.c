/* What TensorBoard reads, byte for byte: frames, events, histograms. The expected bytes are those of TensorBoard's own
 * writer (tensorboard.summary.writer, protobuf). */
#include "check_main.h"
#include "event_file.h"
#include "tensorboard_event.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t time_ms = 1777982400123;
static struct mr_buffer summary, event, framed;

static void begin(void)
{
    summary = event = framed = (struct mr_buffer){0};
}

static void end(void)
{
    mr_buffer_deinit(&summary);
    mr_buffer_deinit(&event);
    mr_buffer_deinit(&framed);
}

static void good(struct mr_error error)
{
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
}

static void holds(const struct mr_buffer *buffer, const char *hexadecimal)
{
    char text[1024];
    ck_assert_uint_lt(2 * buffer->size, sizeof text);
    mr_hex(mr_buffer_view(buffer), text);
    ck_assert_str_eq(text, hexadecimal);
}

/* Every event file begins with these twelve bytes: the length 24 and its masked checksum. */
START_TEST(a_frame_is_length_checksum_record_checksum)
{
    good(cli_event_of_beginning(time_ms, &event));
    good(cli_event_frame(mr_buffer_view(&event), &framed));
    holds(&framed, "1800000000000000a37f4b22"
                   "093bdf07f0767eda411a0d627261696e2e4576656e743a32"
                   "603f99ab");
}
END_TEST

START_TEST(frames_follow_each_other)
{
    const struct mr_bytes record = mr_bytes_of_text("123456789");
    good(cli_event_frame(record, &framed));
    good(cli_event_frame(record, &framed));
    ck_assert_uint_eq(framed.size, 2 * (8 + 4 + 9 + 4));
    ck_assert_mem_eq(framed.data, framed.data + framed.size / 2, framed.size / 2);
}
END_TEST

START_TEST(an_event_holds_scalars_and_texts)
{
    good(cli_summary_scalar(&summary, "training/loss", 0.25f));
    good(cli_summary_text(&summary, "version/id", "v1"));
    good(cli_event_of_summary(time_ms, 300, mr_buffer_view(&summary), &event));
    holds(&event, "093bdf07f0767eda4110ac022a38"
                  "0a140a0d747261696e696e672f6c6f7373150000803e"
                  "0a200a0a76657273696f6e2f6964420808071200420276314a080a060a0474657874");
}
END_TEST

START_TEST(equal_numbers_are_one_bucket)
{
    const float numbers[] = {2.0f, 2.0f, 2.0f};
    struct cli_statistics statistics;
    cli_statistics_of(numbers, MR_COUNT_OF(numbers), &statistics);
    ck_assert_double_eq(statistics.deviation, 0.0);
    good(cli_summary_histogram(&summary, "w", &statistics));
    holds(&summary, "0a460a01772a41090000000000000040110000000000000040190000000000000840210000000000001840"
                    "290000000000002840320800000000000000403a080000000000000840");
}
END_TEST

START_TEST(statistics_are_of_all_numbers)
{
    const float numbers[] = {-1.0f, 0.0f, 0.5f, 2.0f, 2.0f, 2.5f};
    struct cli_statistics statistics;
    cli_statistics_of(numbers, MR_COUNT_OF(numbers), &statistics);
    ck_assert_double_eq(statistics.min, -1.0);
    ck_assert_double_eq(statistics.max, 2.5);
    ck_assert_double_eq(statistics.mean, 1.0);
    ck_assert_double_eq_tol(statistics.deviation, 1.2583057392117916, 1e-15);
    ck_assert_double_eq(statistics.sum_of_squares, 15.5);
    uint64_t count = 0;
    for (size_t i = 0; i < CLI_HISTOGRAM_BUCKETS; i++) {
        count += statistics.buckets[i];
    }
    ck_assert_uint_eq(count, MR_COUNT_OF(numbers));
    ck_assert_uint_eq(statistics.buckets[0], 1);
    ck_assert_uint_eq(statistics.buckets[CLI_HISTOGRAM_BUCKETS - 1], 1); /* the greatest is in the last */
}
END_TEST

START_TEST(of_no_numbers_they_are_zeros)
{
    const struct cli_statistics zeros = {0};
    struct cli_statistics statistics;
    cli_statistics_of(NULL, 0, &statistics);
    ck_assert_mem_eq(&statistics, &zeros, sizeof zeros);
}
END_TEST

/* A file takes its place when it is whole, and one that is given up leaves nothing. */
START_TEST(a_file_is_there_when_it_is_whole)
{
    char folder[] = "/tmp/millrace-event-XXXXXX";
    char path[PATH_MAX];
    struct cli_event_file file = {0};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    good(cli_event_file_open(folder, "events", &file));
    memcpy(path, file.path, sizeof path);
    good(cli_event_file_append(&file, mr_bytes_of_text("kept")));
    ck_assert_int_eq(access(path, F_OK), -1);
    good(cli_event_file_finish(&file));
    ck_assert_int_eq(access(path, R_OK), 0);
    good(cli_event_file_open(folder, "events", &file));
    cli_event_file_discard(&file);
    cli_event_file_discard(&file);
    ck_assert_int_eq(access(path, R_OK), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0); /* it is empty: no draft */
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, a_frame_is_length_checksum_record_checksum);
    tcase_add_test(tcase, frames_follow_each_other);
    tcase_add_test(tcase, an_event_holds_scalars_and_texts);
    tcase_add_test(tcase, equal_numbers_are_one_bucket);
    tcase_add_test(tcase, statistics_are_of_all_numbers);
    tcase_add_test(tcase, of_no_numbers_they_are_zeros);
    tcase_add_test(tcase, a_file_is_there_when_it_is_whole);
}

int main(void)
{
    return check_main("tensorboard", add);
}
