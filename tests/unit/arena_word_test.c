#include "arena_word.h"
#include "check_main.h"

START_TEST(a_word_holds_state_and_generation)
{
    const uint64_t generations[] = {1, 2, UINT64_C(1) << 40, ARENA_GENERATION_MAX};
    for (size_t i = 0; i < sizeof generations / sizeof *generations; i++) {
        for (int state = ARENA_WORD_FREE; state <= ARENA_WORD_IN_USE; state++) {
            const uint64_t word = arena_word((enum arena_word_state)state, generations[i]);
            ck_assert_int_eq(arena_word_state(word), state);
            ck_assert_uint_eq(arena_word_generation(word), generations[i]);
        }
    }
}
END_TEST

START_TEST(generations_wrap_to_one)
{
    ck_assert_uint_eq(arena_generation_next(0), 1);
    ck_assert_uint_eq(arena_generation_next(1), 2);
    ck_assert_uint_eq(arena_generation_next(ARENA_GENERATION_MAX - 1), ARENA_GENERATION_MAX);
    ck_assert_uint_eq(arena_generation_next(ARENA_GENERATION_MAX), 1);
    ck_assert_uint_eq(arena_generation_next(UINT64_MAX), 1);
    /* Words of the greatest and of the first generation differ, in every state. */
    ck_assert_uint_ne(arena_word(ARENA_WORD_READY, ARENA_GENERATION_MAX), arena_word(ARENA_WORD_READY, 1));
}
END_TEST

START_TEST(generations_that_no_word_can_hold_are_not_valid)
{
    ck_assert(!arena_generation_valid(0));
    ck_assert(arena_generation_valid(1));
    ck_assert(arena_generation_valid(ARENA_GENERATION_MAX));
    ck_assert(!arena_generation_valid(ARENA_GENERATION_MAX + 1));
    ck_assert(!arena_generation_valid(UINT64_MAX));
}
END_TEST

START_TEST(every_low_part_has_a_state)
{
    unsigned corrupt = 0;
    for (uint64_t low = 0; low < (1U << ARENA_STATE_BITS); low++) {
        const enum arena_word_state state = arena_word_state(UINT64_C(0xabc) << ARENA_STATE_BITS | low);
        ck_assert_int_ge(state, ARENA_WORD_FREE);
        ck_assert_int_le(state, ARENA_WORD_LAST);
        corrupt += state == ARENA_WORD_CORRUPT;
    }
    ck_assert_uint_eq(corrupt, (1U << ARENA_STATE_BITS) - 4);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, a_word_holds_state_and_generation);
    tcase_add_test(tcase, generations_wrap_to_one);
    tcase_add_test(tcase, generations_that_no_word_can_hold_are_not_valid);
    tcase_add_test(tcase, every_low_part_has_a_state);
}

int main(void)
{
    return check_main("arena_word", add);
}
