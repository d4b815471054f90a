/* The order of a model's records (rules O3, O4). Pure. */
#ifndef MR_ORDER_H
#define MR_ORDER_H

#include "millrace/base.h"

enum mr_order {
    MR_ORDER_NEXT = 1,  /* apply it */
    MR_ORDER_DUPLICATE, /* it was resolved before */
    MR_ORDER_GAP,       /* records between the mark and this one are missing: LogGap */
    MR_ORDER_LAST = MR_ORDER_GAP,
};

/* An origin offset, or none. */
struct mr_mark {
    bool some;
    uint64_t origin;
};

/* mark: the last record of the model that was admitted; prev: what the record names as its predecessor. */
MR_MUST_USE enum mr_order mr_order_decide(struct mr_mark mark, uint64_t origin, struct mr_mark prev);
MR_MUST_USE const char *mr_order_text(enum mr_order order);

#endif
