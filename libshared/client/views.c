#include "views.h"

/* 2^56 acquisitions of one version before the count would meet its end: 20 years of 10^8 a second. */
enum { SLOT_BITS = 8 };
static const uint64_t slot_mask = (1u << SLOT_BITS) - 1;
_Static_assert(MR_CLIENT_VIEWS_MAX + 2 <= 1 << SLOT_BITS, "a slot's number fits into its bits");

const struct mr_view *views_acquire(struct views *views)
{
    /* Acquire: what the writer wrote before it served this slot is seen. */
    const uint64_t word = atomic_fetch_add_explicit(&views->served, slot_mask + 1, memory_order_acquire);
    return views->slots[word & slot_mask].view;
}

void views_release(struct view_slot *slot)
{
    /* Release: the reader is done with the view before the writer can see that it is. */
    (void)atomic_fetch_sub_explicit(&slot->balance, 1, memory_order_release);
}

struct view_slot *views_find_slot(struct views *views)
{
    for (size_t i = 1; i < MR_COUNT_OF(views->slots); i++) {
        if (views->slots[i].view == NULL) {
            return &views->slots[i];
        }
    }
    return NULL;
}

/* Takes the word's place, and gives the slot before it its count. */
static void exchange(struct views *views, uint64_t slot)
{
    const uint64_t before = atomic_exchange_explicit(&views->served, slot, memory_order_acq_rel);
    struct view_slot *retired = &views->slots[before & slot_mask];
    if (retired->view != NULL) {
        (void)atomic_fetch_add_explicit(&retired->balance, (int64_t)(before >> SLOT_BITS), memory_order_relaxed);
        retired->retired = true;
    }
}

void views_serve(struct views *views, struct view_slot *slot, struct mr_view *view)
{
    atomic_store_explicit(&slot->balance, 0, memory_order_relaxed);
    slot->view = view;
    slot->retired = false;
    exchange(views, (uint64_t)(slot - views->slots));
}

void views_reclaim(struct views *views, views_free *free_view)
{
    for (size_t i = 1; i < MR_COUNT_OF(views->slots); i++) {
        struct view_slot *slot = &views->slots[i];
        if (slot->retired && atomic_load_explicit(&slot->balance, memory_order_acquire) == 0) {
            free_view(slot->view);
            slot->view = NULL;
            slot->retired = false;
        }
    }
}

bool views_deinit(struct views *views, views_free *free_view)
{
    exchange(views, 0);
    views_reclaim(views, free_view);
    for (size_t i = 1; i < MR_COUNT_OF(views->slots); i++) {
        if (views->slots[i].view != NULL) {
            return false;
        }
    }
    return true;
}
