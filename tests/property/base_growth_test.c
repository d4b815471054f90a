/* Buffers and arenas against the plainest model: a large array, and blocks that keep what was written to them. */
#include "check_main.h"
#include "millrace/base.h"

#include "prng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 60, STEPS = 200, MODEL_SIZE = 1 << 20, BLOCKS = 200 };

START_TEST(a_buffer_holds_what_was_appended)
{
    uint8_t *model = malloc(MODEL_SIZE);
    ck_assert_ptr_nonnull(model);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct prng random = {.state = seed};
        struct mr_buffer buffer = {0};
        size_t size = 0;
        for (int step = 0; step < STEPS; step++) {
            uint8_t chunk[2048];
            const size_t length =
                prng_below(&random, 8) == 0 ? prng_below(&random, sizeof chunk) : prng_below(&random, 9);
            for (size_t i = 0; i < length; i++) {
                chunk[i] = (uint8_t)prng_next(&random);
            }
            if (prng_below(&random, 4) == 0) {
                const unsigned long long number = prng_next(&random);
                ck_assert(!mr_failed(mr_buffer_append_text(&buffer, "<%llu>", number)));
                size += (size_t)snprintf((char *)model + size, 32, "<%llu>", number);
            } else {
                ck_assert(!mr_failed(mr_buffer_append(&buffer, chunk, length)));
                memcpy(model + size, chunk, length);
                size += length;
            }
            ck_assert_uint_le(buffer.size, buffer.capacity);
        }
        ck_assert_msg(mr_bytes_equal(mr_buffer_view(&buffer), mr_bytes_of(model, size)), "seed %llu",
                      (unsigned long long)seed);
        mr_buffer_deinit(&buffer);
    }
    free(model);
}
END_TEST

START_TEST(arena_blocks_never_overlap)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct prng random = {.state = seed};
        struct mr_arena arena = {0};
        for (int turn = 0; turn < 5; turn++) {
            struct {
                uint8_t *data;
                size_t size;
            } blocks[BLOCKS];
            size_t total = 0;
            for (size_t i = 0; i < BLOCKS; i++) {
                blocks[i].size = prng_below(&random, 20) == 0 ? prng_below(&random, 100000) : prng_below(&random, 300);
                blocks[i].data = mr_arena_alloc(&arena, blocks[i].size);
                ck_assert_ptr_nonnull(blocks[i].data);
                memset(blocks[i].data, (int)i, blocks[i].size);
                total += blocks[i].size;
            }
            ck_assert_uint_ge(arena.used, total);
            for (size_t i = 0; i < BLOCKS; i++) {
                size_t kept = 0;
                while (kept < blocks[i].size && blocks[i].data[kept] == (uint8_t)i) {
                    kept++;
                }
                ck_assert_msg(kept == blocks[i].size, "seed %llu turn %d block %zu", (unsigned long long)seed, turn, i);
            }
            mr_arena_reset(&arena);
        }
        mr_arena_deinit(&arena);
    }
}
END_TEST

START_TEST(an_arena_never_gives_more_than_its_limit)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct prng random = {.state = seed};
        struct mr_arena arena = {.limit = 1 + prng_below(&random, 200000)};
        size_t total = 0;
        for (int step = 0; step < STEPS; step++) {
            const size_t size = prng_below(&random, 5000);
            const size_t used = arena.used;
            if (mr_arena_alloc(&arena, size) != NULL) {
                total += size;
            } else {
                ck_assert_uint_eq(arena.used, used);
            }
        }
        ck_assert_uint_le(total, arena.limit);
        ck_assert_uint_le(arena.used, arena.limit);
        mr_arena_deinit(&arena);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_buffer_holds_what_was_appended);
    tcase_add_test(tests, arena_blocks_never_overlap);
    tcase_add_test(tests, an_arena_never_gives_more_than_its_limit);
}

int main(void)
{
    return check_main("base_growth", add);
}
