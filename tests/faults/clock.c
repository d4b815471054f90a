/*
 * The wall clock. The clock that never goes back stays as it is. A wait until a time of the wall clock ends by the
 * moved one, as it does when a machine's clock is set: librdkafka waits like that.
 */
#include "faults.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_EVERY_NS = 20000000, SECOND_NS = 1000000000 };

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    const volatile struct faults *faults = faults_of_test();
    const int status = (int)syscall(SYS_clock_gettime, clock, ret_time);
    if (status == 0 && faults != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        ret_time->tv_sec += faults->clock_shift_s;
    }
    return status;
}

int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
    (void)zone;
    struct timespec now;
    const int status = clock_gettime(CLOCK_REALTIME, &now);
    *ret_time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return status;
}

time_t time(time_t *ret_time)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (ret_time != NULL) {
        *ret_time = now.tv_sec;
    }
    return now.tv_sec;
}

int timespec_get(struct timespec *ret_time, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, ret_time) == 0 ? base : 0;
}

static int64_t ns_until(const struct timespec *time)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)(time->tv_sec - now.tv_sec) * SECOND_NS + time->tv_nsec - now.tv_nsec;
}

/* By the machine's clock, which alone the C library knows: so long from now, and not longer than between two looks. */
static struct timespec next_look(int64_t left_ns)
{
    struct timespec look;
    (void)syscall(SYS_clock_gettime, CLOCK_REALTIME, &look);
    look.tv_nsec += left_ns <= 0 ? 0 : left_ns < LOOK_EVERY_NS ? (long)left_ns : LOOK_EVERY_NS;
    look.tv_sec += look.tv_nsec / SECOND_NS;
    look.tv_nsec %= SECOND_NS;
    return look;
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    int (*next)(cnd_t *, mtx_t *, const struct timespec *);
    *(void **)&next = dlsym(RTLD_NEXT, "cnd_timedwait");
    if (next == NULL) {
        faults_refuse("the C library has no cnd_timedwait");
    }
    for (;;) {
        const int64_t left_ns = ns_until(until);
        const struct timespec look = next_look(left_ns);
        const int status = next(condition, mutex, &look);
        if (status != thrd_timedout || left_ns <= 0) {
            return status;
        }
    }
}
