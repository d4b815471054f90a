/* Random texts through what reads and writes texts: nothing is lost, and whatever comes is answered. */
#include "check_main.h"
#include "millrace/config.h"
#include "millrace/trace.h"

#include "prng.h"

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 3000, SIZE_MAX_BYTES = 80 };

static size_t random_bytes(struct prng *random, uint8_t *ret_data, size_t size_max)
{
    const size_t size = prng_below(random, size_max + 1);
    for (size_t i = 0; i < size; i++) {
        ret_data[i] = (uint8_t)prng_next(random);
    }
    return size;
}

/* Without zero bytes, and often of what a parser looks for. */
static void random_text(struct prng *random, const char *favourites, char *ret_text, size_t size_max)
{
    const size_t size = prng_below(random, size_max);
    for (size_t i = 0; i < size; i++) {
        ret_text[i] = prng_below(random, 3) == 0 ? (char)(1 + prng_below(random, 255))
                                                 : favourites[prng_below(random, strlen(favourites))];
    }
    ret_text[size] = '\0';
}

START_TEST(hex_comes_back)
{
    struct prng random = {.state = 1};
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t bytes[SIZE_MAX_BYTES];
        uint8_t back[SIZE_MAX_BYTES];
        char text[2 * SIZE_MAX_BYTES + 1];
        const size_t size = random_bytes(&random, bytes, sizeof bytes);
        mr_hex(mr_bytes_of(bytes, size), text);
        ck_assert_uint_eq(strlen(text), 2 * size);
        ck_assert(mr_unhex(text, back, size));
        ck_assert(mr_bytes_equal(mr_bytes_of(back, size), mr_bytes_of(bytes, size)));
        if (size > 0) { /* any other character at any place spoils it */
            const char spoiler = (char)prng_below(&random, 256);
            text[prng_below(&random, 2 * size)] = spoiler;
            const bool is_digit = spoiler != '\0' && strchr("0123456789abcdef", spoiler) != NULL;
            ck_assert_int_eq(mr_unhex(text, back, size), is_digit);
        }
    }
}
END_TEST

START_TEST(an_id_is_valid_only_by_rule)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char later[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    char id[70];
    for (size_t size = 0; size < sizeof id; size++) {
        memset(id, 'a', sizeof id);
        ck_assert_int_eq(mr_id_valid(mr_bytes_of(id, size)), size >= 1 && size <= 63);
    }
    for (size_t size = 1; size <= 63; size += 31) {
        for (size_t at = 0; at < size; at++) {
            for (int c = 0; c < 256; c++) {
                memset(id, 'a', sizeof id);
                id[at] = (char)c;
                const char *allowed = at == 0 ? first : later;
                ck_assert_int_eq(mr_id_valid(mr_bytes_of(id, size)), c != 0 && strchr(allowed, c) != NULL);
            }
        }
    }
}
END_TEST

START_TEST(partitions_are_librdkafkas)
{
    struct prng random = {.state = 2};
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t key[SIZE_MAX_BYTES] = {0};
        const size_t size = random_bytes(&random, key, sizeof key);
        const uint32_t partitions = 1 + (uint32_t)prng_below(&random, 1000);
        const int32_t theirs = rd_kafka_msg_partitioner_murmur2(NULL, key, size, (int32_t)partitions, NULL, NULL);
        ck_assert_int_eq((int64_t)mr_partition_of(mr_bytes_of(key, size), partitions), theirs);
    }
}
END_TEST

static uint32_t crc32c_by_bits(struct mr_bytes bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= bytes.data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 1U) != 0 ? crc >> 1 ^ 0x82f63b78U : crc >> 1;
        }
    }
    return ~crc;
}

START_TEST(a_crc_goes_on_from_any_place)
{
    struct prng random = {.state = 3};
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t bytes[SIZE_MAX_BYTES];
        const size_t size = random_bytes(&random, bytes, sizeof bytes);
        const size_t cut = prng_below(&random, size + 1);
        const uint32_t whole = crc32c_by_bits(mr_bytes_of(bytes, size));
        const uint32_t part = mr_crc32c(0, mr_bytes_of(bytes, cut));
        ck_assert_uint_eq(mr_crc32c(0, mr_bytes_of(bytes, size)), whole);
        ck_assert_uint_eq(mr_crc32c(part, mr_bytes_of(bytes + cut, size - cut)), whole);
    }
}
END_TEST

START_TEST(any_text_is_traced_as_valid_json)
{
    struct prng random = {.state = 4};
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    const struct mr_trace trace = mr_trace_open("test", ends[1], MR_TRACE_DEBUG);
    for (int round = 0; round < ROUNDS; round++) {
        char value[SIZE_MAX_BYTES];
        char line[4097];
        random_text(&random, "ab\"\\\n\t\x01\xc3\xa9\xe2\x82\xac\xed\xa0\xf0\x9f\x98\x80", value, sizeof value);
        MR_TRACE(&trace, MR_TRACE_INFO, "x", mr_text("v", value), mr_count("last", 1));
        const ssize_t size = read(ends[0], line, sizeof line - 1);
        ck_assert_int_gt(size, 0);
        ck_assert_ptr_eq(memchr(line, '\n', (size_t)size), line + size - 1);
        json_t *parsed = json_loadb(line, (size_t)size, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_msg(parsed != NULL, "round %d: %.*s", round, (int)size, line);
        ck_assert_int_eq(json_integer_value(json_object_get(parsed, "last")), 1);
        json_t *same = json_string(value); /* NULL unless it is valid UTF-8: jansson judges on its own */
        if (same != NULL) {
            ck_assert_str_eq(json_string_value(json_object_get(parsed, "v")), value);
        } else {
            ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(parsed, "v")), "\xef\xbf\xbd"));
        }
        json_decref(same);
        json_decref(parsed);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}
END_TEST

struct config {
    uint64_t count;
    const char *choice;
    bool flag;
};

START_TEST(any_argument_is_taken_as_the_rules_say_or_rejected)
{
    static const struct mr_option rows[] = {
        {.name = "count",
         .kind = MR_OPTION_COUNT,
         .offset = offsetof(struct config, count),
         .fallback = "5",
         .min = 5,
         .max = 50,
         .help = "Count."},
        {.name = "choice",
         .kind = MR_OPTION_CHOICE,
         .offset = offsetof(struct config, choice),
         .fallback = "a",
         .choices = "a|bb",
         .help = "Choice."},
        {.name = "flag",
         .kind = MR_OPTION_FLAG,
         .offset = offsetof(struct config, flag),
         .fallback = "false",
         .help = "Flag."},
    };
    static const struct mr_option_table table = {"test", "Test.", rows, MR_COUNT_OF(rows)};
    static const char *const beginnings[] = {"--count=", "--choice=", "--flag=", "--flag", "--", "", "--count"};
    struct prng random = {.state = 5};
    int taken = 0;
    for (int round = 0; round < 20 * ROUNDS; round++) {
        char program[] = "program";
        char texts[2][32];
        char *argv[] = {program, texts[0], texts[1], NULL};
        for (size_t i = 0; i < 2; i++) {
            const char *beginning = beginnings[prng_below(&random, MR_COUNT_OF(beginnings))];
            memcpy(texts[i], beginning, strlen(beginning) + 1);
            random_text(&random, "0123456789", texts[i] + strlen(beginning), 1 + prng_below(&random, 5));
        }
        const char *rest[2];
        size_t rest_count = 7;
        struct config config;
        memset(&config, 0x55, sizeof config);
        const struct config before = config;
        const struct mr_error error = mr_config_load(&table, &config, 3, argv, rest, 2, &rest_count);
        if (mr_failed(error)) {
            ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
            ck_assert_mem_eq(&config, &before, sizeof config);
            ck_assert_uint_eq(rest_count, 7);
            continue;
        }
        taken++;
        ck_assert_uint_ge(config.count, 5);
        ck_assert_uint_le(config.count, 50);
        ck_assert(strcmp(config.choice, "a") == 0 || strcmp(config.choice, "bb") == 0);
        ck_assert_uint_le(rest_count, 2);
    }
    ck_assert_int_gt(taken, 100);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, hex_comes_back);
    tcase_add_test(tests, an_id_is_valid_only_by_rule);
    tcase_add_test(tests, partitions_are_librdkafkas);
    tcase_add_test(tests, a_crc_goes_on_from_any_place);
    tcase_add_test(tests, any_text_is_traced_as_valid_json);
    tcase_add_test(tests, any_argument_is_taken_as_the_rules_say_or_rejected);
}

int main(void)
{
    return check_main("base_texts", add);
}
