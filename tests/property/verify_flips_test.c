/*
 * Every bit that flips in a store of 20 versions is found by verification, and where it is. 4,000 of them by a seed;
 * MILLRACE_TEST_FLIPS says how many, "all" means all.
 */
#include "check_main.h"
#include "memory_store.h"
#include "prng.h"
#include "version_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS = 20, PAYLOAD_BYTES = 300, FLIPS = 4000, OBJECTS_MAX = VERSIONS * 4 + 1 };
static const char model[] = "flips";

struct object {
    char key[MR_VERSION_KEY_SIZE];
    int counter; /* -1: head.json */
    size_t first_bit, bits;
};
static struct mr_store *store;
static struct object objects[OBJECTS_MAX];
static size_t total_bits;

/* Audit entries are in the order of their versions: a minute apart. */
static int counter_of(const char *key, int *audits)
{
    const char *versions = strstr(key, "/versions/v");
    if (versions != NULL) {
        return (int)strtol(versions + strlen("/versions/v"), NULL, 10);
    }
    return strstr(key, "/audit/") != NULL ? (*audits)++ : -1;
}

static void setup(void)
{
    int audits = 0;
    store = memory_store_new(1);
    (void)version_maker_fill(store, model, VERSIONS, PAYLOAD_BYTES);
    ck_assert_uint_eq(memory_store_count(store), OBJECTS_MAX);
    total_bits = 0;
    for (size_t i = 0; i < OBJECTS_MAX; i++) {
        struct object *object = &objects[i];
        (void)snprintf(object->key, sizeof object->key, "%s", memory_store_key(store, i));
        object->counter = counter_of(object->key, &audits);
        object->first_bit = total_bits;
        object->bits = memory_store_peek(store, object->key).size * 8;
        total_bits += object->bits;
    }
}

static void teardown(void)
{
    mr_store_close(store);
}

static void flip(const struct object *object, size_t bit)
{
    const struct mr_store_condition always = {.kind = MR_STORE_ALWAYS};
    const struct mr_bytes old = memory_store_peek(store, object->key);
    struct mr_buffer copy = {0};
    ck_assert(!mr_failed(mr_buffer_append(&copy, old.data, old.size)));
    copy.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    ck_assert_int_eq(mr_store_put(store, object->key, mr_buffer_view(&copy), always).outcome, MR_STORE_DONE);
    mr_buffer_deinit(&copy);
}

/* Head's is told as head's: one of its own kinds. Another's at its version. */
static bool located(const struct object *object, const struct mr_verify_result *result)
{
    if (object->counter < 0) {
        return result->corruption == MR_CORRUPTION_HEAD_MALFORMED || result->corruption == MR_CORRUPTION_HEAD_MISMATCH;
    }
    const bool of_head =
        result->corruption == MR_CORRUPTION_HEAD_MALFORMED || result->corruption == MR_CORRUPTION_HEAD_MISMATCH;
    return !of_head && result->has_version && result->counter == (uint64_t)object->counter;
}

static void check_flip(size_t at)
{
    size_t i = 0;
    while (at >= objects[i].first_bit + objects[i].bits) {
        i++;
    }
    const size_t bit = at - objects[i].first_bit;
    flip(&objects[i], bit);
    const struct mr_verify_result result = mr_versions_verify(store, model);
    ck_assert_msg(result.verdict == MR_VERIFY_CORRUPT && located(&objects[i], &result), "bit %zu of %s: %s, %s, %s: %s",
                  bit, objects[i].key, mr_verify_verdict_text(result.verdict), mr_corruption_text(result.corruption),
                  result.version_id, result.detail);
    flip(&objects[i], bit);
}

START_TEST(every_flip_is_found)
{
    const char *wanted = getenv("MILLRACE_TEST_FLIPS");
    const bool all = wanted != NULL && strcmp(wanted, "all") == 0;
    const size_t count = all ? total_bits : wanted != NULL ? (size_t)strtoul(wanted, NULL, 10) : FLIPS;
    struct prng prng = {.state = 20};
    ck_assert_int_eq(mr_versions_verify(store, model).verdict, MR_VERIFY_GOOD);
    for (size_t i = 0; i < count; i++) {
        check_flip(all ? i : (size_t)prng_below(&prng, total_bits));
    }
    ck_assert_int_eq(mr_versions_verify(store, model).verdict, MR_VERIFY_GOOD);
    (void)printf("%zu of %zu bits\n", count, total_bits);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_set_timeout(tcase, 3600);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, every_flip_is_found);
}

int main(void)
{
    return check_main("verify_flips", add);
}
