#include "millrace/order.h"

enum mr_order mr_order_decide(struct mr_mark mark, uint64_t origin, struct mr_mark prev)
{
    if (mark.some && origin <= mark.origin) {
        return MR_ORDER_DUPLICATE;
    }
    if (prev.some && (!mark.some || prev.origin > mark.origin)) {
        return MR_ORDER_GAP;
    }
    return MR_ORDER_NEXT;
}

const char *mr_order_text(enum mr_order order)
{
    switch (order) {
    case MR_ORDER_NEXT: return "Next";
    case MR_ORDER_DUPLICATE: return "Duplicate";
    case MR_ORDER_GAP: return "LogGap";
    }
    mr_unreachable(__func__);
}
