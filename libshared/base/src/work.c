/* Two lists under one lock: jobs that wait, and jobs that are done. The descriptor is readable while collecting helps.
 */
#include "millrace/work.h"

#include "threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct list {
    struct mr_job *first, *last;
    uint32_t count;
};

struct mr_work {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job waits, or stopping */
    struct list waiting, done;
    uint32_t queue_max;
    bool stopping;
    int descriptor;
    void (*wake)(void *self);
    void *wake_self;
    uint32_t threads_count;
    pthread_t threads[];
};

static void push(struct list *list, struct mr_job *job)
{
    job->next = NULL;
    if (list->last == NULL) {
        list->first = job;
    } else {
        list->last->next = job;
    }
    list->last = job;
    list->count++;
}

static struct mr_job *pop(struct list *list)
{
    struct mr_job *job = list->first;
    if (job != NULL) {
        list->first = job->next;
        list->last = list->first == NULL ? NULL : list->last;
        list->count--;
        job->next = NULL;
    }
    return job;
}

/* What collecting takes from: without threads, a waiting job is as good as done. */
static struct list *collectable(struct mr_work *work)
{
    return work->threads_count == 0 ? &work->waiting : &work->done;
}

/* Both with the lock held, so that the descriptor always tells whether the list is empty. */
static void push_and_signal(struct mr_work *work, struct list *list, struct mr_job *job)
{
    const uint64_t one = 1;
    push(list, job);
    if (list == collectable(work) && list->count == 1) {
        MR_ASSERT(write(work->descriptor, &one, sizeof one) == (ssize_t)sizeof one);
    }
}

static struct mr_job *pop_and_quiet(struct mr_work *work, struct list *list)
{
    uint64_t ignored;
    struct mr_job *job = pop(list);
    if (job != NULL && list->count == 0) {
        MR_ASSERT(read(work->descriptor, &ignored, sizeof ignored) == (ssize_t)sizeof ignored);
    }
    return job;
}

static void lock(struct mr_work *work)
{
    MR_ASSERT(pthread_mutex_lock(&work->lock) == 0);
}

static void unlock(struct mr_work *work)
{
    MR_ASSERT(pthread_mutex_unlock(&work->lock) == 0);
}

static void *worker(void *argument)
{
    struct mr_work *work = argument;
    lock(work);
    for (;;) {
        while (!work->stopping && work->waiting.count == 0) {
            MR_ASSERT(pthread_cond_wait(&work->changed, &work->lock) == 0);
        }
        if (work->stopping) {
            break;
        }
        struct mr_job *job = pop(&work->waiting);
        unlock(work);
        job->run(job);
        lock(work);
        push_and_signal(work, &work->done, job);
        void (*wake)(void *self) = work->wake;
        void *wake_self = work->wake_self;
        unlock(work);
        if (wake != NULL) {
            wake(wake_self);
        }
        lock(work);
    }
    unlock(work);
    return NULL;
}

static struct mr_error start_threads(struct mr_work *work, uint32_t threads)
{
    int failure = 0;
    sigset_t before;
    mr_signals_block(&before);
    while (failure == 0 && work->threads_count < threads) {
        failure = pthread_create(&work->threads[work->threads_count], NULL, worker, work);
        work->threads_count += failure == 0 ? 1 : 0;
    }
    mr_signals_restore(&before);
    return failure == 0 ? mr_ok()
                        : mr_error_make(MR_ERROR_FATAL, "no_thread", failure, "cannot start worker %u of %u: %s",
                                        work->threads_count + 1, threads, strerror(failure));
}

struct mr_error mr_work_open(uint32_t threads, uint32_t queue_max, struct mr_work **ret_work)
{
    MR_ASSERT(queue_max > 0);
    struct mr_work *work = calloc(1, sizeof *work + threads * sizeof *work->threads);
    if (work == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for %u workers", threads);
    }
    work->queue_max = queue_max;
    work->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (work->descriptor < 0) {
        const int failure = errno;
        free(work);
        return mr_error_make(MR_ERROR_FATAL, "no_descriptor", failure, "eventfd: %s", strerror(failure));
    }
    MR_ASSERT(pthread_mutex_init(&work->lock, NULL) == 0);
    MR_ASSERT(pthread_cond_init(&work->changed, NULL) == 0);
    const struct mr_error error = start_threads(work, threads);
    if (mr_failed(error)) {
        mr_work_close(work);
        return error;
    }
    *ret_work = work;
    return mr_ok();
}

bool mr_work_submit(struct mr_work *work, struct mr_job *job)
{
    lock(work);
    /* Finished jobs count too: a caller that never collects is held back as well. */
    const bool has_room = work->waiting.count + work->done.count < work->queue_max;
    if (has_room) {
        push_and_signal(work, &work->waiting, job);
        MR_ASSERT(pthread_cond_signal(&work->changed) == 0);
    }
    unlock(work);
    return has_room;
}

struct mr_job *mr_work_collect(struct mr_work *work)
{
    lock(work);
    struct mr_job *job = pop_and_quiet(work, collectable(work));
    unlock(work);
    if (job != NULL && work->threads_count == 0) {
        job->run(job);
        if (work->wake != NULL) {
            work->wake(work->wake_self);
        }
    }
    return job;
}

int mr_work_descriptor(const struct mr_work *work)
{
    return work->descriptor;
}

void mr_work_on_done(struct mr_work *work, void (*wake)(void *self), void *self)
{
    lock(work);
    work->wake = wake;
    work->wake_self = self;
    unlock(work);
}

void mr_work_close(struct mr_work *work)
{
    if (work == NULL) {
        return;
    }
    lock(work);
    work->stopping = true;
    MR_ASSERT(pthread_cond_broadcast(&work->changed) == 0);
    unlock(work);
    for (uint32_t i = 0; i < work->threads_count; i++) {
        MR_ASSERT(pthread_join(work->threads[i], NULL) == 0);
    }
    (void)pthread_cond_destroy(&work->changed);
    (void)pthread_mutex_destroy(&work->lock);
    (void)close(work->descriptor);
    free(work);
}
