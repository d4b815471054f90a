#include "check_main.h"
#include "millrace/base.h"

#include <stdalign.h>
#include <string.h>

START_TEST(blocks_are_aligned_for_any_type_and_apart)
{
    struct mr_arena arena = {0};
    unsigned char *last = NULL;
    for (size_t size = 0; size < 100; size++) {
        unsigned char *block = mr_arena_alloc(&arena, size);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_eq((uintptr_t)block % alignof(max_align_t), 0);
        ck_assert_ptr_ne(block, last);
        memset(block, 0xff, size);
        last = block;
    }
    mr_arena_deinit(&arena);
}
END_TEST

START_TEST(the_limit_is_exact_and_refusal_changes_nothing)
{
    struct mr_arena arena = {.limit = 1024};
    ck_assert_ptr_nonnull(mr_arena_alloc(&arena, 1000));
    const size_t used = arena.used;
    ck_assert_uint_le(used, 1024);
    ck_assert_ptr_null(mr_arena_alloc(&arena, 1024 - used + 1));
    ck_assert_uint_eq(arena.used, used);
    ck_assert_ptr_nonnull(mr_arena_alloc(&arena, 1024 - used));
    ck_assert_ptr_null(mr_arena_alloc(&arena, 1));
    mr_arena_reset(&arena);
    ck_assert_ptr_nonnull(mr_arena_alloc(&arena, 1024));
    mr_arena_deinit(&arena);
}
END_TEST

START_TEST(a_size_that_overflows_is_refused)
{
    struct mr_arena arena = {0};
    volatile size_t huge = SIZE_MAX; /* or the compiler warns of the size */
    for (size_t less = 0; less < 128; less++) {
        ck_assert_ptr_null(mr_arena_alloc(&arena, huge - less / 4));
    }
    ck_assert_ptr_nonnull(mr_arena_alloc(&arena, 8));
    ck_assert_ptr_null(mr_arena_alloc(&arena, huge - 15));
    ck_assert_uint_le(arena.used, 16);
    mr_arena_deinit(&arena);
}
END_TEST

START_TEST(reset_keeps_the_largest_chunk)
{
    struct mr_arena arena = {0};
    ck_assert_ptr_nonnull(mr_arena_alloc(&arena, 100));
    char *large = mr_arena_alloc(&arena, 1000 * 1000);
    ck_assert_ptr_nonnull(large);
    mr_arena_reset(&arena);
    ck_assert_uint_eq(arena.used, 0);
    ck_assert_ptr_eq(mr_arena_alloc(&arena, 1000 * 1000), large);
    mr_arena_deinit(&arena);
    ck_assert_ptr_null(arena.chunks);
    ck_assert_uint_eq(arena.used, 0);
}
END_TEST

START_TEST(an_empty_arena_can_be_reset_and_freed)
{
    struct mr_arena arena = {0};
    mr_arena_reset(&arena);
    mr_arena_deinit(&arena);
    mr_arena_deinit(&arena);
    ck_assert_ptr_nonnull(mr_arena_alloc(&arena, 1));
    mr_arena_deinit(&arena);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, blocks_are_aligned_for_any_type_and_apart);
    tcase_add_test(tests, the_limit_is_exact_and_refusal_changes_nothing);
    tcase_add_test(tests, a_size_that_overflows_is_refused);
    tcase_add_test(tests, reset_keeps_the_largest_chunk);
    tcase_add_test(tests, an_empty_arena_can_be_reset_and_freed);
}

int main(void)
{
    return check_main("base_arena", add);
}
