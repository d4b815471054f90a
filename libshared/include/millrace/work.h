/*
 * Blocking work beside a loop: jobs run on a few threads, their completions are collected by the loop.
 * The simulator stands in with a pool of zero threads, which runs a job when its completion is collected.
 */
#ifndef MR_WORK_H
#define MR_WORK_H

#include "millrace/base.h"

/* Embedded in the caller's own struct; owned by the pool from submit until it is collected. */
struct mr_job {
    void (*run)(struct mr_job *job); /* on a worker */
    struct mr_job *next;             /* the pool's */
};

struct mr_work;
MR_MUST_USE struct mr_error mr_work_open(uint32_t threads, uint32_t queue_max, struct mr_work **ret_work);
/* False when queue_max jobs wait to begin or to be collected (running ones do not count): try again after collecting.
 */
MR_MUST_USE bool mr_work_submit(struct mr_work *work, struct mr_job *job);
/* A finished job, or NULL. Never blocks. */
struct mr_job *mr_work_collect(struct mr_work *work);
/* Readable while a finished job waits: for poll(2) or to wake a loop. */
int mr_work_descriptor(const struct mr_work *work);
/* Called on a worker (without threads: by collect) after each job has finished, to wake the loop. Set before the first
 * submit. */
void mr_work_on_done(struct mr_work *work, void (*wake)(void *self), void *self);
/* Waits for running jobs; jobs that have not begun are dropped (their owner frees them: it holds the list). */
void mr_work_close(struct mr_work *work);

#endif
