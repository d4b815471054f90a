#include "check_main.h"
#include "millrace/clock.h"
#include "millrace/hash.h"

#include <string.h>

static const char abc_text[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

START_TEST(sha256_is_the_standards)
{
    char text[MR_SHA256_TEXT_SIZE];
    struct mr_sha256 hash = mr_sha256_of(mr_bytes_of_text("abc"));
    mr_sha256_text(&hash, text);
    ck_assert_str_eq(text, abc_text);
    hash = mr_sha256_of(mr_bytes_of(NULL, 0));
    mr_sha256_text(&hash, text);
    ck_assert_str_eq(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(a_stream_gives_the_hash_of_the_whole)
{
    struct mr_sha256_stream *stream = mr_sha256_begin();
    mr_sha256_update(stream, mr_bytes_of_text("a"));
    mr_sha256_update(stream, mr_bytes_of(NULL, 0));
    mr_sha256_update(stream, mr_bytes_of_text("bc"));
    const struct mr_sha256 hash = mr_sha256_end(stream);
    const struct mr_sha256 whole = mr_sha256_of(mr_bytes_of_text("abc"));
    ck_assert(mr_sha256_equal(&hash, &whole));
    const struct mr_sha256 other = mr_sha256_of(mr_bytes_of_text("abd"));
    ck_assert(!mr_sha256_equal(&hash, &other));
}
END_TEST

START_TEST(parsing_takes_only_what_text_gives)
{
    struct mr_sha256 hash = {{7}};
    const struct mr_sha256 before = hash;
    char text[MR_SHA256_TEXT_SIZE];
    memcpy(text, abc_text, sizeof text);
    text[0] = 'B';
    ck_assert(!mr_sha256_parse(text, &hash));
    ck_assert(!mr_sha256_parse(abc_text + 1, &hash));
    ck_assert(mr_sha256_equal(&hash, &before));
    ck_assert(mr_sha256_parse(abc_text, &hash));
    const struct mr_sha256 wanted = mr_sha256_of(mr_bytes_of_text("abc"));
    ck_assert(mr_sha256_equal(&hash, &wanted));
}
END_TEST

START_TEST(random_bytes_fill_what_was_asked_for)
{
    uint8_t first[600] = {0};
    uint8_t second[600] = {0};
    ck_assert(!mr_failed(mr_random(first, sizeof first - 1)));
    ck_assert(!mr_failed(mr_random(second, sizeof second - 1)));
    ck_assert_mem_ne(first, second, sizeof first);
    ck_assert_uint_eq(first[599], 0);
    size_t zeros = 0;
    for (size_t i = 500; i < 599; i++) {
        zeros += first[i] == 0 ? 1 : 0;
    }
    ck_assert_uint_lt(zeros, 50);
}
END_TEST

START_TEST(the_machines_clock_goes_on)
{
    const struct mr_clock clock = mr_clock_system();
    const int64_t begin_us = mr_clock_monotonic_us(&clock);
    int64_t last_us = begin_us;
    while (last_us < begin_us + 2000) { /* microseconds, and moving: ends after 2 ms */
        const int64_t now_us = mr_clock_monotonic_us(&clock);
        ck_assert_int_ge(now_us, last_us);
        last_us = now_us;
    }
    /* Between 2024 and 2100: milliseconds since 1970. */
    ck_assert_int_gt(mr_clock_wall_ms(&clock), INT64_C(1704067200000));
    ck_assert_int_lt(mr_clock_wall_ms(&clock), INT64_C(4102444800000));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, sha256_is_the_standards);
    tcase_add_test(tests, a_stream_gives_the_hash_of_the_whole);
    tcase_add_test(tests, parsing_takes_only_what_text_gives);
    tcase_add_test(tests, random_bytes_fill_what_was_asked_for);
    tcase_add_test(tests, the_machines_clock_goes_on);
}

int main(void)
{
    return check_main("base_hash", add);
}
