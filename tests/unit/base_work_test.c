#include "check_main.h"
#include "millrace/work.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

struct counting_job {
    struct mr_job job;
    int runs;
    pthread_t ran_on;
    sigset_t blocked;
};

static void count_run(struct mr_job *job)
{
    struct counting_job *self = (struct counting_job *)job;
    self->runs++;
    self->ran_on = pthread_self();
    (void)pthread_sigmask(SIG_SETMASK, NULL, &self->blocked);
}

static bool is_readable(const struct mr_work *work, int wait_ms)
{
    struct pollfd descriptor = {.fd = mr_work_descriptor(work), .events = POLLIN};
    return poll(&descriptor, 1, wait_ms) == 1;
}

/* Waits for the descriptor, as a loop would. */
static struct mr_job *collect_one(struct mr_work *work)
{
    ck_assert(is_readable(work, -1));
    struct mr_job *job = mr_work_collect(work);
    ck_assert_ptr_nonnull(job);
    return job;
}

START_TEST(without_threads_a_job_runs_when_it_is_collected)
{
    struct mr_work *work = NULL;
    struct counting_job jobs[3] = {0};
    ck_assert(!mr_failed(mr_work_open(0, 8, &work)));
    ck_assert_ptr_null(mr_work_collect(work));
    ck_assert(!is_readable(work, 0));
    for (size_t i = 0; i < 3; i++) {
        jobs[i].job.run = count_run;
        ck_assert(mr_work_submit(work, &jobs[i].job));
    }
    ck_assert(is_readable(work, 0));
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(jobs[i].runs, 0);
        ck_assert_ptr_eq(mr_work_collect(work), &jobs[i].job);
        ck_assert_int_eq(jobs[i].runs, 1);
        ck_assert(pthread_equal(jobs[i].ran_on, pthread_self()));
    }
    ck_assert_ptr_null(mr_work_collect(work));
    ck_assert(!is_readable(work, 0));
    mr_work_close(work);
}
END_TEST

START_TEST(a_full_queue_refuses_until_one_is_collected)
{
    for (uint32_t threads = 0; threads < 3; threads++) {
        struct mr_work *work = NULL;
        struct counting_job jobs[3] = {0};
        for (size_t i = 0; i < 3; i++) {
            jobs[i].job.run = count_run;
        }
        ck_assert(!mr_failed(mr_work_open(threads, 2, &work)));
        ck_assert(mr_work_submit(work, &jobs[0].job));
        ck_assert(mr_work_submit(work, &jobs[1].job));
        if (threads == 0) {
            ck_assert(!mr_work_submit(work, &jobs[2].job));
        }
        (void)collect_one(work);
        ck_assert(mr_work_submit(work, &jobs[2].job));
        (void)collect_one(work);
        (void)collect_one(work);
        ck_assert_int_eq(jobs[0].runs + jobs[1].runs + jobs[2].runs, 3);
        mr_work_close(work);
    }
}
END_TEST

enum { MANY = 2000 };

START_TEST(every_job_runs_once_on_a_worker_that_takes_no_signal)
{
    struct mr_work *work = NULL;
    struct counting_job *jobs = calloc(MANY, sizeof *jobs);
    ck_assert_ptr_nonnull(jobs);
    ck_assert(!mr_failed(mr_work_open(3, 16, &work)));
    size_t submitted = 0;
    for (size_t collected = 0; collected < MANY;) {
        if (submitted < MANY) {
            jobs[submitted].job.run = count_run;
            if (mr_work_submit(work, &jobs[submitted].job)) {
                submitted++;
                continue;
            }
        }
        (void)collect_one(work);
        collected++;
    }
    ck_assert_ptr_null(mr_work_collect(work));
    ck_assert(!is_readable(work, 0));
    mr_work_close(work);
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(jobs[i].runs, 1);
        ck_assert(!pthread_equal(jobs[i].ran_on, pthread_self()));
        ck_assert(sigismember(&jobs[i].blocked, SIGTERM) == 1);
    }
    sigset_t ours;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &ours);
    ck_assert(sigismember(&ours, SIGTERM) == 0);
    free(jobs);
}
END_TEST

static void count_wake(void *self)
{
    atomic_fetch_add((_Atomic(int) *)self, 1);
}

START_TEST(the_loop_is_woken_after_each_job)
{
    for (uint32_t threads = 0; threads < 3; threads++) {
        struct mr_work *work = NULL;
        _Atomic(int) wakes = 0;
        struct counting_job jobs[10] = {0};
        ck_assert(!mr_failed(mr_work_open(threads, 10, &work)));
        mr_work_on_done(work, count_wake, &wakes);
        for (size_t i = 0; i < 10; i++) {
            jobs[i].job.run = count_run;
            ck_assert(mr_work_submit(work, &jobs[i].job));
        }
        for (size_t i = 0; i < 10; i++) {
            (void)collect_one(work);
        }
        mr_work_close(work); /* the last worker may still be waking */
        ck_assert_int_eq(atomic_load(&wakes), 10);
    }
}
END_TEST

struct gate_job {
    struct mr_job job;
    pthread_mutex_t *gate;
    _Atomic(int) begun, finished;
};

static void pass_gate(struct mr_job *job)
{
    struct gate_job *self = (struct gate_job *)job;
    atomic_store(&self->begun, 1);
    ck_assert_int_eq(pthread_mutex_lock(self->gate), 0);
    ck_assert_int_eq(pthread_mutex_unlock(self->gate), 0);
    atomic_store(&self->finished, 1);
}

START_TEST(jobs_that_wait_are_limited_and_the_running_one_is_not_among_them)
{
    struct mr_work *work = NULL;
    pthread_mutex_t gate;
    ck_assert_int_eq(pthread_mutex_init(&gate, NULL), 0);
    struct gate_job running = {.job = {.run = pass_gate}, .gate = &gate};
    struct counting_job waiting[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        waiting[i].job.run = count_run;
    }
    ck_assert_int_eq(pthread_mutex_lock(&gate), 0);
    ck_assert(!mr_failed(mr_work_open(1, 2, &work)));
    ck_assert(mr_work_submit(work, &running.job));
    while (atomic_load(&running.begun) == 0) {
        (void)sched_yield();
    }
    ck_assert(mr_work_submit(work, &waiting[0].job));
    ck_assert(mr_work_submit(work, &waiting[1].job));
    ck_assert(!mr_work_submit(work, &waiting[2].job));
    ck_assert_ptr_null(mr_work_collect(work));
    ck_assert_int_eq(pthread_mutex_unlock(&gate), 0);
    ck_assert_ptr_eq(collect_one(work), &running.job);
    (void)collect_one(work);
    ck_assert(mr_work_submit(work, &waiting[2].job));
    mr_work_close(work);
    (void)pthread_mutex_destroy(&gate);
}
END_TEST

START_TEST(jobs_that_nobody_collects_are_limited_too)
{
    struct mr_work *work = NULL;
    struct counting_job jobs[2] = {{.job = {.run = count_run}}, {.job = {.run = count_run}}};
    ck_assert(!mr_failed(mr_work_open(1, 1, &work)));
    ck_assert(mr_work_submit(work, &jobs[0].job));
    ck_assert(is_readable(work, -1));
    ck_assert(!mr_work_submit(work, &jobs[1].job));
    ck_assert_ptr_eq(mr_work_collect(work), &jobs[0].job);
    ck_assert(mr_work_submit(work, &jobs[1].job));
    mr_work_close(work);
}
END_TEST

START_TEST(closing_waits_for_what_runs)
{
    struct mr_work *work = NULL;
    pthread_mutex_t gate;
    ck_assert_int_eq(pthread_mutex_init(&gate, NULL), 0);
    struct gate_job running = {.job = {.run = pass_gate}, .gate = &gate};
    ck_assert_int_eq(pthread_mutex_lock(&gate), 0);
    ck_assert(!mr_failed(mr_work_open(1, 4, &work)));
    ck_assert(mr_work_submit(work, &running.job));
    while (atomic_load(&running.begun) == 0) {
        (void)sched_yield();
    }
    ck_assert_int_eq(pthread_mutex_unlock(&gate), 0);
    mr_work_close(work);
    ck_assert_int_eq(atomic_load(&running.finished), 1);
    (void)pthread_mutex_destroy(&gate);
}
END_TEST

START_TEST(closing_drops_what_has_not_begun)
{
    struct mr_work *work = NULL;
    struct counting_job never = {.job = {.run = count_run}};
    ck_assert(!mr_failed(mr_work_open(0, 4, &work)));
    ck_assert(mr_work_submit(work, &never.job));
    mr_work_close(work);
    ck_assert_int_eq(never.runs, 0);
    mr_work_close(NULL);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, without_threads_a_job_runs_when_it_is_collected);
    tcase_add_test(tests, a_full_queue_refuses_until_one_is_collected);
    tcase_add_test(tests, every_job_runs_once_on_a_worker_that_takes_no_signal);
    tcase_add_test(tests, the_loop_is_woken_after_each_job);
    tcase_add_test(tests, jobs_that_wait_are_limited_and_the_running_one_is_not_among_them);
    tcase_add_test(tests, jobs_that_nobody_collects_are_limited_too);
    tcase_add_test(tests, closing_waits_for_what_runs);
    tcase_add_test(tests, closing_drops_what_has_not_begun);
}

int main(void)
{
    return check_main("base_work", add);
}
