/* Encoded paths, ETags, ranges, names of buckets, profile files: what is taken, and what is refused. */
#include "check_main.h"
#include "prng.h"
#include "s3_text.h"

#include <stdio.h>
#include <string.h>

START_TEST(encoding)
{
    char text[64];
    ck_assert(s3_encode("m/05T12:00:00.1Z_ab-c~ +%", true, text, sizeof text));
    ck_assert_str_eq(text, "m/05T12%3A00%3A00.1Z_ab-c~%20%2B%25");
    ck_assert(s3_encode("a/b", false, text, sizeof text));
    ck_assert_str_eq(text, "a%2Fb");
    ck_assert(s3_encode("", true, text, 1));
    ck_assert(!s3_encode("", true, text, 0));
    ck_assert(s3_encode("abc", true, text, 4));
    ck_assert(!s3_encode("abc", true, text, 3));
    ck_assert(!s3_encode("a:", true, text, 4));
}
END_TEST

START_TEST(decoding_undoes_encoding)
{
    struct prng prng = {.state = 3};
    for (int round = 0; round < 2000; round++) {
        char raw[33], text[3 * sizeof raw];
        const size_t size = prng_below(&prng, sizeof raw);
        for (size_t i = 0; i < size; i++) {
            raw[i] = (char)(1 + prng_below(&prng, 255));
        }
        raw[size] = '\0';
        ck_assert(s3_encode(raw, prng_below(&prng, 2) == 0, text, sizeof text));
        ck_assert(s3_decode(text));
        ck_assert_str_eq(text, raw);
    }
    static const char *const bad[] = {"%", "%4", "%zz", "a%0", "%00"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "%s", bad[i]);
        ck_assert(!s3_decode(text));
    }
    char plus[] = "a+b";
    ck_assert(s3_decode(plus));
    ck_assert_str_eq(plus, "a b");
}
END_TEST

START_TEST(etags)
{
    struct mr_etag etag;
    char longest[MR_ETAG_SIZE + 2];
    ck_assert(s3_etag_take("\"5d41402abc4b2a76b9719d911017c592\"", &etag));
    ck_assert_str_eq(etag.text, "5d41402abc4b2a76b9719d911017c592");
    ck_assert(s3_etag_take("W/\"x-2\"", &etag));
    ck_assert_str_eq(etag.text, "x-2");
    ck_assert(s3_etag_take("plain", &etag));
    ck_assert_str_eq(etag.text, "plain");
    static const char *const bad[] = {"", "\"\"", "W/", "a b", "a\"b", "a\r\nb", "\"a\"\"", "<a>", "a&b", "\x80"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_msg(!s3_etag_take(bad[i], &etag), "%zu", i);
        ck_assert_str_eq(etag.text, "plain");
    }
    memset(longest, 'a', sizeof longest);
    longest[MR_ETAG_SIZE] = '\0';
    ck_assert(!s3_etag_take(longest, &etag));
    longest[MR_ETAG_SIZE - 1] = '\0';
    ck_assert(s3_etag_take(longest, &etag));
}
END_TEST

START_TEST(content_ranges)
{
    uint64_t first = 7, last = 7, total = 7;
    static const char *const bad[] = {"",
                                      "bytes",
                                      "bytes 1-2",
                                      "bytes 2-1/9",
                                      "bytes 0-9/9",
                                      "items 0-1/9",
                                      "bytes 0-1/*",
                                      "bytes 0-1/9 ",
                                      "bytes -1/9",
                                      "bytes 0-1/99999999999999999999"};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_msg(!s3_content_range_take(bad[i], &first, &last, &total), "%s", bad[i]);
    }
    ck_assert_uint_eq(first + last + total, 21);
    ck_assert(s3_content_range_take("bytes 3-6/10", &first, &last, &total));
    ck_assert(first == 3 && last == 6 && total == 10);
    ck_assert(s3_content_range_take("bytes 0-0/1", &first, &last, &total));
    ck_assert(first == 0 && last == 0 && total == 1);
    ck_assert(s3_content_range_take("bytes */10", &first, &last, &total));
    ck_assert(last < first && total == 10);
}
END_TEST

START_TEST(buckets)
{
    static const char *const good[] = {"abc", "my-bucket.2026", "0ab",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const bad[] = {
        "",     "ab",  "-ab", "ab-",  ".ab", "ab.",
        "a..b", "aBc", "a_b", "a bc", "a/b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < MR_COUNT_OF(good); i++) {
        ck_assert_msg(s3_bucket_valid(good[i], strlen(good[i])), "%s", good[i]);
    }
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_msg(!s3_bucket_valid(bad[i], strlen(bad[i])), "%s", bad[i]);
    }
}
END_TEST

static const char file[] = "# of two\n"
                           "[default]\n"
                           "aws_access_key_id = AKDEFAULT\r\n"
                           "aws_secret_access_key=se/cr+et=\n"
                           "\n"
                           "[ other one ]\n"
                           "; a session\n"
                           "  aws_access_key_id = nested, not this\n"
                           "region = eu-north-1\n"
                           "aws_secret_access_key = second\n"
                           "aws_access_key_id = AKOTHER\n"
                           "aws_session_token = token/+=\n"
                           "[half]\n"
                           "aws_access_key_id = AKHALF\n"
                           "[bad]\n"
                           "aws_access_key_id = has space\n"
                           "aws_secret_access_key = x\n"
                           "[split]\n"
                           "aws_access_key_id = AK1\n"
                           "[default]\n"
                           "[split]\n"
                           "aws_secret_access_key = last line without an end";

static enum s3_profile find(const char *name, struct s3_credentials *ret_credentials)
{
    return s3_profile_find(mr_bytes_of_text(file), name, ret_credentials);
}

START_TEST(profiles)
{
    struct s3_credentials got = {.access_key = "untouched"};
    ck_assert_int_eq(find("none", &got), S3_PROFILE_ABSENT);
    ck_assert_int_eq(find("half", &got), S3_PROFILE_INCOMPLETE);
    ck_assert_int_eq(find("bad", &got), S3_PROFILE_BAD);
    ck_assert_int_eq(find("split", &got), S3_PROFILE_BAD); /* of spaces in its value */
    ck_assert_str_eq(got.access_key, "untouched");
    ck_assert_int_eq(find("default", &got), S3_PROFILE_FOUND);
    ck_assert_str_eq(got.access_key, "AKDEFAULT");
    ck_assert_str_eq(got.secret, "se/cr+et=");
    ck_assert_str_eq(got.token, "");
    ck_assert_int_eq(find("other one", &got), S3_PROFILE_FOUND);
    ck_assert_str_eq(got.access_key, "AKOTHER");
    ck_assert_str_eq(got.secret, "second");
    ck_assert_str_eq(got.token, "token/+=");
    ck_assert_int_eq(s3_profile_find((struct mr_bytes){NULL, 0}, "default", &got), S3_PROFILE_ABSENT);
}
END_TEST

/* Whatever stands in the file, the answer is one of four, and what is found can be put into a header. */
START_TEST(any_profile_file)
{
    struct prng prng = {.state = 11};
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[sizeof file];
        struct s3_credentials got = {.access_key = ""};
        memcpy(bytes, file, sizeof file);
        const size_t size = prng_below(&prng, sizeof file + 1);
        for (uint64_t flips = prng_below(&prng, 6); flips > 0; flips--) {
            bytes[prng_below(&prng, sizeof file)] = (uint8_t)prng_below(&prng, 256);
        }
        const enum s3_profile answer = s3_profile_find(mr_bytes_of(bytes, size), "other one", &got);
        ck_assert(answer >= S3_PROFILE_FOUND && answer <= S3_PROFILE_LAST);
        ck_assert(answer == S3_PROFILE_FOUND || got.access_key[0] == '\0');
        for (const char *c = got.secret; *c != '\0'; c++) {
            ck_assert(*c > ' ' && *c <= '~');
        }
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, encoding);
    tcase_add_test(tcase, decoding_undoes_encoding);
    tcase_add_test(tcase, etags);
    tcase_add_test(tcase, content_ranges);
    tcase_add_test(tcase, buckets);
    tcase_add_test(tcase, profiles);
    tcase_add_test(tcase, any_profile_file);
}

int main(void)
{
    return check_main("s3_text", add);
}
