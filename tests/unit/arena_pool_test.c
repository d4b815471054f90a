/* The pool against a map of bytes that says, unit by unit, what is taken. */
#include "arena_pool.h"
#include "check_main.h"
#include "prng.h"

enum { UNIT = 256, UNITS = 64, LIVE_MAX = 12, STEPS = 1000 };

struct model {
    bool taken[UNITS];
    struct arena_extent live[LIVE_MAX];
    uint32_t count;
};

/* The smallest run of free units that fits, the lowest of equals; UNITS if there is none. */
static uint32_t best_fit(const struct model *m, uint32_t units, uint32_t *ret_largest)
{
    uint32_t best = UNITS, best_size = UNITS + 1;
    *ret_largest = 0;
    for (uint32_t at = 0; at < UNITS;) {
        uint32_t size = 0;
        while (at + size < UNITS && !m->taken[at + size]) {
            size++;
        }
        *ret_largest = size > *ret_largest ? size : *ret_largest;
        if (size >= units && size < best_size) {
            best = at;
            best_size = size;
        }
        at += size + 1;
    }
    return best;
}

static void mark(struct model *m, struct arena_extent extent, bool taken)
{
    uint32_t wrong = 0;
    for (uint64_t i = extent.offset / UNIT; i < (extent.offset + extent.size) / UNIT; i++) {
        wrong += m->taken[i] == taken;
        m->taken[i] = taken;
    }
    ck_assert_uint_eq(wrong, 0);
}

static void take_one(struct arena_pool *pool, struct model *m, uint32_t units)
{
    uint32_t largest = 0;
    const uint32_t want = best_fit(m, units, &largest);
    ck_assert_uint_eq(arena_pool_largest(pool), (uint64_t)largest * UNIT);
    uint64_t offset = UINT64_MAX;
    const bool taken = arena_pool_take(pool, (uint64_t)units * UNIT, &offset);
    ck_assert_int_eq(taken, want < UNITS);
    if (!taken) {
        ck_assert_uint_eq(offset, UINT64_MAX);
        return;
    }
    ck_assert_uint_eq(offset, (uint64_t)want * UNIT);
    m->live[m->count] = (struct arena_extent){offset, (uint64_t)units * UNIT};
    mark(m, m->live[m->count++], true);
}

static void give_one(struct arena_pool *pool, struct model *m, uint32_t at)
{
    arena_pool_give(pool, m->live[at].offset, m->live[at].size);
    mark(m, m->live[at], false);
    m->live[at] = m->live[--m->count];
}

START_TEST(agrees_with_a_map_of_bytes)
{
    struct prng prng = {.state = (uint64_t)_i};
    struct arena_pool pool;
    struct model m = {.count = 0};
    ck_assert(!mr_failed(arena_pool_init(&pool, (uint64_t)UNITS * UNIT, LIVE_MAX)));
    for (unsigned step = 0; step < STEPS; step++) {
        if (m.count == LIVE_MAX || (m.count > 0 && prng_below(&prng, 2) == 0)) {
            give_one(&pool, &m, (uint32_t)prng_below(&prng, m.count));
        } else {
            take_one(&pool, &m, 1 + (uint32_t)prng_below(&prng, 16));
        }
        uint64_t free_units = 0;
        for (uint32_t i = 0; i < UNITS; i++) {
            free_units += !m.taken[i];
        }
        ck_assert_uint_eq(pool.free_bytes, free_units * UNIT);
    }
    while (m.count > 0) {
        give_one(&pool, &m, 0);
    }
    /* Whatever came before, what is whole again is one extent. */
    ck_assert_uint_eq(pool.count, 1);
    ck_assert_uint_eq(arena_pool_largest(&pool), (uint64_t)UNITS * UNIT);
    arena_pool_deinit(&pool);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_loop_test(tcase, agrees_with_a_map_of_bytes, 1, 21);
}

int main(void)
{
    return check_main("arena_pool", add);
}
