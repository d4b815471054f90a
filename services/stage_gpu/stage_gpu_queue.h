/* Records that wait for a block, first come first served: so a large batch is not overtaken for ever by small ones. */
#ifndef STAGE_GPU_QUEUE_H
#define STAGE_GPU_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

/* Embedded in what waits. Zeroed: in no queue. */
struct stage_gpu_waiter {
    struct stage_gpu_waiter *before, *after;
    bool waits;
};

/* Zeroed memory is an empty queue. */
struct stage_gpu_queue {
    struct stage_gpu_waiter *first, *last;
};

static inline void stage_gpu_queue_push(struct stage_gpu_queue *queue, struct stage_gpu_waiter *waiter)
{
    *waiter = (struct stage_gpu_waiter){.before = queue->last, .waits = true};
    if (queue->last != NULL) {
        queue->last->after = waiter;
    } else {
        queue->first = waiter;
    }
    queue->last = waiter;
}

static inline void stage_gpu_queue_remove(struct stage_gpu_queue *queue, struct stage_gpu_waiter *waiter)
{
    if (!waiter->waits) {
        return;
    }
    if (waiter->before != NULL) {
        waiter->before->after = waiter->after;
    } else {
        queue->first = waiter->after;
    }
    if (waiter->after != NULL) {
        waiter->after->before = waiter->before;
    } else {
        queue->last = waiter->before;
    }
    *waiter = (struct stage_gpu_waiter){.waits = false};
}

#endif
