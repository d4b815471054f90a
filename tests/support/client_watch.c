#include "client_watch.h"

#include "millrace/base.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENTS_MAX = 64, WAIT_S = 60 };

struct client_watch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t served; /* the newest counter, + 1 */
    uint64_t count[MR_CLIENT_EVENT_LAST + 1];
    struct mr_client_event events[EVENTS_MAX]; /* but SERVED; the oldest are dropped */
    size_t event_count;
};

struct client_watch *client_watch_new(void)
{
    struct client_watch *watch = calloc(1, sizeof *watch);
    MR_ASSERT(watch != NULL && pthread_mutex_init(&watch->lock, NULL) == 0 &&
              pthread_cond_init(&watch->changed, NULL) == 0);
    return watch;
}

void client_watch_free(struct client_watch *watch)
{
    MR_ASSERT(pthread_mutex_destroy(&watch->lock) == 0 && pthread_cond_destroy(&watch->changed) == 0);
    free(watch);
}

void client_watch_event(void *self, const struct mr_client_event *event)
{
    struct client_watch *watch = self;
    MR_ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    watch->count[event->kind]++;
    if (event->kind == MR_CLIENT_SERVED) {
        watch->served = event->counter + 1;
    } else {
        if (watch->event_count == EVENTS_MAX) {
            memmove(watch->events, watch->events + 1, (EVENTS_MAX - 1) * sizeof *watch->events);
            watch->event_count--;
        }
        watch->events[watch->event_count++] = *event;
    }
    MR_ASSERT(pthread_cond_broadcast(&watch->changed) == 0);
    MR_ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
}

/* With the lock; false: the minute is over. */
static bool wait_more(struct client_watch *watch, const struct timespec *deadline)
{
    return pthread_cond_timedwait(&watch->changed, &watch->lock, deadline) == 0;
}

static struct timespec deadline(void)
{
    struct timespec at;
    MR_ASSERT(clock_gettime(CLOCK_REALTIME, &at) == 0);
    at.tv_sec += WAIT_S;
    return at;
}

void client_watch_served(struct client_watch *watch, uint64_t counter)
{
    const struct timespec at = deadline();
    bool more = true;
    MR_ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    while (watch->served < counter + 1 && more) {
        more = wait_more(watch, &at);
    }
    const uint64_t served = watch->served;
    MR_ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
    ck_assert_msg(served >= counter + 1, "version %d is not served after %d s; the newest is %d", (int)counter, WAIT_S,
                  (int)served - 1);
}

static bool take(struct client_watch *watch, enum mr_client_event_kind kind, const char *code,
                 struct mr_client_event *ret_event)
{
    for (size_t i = 0; i < watch->event_count; i++) {
        if (watch->events[i].kind == kind && strcmp(watch->events[i].error.code, code) == 0) {
            *ret_event = watch->events[i];
            watch->event_count--;
            memmove(watch->events + i, watch->events + i + 1, (watch->event_count - i) * sizeof *watch->events);
            return true;
        }
    }
    return false;
}

struct mr_client_event client_watch_told(struct client_watch *watch, enum mr_client_event_kind kind, const char *code)
{
    const struct timespec at = deadline();
    struct mr_client_event event = {.kind = kind};
    bool more = true;
    MR_ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    bool found = take(watch, kind, code, &event);
    while (!found && more) {
        more = wait_more(watch, &at);
        found = take(watch, kind, code, &event);
    }
    MR_ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
    ck_assert_msg(found, "no %s %s is told after %d s", mr_client_event_text(kind), code, WAIT_S);
    return event;
}

uint64_t client_watch_count(struct client_watch *watch, enum mr_client_event_kind kind)
{
    MR_ASSERT(pthread_mutex_lock(&watch->lock) == 0);
    const uint64_t count = watch->count[kind];
    MR_ASSERT(pthread_mutex_unlock(&watch->lock) == 0);
    return count;
}
