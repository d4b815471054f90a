#define _XOPEN_SOURCE 700 /* posix_openpt */
#include "check_main.h"
#include "millrace/trace.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t fixed_wall_ms(void *self)
{
    return *(const int64_t *)self;
}

static int64_t no_monotonic_us(void *self)
{
    (void)self;
    return 0;
}

struct sink {
    int ends[2];
    int64_t wall_ms;
    struct mr_trace trace;
    char text[8192];
};

static void open_sink(struct sink *sink, enum mr_trace_format format)
{
    ck_assert_int_eq(pipe(sink->ends), 0);
    sink->wall_ms = INT64_C(1777982400123); /* 2026-05-05T12:00:00.123Z */
    sink->trace = mr_trace_open("ingest", sink->ends[1], MR_TRACE_INFO);
    ck_assert_int_eq(sink->trace.format, MR_TRACE_JSON); /* a pipe is no terminal */
    sink->trace.format = format;
    sink->trace.clock = (struct mr_clock){&sink->wall_ms, fixed_wall_ms, no_monotonic_us};
}

/* What was written, and no more comes. */
static const char *close_sink(struct sink *sink)
{
    (void)close(sink->ends[1]);
    size_t size = 0;
    for (ssize_t got = 1; got > 0; size += (size_t)got) {
        ck_assert_uint_lt(size, sizeof sink->text - 1);
        got = read(sink->ends[0], sink->text + size, sizeof sink->text - 1 - size);
        ck_assert_int_ge(got, 0);
    }
    (void)close(sink->ends[0]);
    sink->text[size] = '\0';
    return sink->text;
}

START_TEST(json_has_every_kind_of_field_in_order)
{
    struct sink sink;
    open_sink(&sink, MR_TRACE_JSON);
    MR_TRACE(&sink.trace, MR_TRACE_WARN, "Rejected", mr_text("reason", "bad_id"), mr_count("most", UINT64_MAX),
             mr_number("least", INT64_MIN), mr_real("tenth", 0.1), mr_text("none", NULL), mr_text("empty", ""));
    ck_assert_str_eq(close_sink(&sink),
                     "{\"time\":\"2026-05-05T12:00:00.123Z\",\"level\":\"warn\",\"service\":\"ingest\","
                     "\"decision\":\"Rejected\",\"reason\":\"bad_id\",\"most\":18446744073709551615,"
                     "\"least\":-9223372036854775808,\"tenth\":0.1,\"none\":null,\"empty\":\"\"}\n");
}
END_TEST

START_TEST(logfmt_quotes_only_what_needs_it)
{
    struct sink sink;
    open_sink(&sink, MR_TRACE_LOGFMT);
    MR_TRACE(&sink.trace, MR_TRACE_ALARM, "LogGap", mr_text("model", "m-1"), mr_text("detail", "two words"),
             mr_text("equation", "a=b"), mr_text("none", NULL), mr_text("empty", ""), mr_text("e", "\x1b[31m\xc2\x9b"),
             mr_real("nan", (double)NAN), mr_count("n", 3));
    ck_assert_str_eq(close_sink(&sink),
                     "time=2026-05-05T12:00:00.123Z level=alarm service=ingest decision=LogGap model=m-1 "
                     "detail=\"two words\" equation=\"a=b\" none= empty=\"\" e=\"\\u001b[31m\\u009b\" nan=nan n=3\n");
}
END_TEST

START_TEST(any_bytes_stay_one_valid_line)
{
    struct sink sink;
    open_sink(&sink, MR_TRACE_JSON);
    MR_TRACE(&sink.trace, MR_TRACE_INFO, "x",
             mr_text("v", "q\" b\\ n\n r\r t\t z\x01 d\x7f \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 bad\xff\xc3 "
                          "over\xc0\xaf\xe0\x80\x80 sur\xed\xa0\x80 big\xf4\x90\x80\x80 end\xe2\x82"));
    const char *line = close_sink(&sink);
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    json_t *parsed = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(parsed);
#define BAD "\xef\xbf\xbd"
    ck_assert_str_eq(json_string_value(json_object_get(parsed, "v")),
                     "q\" b\\ n\n r\r t\t z\x01 d\x7f \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 bad" BAD BAD
                     " over" BAD BAD BAD BAD BAD " sur" BAD BAD BAD " big" BAD BAD BAD BAD " end" BAD BAD);
    json_decref(parsed);
}
END_TEST

START_TEST(numbers_that_json_lacks_are_texts)
{
    struct sink sink;
    open_sink(&sink, MR_TRACE_JSON);
    MR_TRACE(&sink.trace, MR_TRACE_INFO, "x", mr_real("a", (double)INFINITY), mr_real("b", -(double)INFINITY),
             mr_real("c", (double)NAN), mr_real("d", 1.0 / 3.0));
    json_t *parsed = json_loads(close_sink(&sink), 0, NULL);
    ck_assert_ptr_nonnull(parsed);
    ck_assert_str_eq(json_string_value(json_object_get(parsed, "a")), "inf");
    ck_assert_str_eq(json_string_value(json_object_get(parsed, "b")), "-inf");
    ck_assert_str_eq(json_string_value(json_object_get(parsed, "c")), "nan");
    ck_assert(json_real_value(json_object_get(parsed, "d")) == 1.0 / 3.0);
    json_decref(parsed);
}
END_TEST

START_TEST(a_line_below_the_least_level_is_not_written)
{
    struct sink sink;
    open_sink(&sink, MR_TRACE_JSON);
    MR_TRACE(&sink.trace, MR_TRACE_DEBUG, "quiet", mr_count("n", 1));
    ck_assert_str_eq(close_sink(&sink), "");
}
END_TEST

START_TEST(a_long_line_is_cut_and_says_so)
{
    char value[6000];
    for (size_t length = 3800; length < sizeof value; length += length < 4100 ? 1 : 500) {
        for (int format = MR_TRACE_JSON; format <= MR_TRACE_LOGFMT; format++) {
            struct sink sink;
            memset(value, length % 2 == 0 ? '\x02' : 'x', length); /* an escape is cut as a whole or not at all */
            value[length] = '\0';
            open_sink(&sink, (enum mr_trace_format)format);
            MR_TRACE(&sink.trace, MR_TRACE_INFO, "x", mr_text("v", value), mr_count("after", 1));
            const char *line = close_sink(&sink);
            const size_t size = strlen(line);
            ck_assert_uint_le(size, 4096);
            ck_assert_int_eq(line[size - 1], '\n');
            const bool is_whole = strstr(line, "after") != NULL;
            if (format == MR_TRACE_LOGFMT) {
                ck_assert_int_eq(strstr(line, " cut=true\n") != NULL, !is_whole);
                continue;
            }
            json_t *parsed = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
            ck_assert_msg(parsed != NULL, "length %zu: %s", length, line);
            ck_assert_int_eq(json_is_true(json_object_get(parsed, "cut")), !is_whole);
            const size_t kept = strlen(json_string_value(json_object_get(parsed, "v")));
            ck_assert(is_whole ? kept == length : kept <= length);
            json_decref(parsed);
        }
    }
}
END_TEST

START_TEST(fields_that_do_not_fit_are_left_out_whole)
{
    struct sink sink;
    char value[4100];
    struct mr_field fields[400];
    memset(value, 'y', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (size_t i = 0; i < MR_COUNT_OF(fields); i++) {
        fields[i] = mr_count("a_field_of_some_length", 1234567890 + i);
    }
    open_sink(&sink, MR_TRACE_LOGFMT);
    mr_trace_line(&sink.trace, MR_TRACE_INFO, "x", fields, MR_COUNT_OF(fields));
    const char *line = close_sink(&sink);
    const char *last = strrchr(line, ' ');
    ck_assert_str_eq(last, " cut=true\n");
    ck_assert_uint_eq((size_t)(last - strstr(line, " a_field")) % strlen(" a_field_of_some_length=1234567890"), 0);
}
END_TEST

START_TEST(a_terminal_gets_logfmt)
{
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0) {
        return; /* a machine without pseudo terminals has none to write to */
    }
    ck_assert_int_eq(mr_trace_open("ingest", terminal, MR_TRACE_INFO).format, MR_TRACE_LOGFMT);
    (void)close(terminal);
}
END_TEST

enum { WRITERS = 4, LINES = 200 };

static void *write_lines(void *argument)
{
    const struct mr_trace *trace = argument;
    char value[1500];
    memset(value, 'z', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (uint64_t i = 0; i < LINES; i++) {
        MR_TRACE(trace, MR_TRACE_INFO, "x", mr_text("v", value), mr_count("i", i));
    }
    return NULL;
}

START_TEST(lines_of_several_threads_never_mix)
{
    struct sink sink;
    pthread_t threads[WRITERS];
    open_sink(&sink, MR_TRACE_JSON);
    for (size_t i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, &sink.trace), 0);
    }
    FILE *in = fdopen(sink.ends[0], "r");
    char *line = NULL;
    size_t capacity = 0;
    for (int i = 0; i < WRITERS * LINES; i++) {
        ck_assert_int_gt(getline(&line, &capacity, in), 0);
        json_t *parsed = json_loads(line, 0, NULL);
        ck_assert_msg(parsed != NULL, "line %d: %s", i, line);
        json_decref(parsed);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    free(line);
    (void)fclose(in);
    (void)close(sink.ends[1]);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, json_has_every_kind_of_field_in_order);
    tcase_add_test(tests, logfmt_quotes_only_what_needs_it);
    tcase_add_test(tests, any_bytes_stay_one_valid_line);
    tcase_add_test(tests, numbers_that_json_lacks_are_texts);
    tcase_add_test(tests, a_line_below_the_least_level_is_not_written);
    tcase_add_test(tests, a_long_line_is_cut_and_says_so);
    tcase_add_test(tests, fields_that_do_not_fit_are_left_out_whole);
    tcase_add_test(tests, a_terminal_gets_logfmt);
    tcase_add_test(tests, lines_of_several_threads_never_mix);
}

int main(void)
{
    return check_main("base_trace", add);
}
