/* Many threads on one small arena: every batch arrives whole and once, and a waiting owner is woken. */
#include "check_main.h"
#include "millrace/arena.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BYTES = 16384, BLOCKS = 6, BATCHES = 3000, CONSUMERS = 2, FILLERS = 2, QUEUE = 64 };

/* What stands for the staged topic. */
struct queue {
    pthread_mutex_t lock;
    sem_t filled, room;
    struct mr_lease leases[QUEUE];
    unsigned in, out;
};

struct world {
    struct mr_arena_owner *owner;
    struct mr_arena_consumer *consumer;
    struct queue queue;
    sem_t woken;
    pthread_mutex_t owner_lock; /* of `next` and the turns */
    unsigned next;
    _Atomic unsigned taken, waits;
    _Atomic uint64_t sum;
};

static void wake(void *self)
{
    struct world *w = self;
    ck_assert_int_eq(sem_post(&w->woken), 0);
}

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
    }
}

static void push(struct queue *q, const struct mr_lease *lease)
{
    await(&q->room);
    ck_assert_int_eq(pthread_mutex_lock(&q->lock), 0);
    q->leases[q->in++ % QUEUE] = *lease;
    ck_assert_int_eq(pthread_mutex_unlock(&q->lock), 0);
    ck_assert_int_eq(sem_post(&q->filled), 0);
}

static struct mr_lease pop(struct queue *q)
{
    await(&q->filled);
    ck_assert_int_eq(pthread_mutex_lock(&q->lock), 0);
    const struct mr_lease lease = q->leases[q->out++ % QUEUE];
    ck_assert_int_eq(pthread_mutex_unlock(&q->lock), 0);
    ck_assert_int_eq(sem_post(&q->room), 0);
    return lease;
}

static uint64_t size_of(unsigned batch)
{
    return 1 + (uint64_t)(batch * 2654435761U) % (BYTES / 3);
}

/* Waits, as the stage loop does, until the arena wakes it. */
static void allocate(struct world *w, uint64_t size, struct mr_arena_block *block)
{
    while (mr_arena_owner_allocate(w->owner, size, block) == MR_ARENA_EXHAUSTED) {
        atomic_fetch_add(&w->waits, 1);
        await(&w->woken);
        (void)mr_arena_owner_turn(w->owner);
    }
}

static void *fill(void *self)
{
    struct world *w = self;
    for (;;) {
        struct mr_arena_block block;
        struct mr_lease lease;
        ck_assert_int_eq(pthread_mutex_lock(&w->owner_lock), 0);
        const unsigned batch = w->next < BATCHES ? w->next++ : BATCHES;
        if (batch < BATCHES) {
            allocate(w, size_of(batch), &block);
        }
        ck_assert_int_eq(pthread_mutex_unlock(&w->owner_lock), 0);
        if (batch == BATCHES) {
            return NULL;
        }
        memset(block.data, (int)(batch & 0xff), (size_t)size_of(batch));
        memcpy(block.data, &batch, size_of(batch) < sizeof batch ? 1 : sizeof batch);
        ck_assert(!mr_failed(mr_arena_owner_publish(w->owner, &block, size_of(batch), &lease)));
        push(&w->queue, &lease);
    }
}

static void *consume(void *self)
{
    struct world *w = self;
    for (;;) {
        const struct mr_lease lease = pop(&w->queue);
        struct mr_leased leased;
        if (lease.generation == 0) {
            return NULL;
        }
        ck_assert_int_eq(mr_arena_take(w->consumer, &lease, &leased), MR_LEASE_HELD);
        unsigned batch = leased.bytes.data[0];
        if (leased.bytes.size >= sizeof batch) {
            memcpy(&batch, leased.bytes.data, sizeof batch);
            ck_assert_uint_eq(leased.bytes.size, size_of(batch));
        }
        size_t wrong = 0;
        for (size_t i = sizeof batch; i < leased.bytes.size; i++) {
            wrong += leased.bytes.data[i] != (batch & 0xff);
        }
        ck_assert_uint_eq(wrong, 0);
        atomic_fetch_add(&w->sum, leased.bytes.size);
        atomic_fetch_add(&w->taken, 1);
        mr_arena_release(w->consumer, &leased);
    }
}

static void open_world(struct world *w, const char *path)
{
    const struct mr_arena_config config = {
        .bytes = BYTES, .blocks = BLOCKS, .path = path, .wake = wake, .wake_self = w};
    ck_assert_int_eq(sem_init(&w->woken, 0, 0), 0);
    ck_assert_int_eq(sem_init(&w->queue.filled, 0, 0), 0);
    ck_assert_int_eq(sem_init(&w->queue.room, 0, QUEUE), 0);
    ck_assert_int_eq(pthread_mutex_init(&w->queue.lock, NULL), 0);
    ck_assert_int_eq(pthread_mutex_init(&w->owner_lock, NULL), 0);
    ck_assert(!mr_failed(mr_arena_owner_open(&config, &w->owner)));
    ck_assert(!mr_failed(mr_arena_consumer_open(path, &w->consumer)));
    ck_assert_int_eq(mr_arena_consumer_turn(w->consumer, 0).news, MR_ARENA_CONSUMER_STEADY);
    await(&w->woken); /* the connection wakes the owner */
    ck_assert(mr_arena_owner_turn(w->owner).consumer_came);
    ck_assert_int_eq(mr_arena_consumer_turn(w->consumer, 0).news, MR_ARENA_CONSUMER_CONNECTED);
}

START_TEST(every_batch_arrives_whole_and_once)
{
    char directory[] = "/tmp/mr-arena-XXXXXX", path[64], lock[64];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/arena", directory);
    snprintf(lock, sizeof lock, "%s/arena.lock", directory);
    static struct world w;
    open_world(&w, path);
    pthread_t fillers[FILLERS], consumers[CONSUMERS];
    for (unsigned i = 0; i < CONSUMERS; i++) {
        ck_assert_int_eq(pthread_create(&consumers[i], NULL, consume, &w), 0);
    }
    for (unsigned i = 0; i < FILLERS; i++) {
        ck_assert_int_eq(pthread_create(&fillers[i], NULL, fill, &w), 0);
    }
    for (unsigned i = 0; i < FILLERS; i++) {
        ck_assert_int_eq(pthread_join(fillers[i], NULL), 0);
    }
    const struct mr_lease end = {.generation = 0};
    for (unsigned i = 0; i < CONSUMERS; i++) {
        push(&w.queue, &end);
    }
    for (unsigned i = 0; i < CONSUMERS; i++) {
        ck_assert_int_eq(pthread_join(consumers[i], NULL), 0);
    }
    uint64_t sum = 0;
    for (unsigned i = 0; i < BATCHES; i++) {
        sum += size_of(i);
    }
    ck_assert_uint_eq(w.taken, BATCHES);
    ck_assert_uint_eq(w.sum, sum);
    const struct mr_arena_owner_turn turn = mr_arena_owner_turn(w.owner);
    ck_assert_uint_eq(turn.corrupt, 0);
    const struct mr_arena_usage usage = mr_arena_owner_usage(w.owner);
    ck_assert_uint_eq(usage.free_bytes, BYTES);
    ck_assert_uint_eq(usage.largest_free_bytes, BYTES);
    ck_assert_uint_eq(usage.blocks_leased + usage.blocks_filling, 0);
    mr_arena_consumer_close(w.consumer);
    mr_arena_owner_close(w.owner);
    (void)unlink(lock);
    (void)rmdir(directory);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, every_batch_arrives_whole_and_once);
}

int main(void)
{
    return check_main("arena_thread", add);
}
