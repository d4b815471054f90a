#include "cpu_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "millrace/engine.h"

struct cpu_worker {
    struct cpu_pool *pool;
    pthread_t thread;
    uint32_t index;
};

struct cpu_pool {
    pthread_mutex_t mutex;
    pthread_cond_t begin, end;
    uint64_t turn;    /* of loops begun */
    uint32_t working; /* workers that have not finished this turn */
    bool closing;
    void (*item)(void *context, uint64_t index, uint32_t thread);
    void *context;
    uint64_t items;
    atomic_uint_fast64_t next;
    uint32_t workers; /* that were started: all threads but the caller */
    struct cpu_worker worker[MR_ENGINE_THREADS_MAX];
};

static void take_items(struct cpu_pool *pool, uint32_t thread)
{
    for (;;) {
        const uint64_t index = atomic_fetch_add(&pool->next, 1);
        if (index >= pool->items) {
            return;
        }
        pool->item(pool->context, index, thread);
    }
}

static void *work(void *argument)
{
    struct cpu_worker *worker = argument;
    struct cpu_pool *pool = worker->pool;
    uint64_t turn = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->turn == turn && !pool->closing) {
            pthread_cond_wait(&pool->begin, &pool->mutex);
        }
        if (pool->closing) {
            pthread_mutex_unlock(&pool->mutex);
            return NULL;
        }
        turn = pool->turn;
        pthread_mutex_unlock(&pool->mutex);
        take_items(pool, worker->index);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->working == 0) {
            pthread_cond_signal(&pool->end);
        }
    }
}

static struct mr_error start_workers(struct cpu_pool *pool, uint32_t threads)
{
    for (uint32_t i = 0; i + 1 < threads; i++) {
        pool->worker[i] = (struct cpu_worker){.pool = pool, .index = i + 1};
        const int failed = pthread_create(&pool->worker[i].thread, NULL, work, &pool->worker[i]);
        if (failed != 0) {
            return mr_error_make(MR_ERROR_FATAL, "thread", failed, "the system gave %u of %u engine threads",
                                 (unsigned)i + 1, (unsigned)threads);
        }
        pool->workers++;
    }
    return mr_ok();
}

struct mr_error cpu_pool_open(uint32_t threads, struct cpu_pool **ret_pool)
{
    struct cpu_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for a thread pool");
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->end, NULL);
    /* Signals are the main thread's. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const struct mr_error error = start_workers(pool, threads);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (mr_failed(error)) {
        cpu_pool_close(pool);
        return error;
    }
    *ret_pool = pool;
    return mr_ok();
}
void cpu_pool_run(struct cpu_pool *pool, void (*item)(void *context, uint64_t index, uint32_t thread), void *context,
                  uint64_t items)
{
    pthread_mutex_lock(&pool->mutex);
    pool->item = item;
    pool->context = context;
    pool->items = items;
    atomic_store(&pool->next, 0);
    pool->working = pool->workers;
    pool->turn++;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->mutex);
    take_items(pool, 0);
    pthread_mutex_lock(&pool->mutex);
    while (pool->working > 0) {
        pthread_cond_wait(&pool->end, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
}

void cpu_pool_close(struct cpu_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->mutex);
    for (uint32_t i = 0; i < pool->workers; i++) {
        pthread_join(pool->worker[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->begin);
    pthread_cond_destroy(&pool->end);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}
