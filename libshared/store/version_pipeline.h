/* Many small reads at once, with their results in the order in which they were asked for, in bounded memory. */
#ifndef MR_VERSION_PIPELINE_H
#define MR_VERSION_PIPELINE_H

#include "millrace/base.h"

struct mr_pipeline;
struct mr_pipeline_kind {
    size_t item_size;                        /* of a plain struct, or one whose owned parts consume frees */
    void (*run)(void *self, void *item);     /* on a worker, several at a time */
    void (*consume)(void *self, void *item); /* on the caller's thread, in order; frees what run left in it */
    void *self;
};

/* Without threads, items run on the caller's when they are consumed. */
MR_MUST_USE struct mr_error mr_pipeline_open(uint32_t threads, const struct mr_pipeline_kind *kind,
                                             struct mr_pipeline **ret_pipeline);
/* A new item, zeroed, to be filled before the next call: that one may give it to a worker. Waits for room, and consumes
 * what is done meanwhile. */
void *mr_pipeline_next(struct mr_pipeline *pipeline);
/* Runs and consumes all that was asked for. */
void mr_pipeline_finish(struct mr_pipeline *pipeline);
/* Finishes, and frees. */
void mr_pipeline_close(struct mr_pipeline *pipeline);

#endif
