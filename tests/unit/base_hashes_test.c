#include "check_main.h"
#include "millrace/base.h"

#include <string.h>

/* The vectors of Kafka's own UtilsTest.testMurmur2. */
START_TEST(murmur2_is_kafkas)
{
    static const struct {
        const char *key;
        int32_t hash;
    } vectors[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < MR_COUNT_OF(vectors); i++) {
        const uint32_t positive = (uint32_t)vectors[i].hash & 0x7fffffffU;
        const struct mr_bytes key = mr_bytes_of_text(vectors[i].key);
        ck_assert_uint_eq(mr_partition_of(key, 0x80000000U), positive);
        ck_assert_uint_eq(mr_partition_of(key, 7), positive % 7);
        ck_assert_uint_eq(mr_partition_of(key, 1), 0);
    }
}
END_TEST

/* RFC 3720, B.4, and the check value of the CRC catalogue. */
START_TEST(crc32c_is_castagnolis)
{
    uint8_t bytes[32];
    ck_assert_uint_eq(mr_crc32c(0, mr_bytes_of_text("123456789")), 0xe3069283U);
    ck_assert_uint_eq(mr_crc32c(0, mr_bytes_of(NULL, 0)), 0);
    memset(bytes, 0, sizeof bytes);
    ck_assert_uint_eq(mr_crc32c(0, mr_bytes_of(bytes, sizeof bytes)), 0x8a9136aaU);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(mr_crc32c(0, mr_bytes_of(bytes, sizeof bytes)), 0x62a8ab43U);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    ck_assert_uint_eq(mr_crc32c(0, mr_bytes_of(bytes, sizeof bytes)), 0x46dd794eU);
}
END_TEST

START_TEST(mix64_is_splitmix64)
{
    ck_assert_uint_eq(mr_mix64(0), UINT64_C(0xe220a8397b1dcdaf));
    ck_assert_uint_eq(mr_mix64(UINT64_C(0x9e3779b97f4a7c15)), UINT64_C(0x6e789e6aa1b965f4));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, murmur2_is_kafkas);
    tcase_add_test(tests, crc32c_is_castagnolis);
    tcase_add_test(tests, mix64_is_splitmix64);
}

int main(void)
{
    return check_main("base_hashes", add);
}
