/* The records of one partition that are in flight: which offset may be committed (everything below it is resolved). */
#ifndef MR_WINDOW_H
#define MR_WINDOW_H

#include "millrace/base.h"

struct mr_window_slot {
    uint64_t offset;
    bool resolved;
};

/* A ring in the order of offsets, which grow but need not be contiguous. Zeroed memory is a valid empty window. */
struct mr_window {
    struct mr_window_slot *slots;
    size_t first, count, capacity;
    uint64_t position; /* the next offset to come, as far as is known */
};

/* The offset must be larger than all before. FATAL when memory is out. */
MR_MUST_USE struct mr_error mr_window_add(struct mr_window *window, uint64_t offset);
/* An offset that is not in the window is ignored: it was of an earlier assignment. */
void mr_window_resolve(struct mr_window *window, uint64_t offset);
/* Everything below it is resolved: the first unresolved offset, or the position. */
uint64_t mr_window_low(const struct mr_window *window);
void mr_window_deinit(struct mr_window *window);

#endif
