/* Threads that share the items of one loop at a time. The caller is one of them. */
#ifndef CPU_POOL_H
#define CPU_POOL_H

#include "millrace/base.h"

struct cpu_pool;
/* `threads` in all, the caller's included. */
MR_MUST_USE struct mr_error cpu_pool_open(uint32_t threads, struct cpu_pool **ret_pool);
/* Runs item(context, index, thread) for every index below `items`, once each, and returns when all are done. `thread`
 * is below the number of threads, and no two items run on one thread at a time. One caller at a time. */
void cpu_pool_run(struct cpu_pool *pool, void (*item)(void *context, uint64_t index, uint32_t thread), void *context,
                  uint64_t items);
void cpu_pool_close(struct cpu_pool *pool);

#endif
