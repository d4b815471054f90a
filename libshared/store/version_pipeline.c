#include "version_pipeline.h"

#include "millrace/work.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Waking a worker costs as much as a small read: it gets several at once. */
enum { BATCH_ITEMS = 8, BATCHES_PER_THREAD = 2 };

struct batch {
    struct mr_job job;
    struct mr_pipeline *pipeline;
    unsigned char *items;
    size_t count;
    bool done;
};

/* A ring of batches: `oldest` is consumed next, `filling` takes new items, those between are with the workers. */
struct mr_pipeline {
    struct mr_pipeline_kind kind;
    struct mr_work *work;
    unsigned char *items;
    size_t size, oldest, filling;
    struct batch batches[];
};

static void run_batch(struct mr_job *job)
{
    struct batch *batch = (struct batch *)job; /* its first member */
    const struct mr_pipeline_kind *kind = &batch->pipeline->kind;
    for (size_t i = 0; i < batch->count; i++) {
        kind->run(kind->self, batch->items + i * kind->item_size);
    }
}

struct mr_error mr_pipeline_open(uint32_t threads, const struct mr_pipeline_kind *kind,
                                 struct mr_pipeline **ret_pipeline)
{
    const size_t size = (size_t)threads * BATCHES_PER_THREAD + 2;
    struct mr_pipeline *pipeline = calloc(1, sizeof *pipeline + size * sizeof *pipeline->batches);
    unsigned char *items = calloc(size * BATCH_ITEMS, kind->item_size);
    struct mr_work *work = NULL;
    const struct mr_error error = pipeline == NULL || items == NULL
                                      ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "reading versions")
                                      : mr_work_open(threads, (uint32_t)size, &work);
    if (mr_failed(error)) {
        free(items);
        free(pipeline);
        return error;
    }
    pipeline->kind = *kind;
    pipeline->work = work;
    pipeline->items = items;
    pipeline->size = size;
    for (size_t i = 0; i < size; i++) {
        struct batch *batch = &pipeline->batches[i];
        batch->job.run = run_batch;
        batch->pipeline = pipeline;
        batch->items = items + i * BATCH_ITEMS * kind->item_size;
    }
    *ret_pipeline = pipeline;
    return mr_ok();
}

static void wait_for(struct mr_pipeline *pipeline, const struct batch *batch)
{
    while (!batch->done) {
        struct mr_job *job = mr_work_collect(pipeline->work);
        if (job != NULL) {
            ((struct batch *)job)->done = true;
            continue;
        }
        struct pollfd ready = {.fd = mr_work_descriptor(pipeline->work), .events = POLLIN};
        (void)poll(&ready, 1, -1); /* after a signal: looked at again */
    }
}

static void consume_oldest(struct mr_pipeline *pipeline)
{
    struct batch *batch = &pipeline->batches[pipeline->oldest];
    wait_for(pipeline, batch);
    for (size_t i = 0; i < batch->count; i++) {
        pipeline->kind.consume(pipeline->kind.self, batch->items + i * pipeline->kind.item_size);
    }
    batch->count = 0;
    batch->done = false;
    pipeline->oldest = (pipeline->oldest + 1) % pipeline->size;
}

static void submit_filling(struct mr_pipeline *pipeline)
{
    const size_t next = (pipeline->filling + 1) % pipeline->size;
    MR_ASSERT(mr_work_submit(pipeline->work, &pipeline->batches[pipeline->filling].job));
    if (next == pipeline->oldest) {
        consume_oldest(pipeline);
    }
    pipeline->filling = next;
}

void *mr_pipeline_next(struct mr_pipeline *pipeline)
{
    if (pipeline->batches[pipeline->filling].count == BATCH_ITEMS) {
        submit_filling(pipeline);
    }
    struct batch *batch = &pipeline->batches[pipeline->filling];
    void *item = batch->items + batch->count++ * pipeline->kind.item_size;
    memset(item, 0, pipeline->kind.item_size);
    return item;
}

void mr_pipeline_finish(struct mr_pipeline *pipeline)
{
    if (pipeline->batches[pipeline->filling].count > 0) {
        submit_filling(pipeline);
    }
    while (pipeline->oldest != pipeline->filling) {
        consume_oldest(pipeline);
    }
}

void mr_pipeline_close(struct mr_pipeline *pipeline)
{
    if (pipeline != NULL) {
        mr_pipeline_finish(pipeline);
        mr_work_close(pipeline->work);
        free(pipeline->items);
        free(pipeline);
    }
}
