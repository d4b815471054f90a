/* The window's low-water mark and the list of parked records, against plain models of them. */
#include "check_main.h"
#include "park.h"
#include "prng.h"
#include "window.h"

enum { RECORDS = 3000 };

START_TEST(low_is_the_first_unresolved)
{
    struct mr_window window = {.position = 7};
    struct prng prng = {.state = 11};
    static bool resolved[RECORDS];
    static uint64_t offset_of[RECORDS];
    uint64_t offset = 7;
    size_t first = 0, next = 0;
    ck_assert_uint_eq(mr_window_low(&window), 7);
    for (unsigned step = 0; step < 4 * RECORDS; step++) {
        if (next < RECORDS && prng_below(&prng, 2) == 0) {
            offset += 1 + prng_below(&prng, 3); /* offsets are not contiguous */
            offset_of[next++] = offset;
            ck_assert(!mr_failed(mr_window_add(&window, offset)));
        } else if (next > first) {
            const size_t pick = first + (size_t)prng_below(&prng, next - first);
            resolved[pick] = true;
            mr_window_resolve(&window, offset_of[pick]);
            mr_window_resolve(&window, offset_of[pick]); /* twice is once */
        }
        while (first < next && resolved[first]) {
            first++;
        }
        ck_assert_uint_eq(mr_window_low(&window), first < next ? offset_of[first]
                                                  : next > 0   ? offset_of[next - 1] + 1
                                                               : 7);
        ck_assert_uint_eq(window.count, next - first);
    }
    mr_window_resolve(&window, offset + 100); /* of an earlier assignment: ignored */
    mr_window_deinit(&window);
}
END_TEST

START_TEST(parked_in_order_and_resolved_in_any)
{
    struct mr_park park = {0};
    for (uint64_t origin = 10; origin < 60; origin += 10) {
        ck_assert(!mr_failed(mr_park_add(&park, (struct mr_parked){.origin = origin})));
    }
    ck_assert_uint_eq(mr_park_head(&park)->origin, 10);
    mr_park_begin(&park);
    ck_assert_uint_eq(mr_park_head(&park)->origin, 20);
    mr_park_again(&park, 3, 999);
    ck_assert_uint_eq(mr_park_head(&park)->origin, 10);
    ck_assert_uint_eq(mr_park_head(&park)->attempt, 3);
    ck_assert_int_eq(mr_park_head(&park)->due_ticks_ms, 999);
    mr_park_begin(&park);
    mr_park_begin(&park);
    mr_park_resolve(&park, 20); /* before 10: it stays until 10 is resolved too */
    ck_assert_uint_eq(park.count, 5);
    mr_park_resolve(&park, 10);
    ck_assert_uint_eq(park.count, 3);
    ck_assert_uint_eq(mr_park_head(&park)->origin, 30);
    ck_assert_ptr_null(mr_park_find(&park, 10));
    mr_park_resolve(&park, 10);
    ck_assert_uint_eq(park.count, 3);
    mr_park_deinit(&park);
}
END_TEST

START_TEST(parking_reuses_its_space)
{
    struct mr_park park = {0};
    for (uint64_t origin = 1; origin < 10000; origin++) {
        ck_assert(!mr_failed(mr_park_add(&park, (struct mr_parked){.origin = origin})));
        if (origin > 8) {
            mr_park_begin(&park);
            mr_park_resolve(&park, origin - 8);
        }
    }
    ck_assert_uint_eq(park.count, 8);
    ck_assert_uint_le(park.capacity, 64);
    ck_assert_uint_eq(mr_park_head(&park)->origin, 9992);
    mr_park_deinit(&park);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, low_is_the_first_unresolved);
    tcase_add_test(tcase, parked_in_order_and_resolved_in_any);
    tcase_add_test(tcase, parking_reuses_its_space);
}

int main(void)
{
    return check_main("stage_window", add);
}
