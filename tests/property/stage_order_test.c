/* Every combination of mark, origin and prev over a small range: the three answers are exactly rule O3. */
#include "check_main.h"
#include "exhaust.h"
#include "millrace/order.h"

START_TEST(every_case)
{
    struct exhaust e = {0};
    unsigned seen[MR_ORDER_LAST + 1] = {0};
    while (exhaust_next(&e)) {
        const struct mr_mark mark = {exhaust_pick(&e, 1) == 1, exhaust_pick(&e, 4)};
        const struct mr_mark prev = {exhaust_pick(&e, 1) == 1, exhaust_pick(&e, 4)};
        const uint64_t origin = exhaust_pick(&e, 5);
        const enum mr_order order = mr_order_decide(mark, origin, prev);
        const int64_t last = mark.some ? (int64_t)mark.origin : -1;
        const int64_t before = prev.some ? (int64_t)prev.origin : -1;
        ck_assert_int_eq(order == MR_ORDER_DUPLICATE, (int64_t)origin <= last);
        ck_assert_int_eq(order == MR_ORDER_GAP, (int64_t)origin > last && before > last);
        seen[order]++;
        ck_assert_str_ne(mr_order_text(order), "");
    }
    for (int i = MR_ORDER_NEXT; i <= MR_ORDER_LAST; i++) {
        ck_assert_uint_gt(seen[i], 0);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, every_case);
}

int main(void)
{
    return check_main("stage_order", add);
}
