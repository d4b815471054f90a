#include "wake.h"

#include "threads.h"

#include <errno.h>
#include <hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    CALL_WAIT_MS = 1000,  /* to connect, and for the answer to SUBSCRIBE */
    QUIET_MS = 10 * 1000, /* then the server is asked whether it is there; as long again for its answer */
    PROBE_FIRST_MS = 100,
    PROBE_LONGEST_MS = 5000,
    CHANNEL_SIZE = MR_ID_SIZE + 32,
};

struct wake {
    struct mr_redis_address address;
    char channel[CHANNEL_SIZE];
    struct wake_listener listener;
    int stop; /* readable: the thread ends */
    pthread_t thread;
};

static struct mr_error broken(const redisContext *context, const char *what)
{
    return mr_error_make(MR_ERROR_TRANSIENT, "redis_unavailable", 0, "%s: %s", what,
                         context == NULL     ? "out of memory"
                         : context->err != 0 ? context->errstr
                                             : "no answer");
}

/* True: a stop is asked for, within that time. */
static bool stopped(const struct wake *wake, int wait_ms)
{
    struct pollfd polled = {.fd = wake->stop, .events = POLLIN};
    return poll(&polled, 1, wait_ms) > 0;
}

static redisContext *subscribe(const struct wake *wake, struct mr_error *ret_error)
{
    const struct timeval wait = {.tv_sec = CALL_WAIT_MS / 1000, .tv_usec = CALL_WAIT_MS % 1000 * 1000L};
    const struct mr_redis_address *address = &wake->address;
    redisContext *context = address->unix_path[0] != '\0' ? redisConnectUnixWithTimeout(address->unix_path, wait)
                                                          : redisConnectWithTimeout(address->host, address->port, wait);
    redisReply *reply = NULL;
    if (context != NULL && context->err == 0 && redisSetTimeout(context, wait) == REDIS_OK) {
        reply = redisCommand(context, "SUBSCRIBE %s", wake->channel);
    }
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY) {
        freeReplyObject(reply);
        *ret_error = mr_ok();
        return context;
    }
    *ret_error = reply != NULL && reply->type == REDIS_REPLY_ERROR
                     ? mr_error_make(MR_ERROR_TRANSIENT, "redis_unavailable", 0, "SUBSCRIBE: %s", reply->str)
                     : broken(context, "connect");
    freeReplyObject(reply);
    if (context != NULL) {
        redisFree(context);
    }
    return NULL;
}

/* Reads what has come; true in *ret_message: a message was among it. */
static struct mr_error read_replies(redisContext *context, bool *ret_message)
{
    *ret_message = false;
    if (redisBufferRead(context) != REDIS_OK) {
        return broken(context, "read");
    }
    for (;;) {
        void *answer = NULL;
        if (redisGetReplyFromReader(context, &answer) != REDIS_OK) {
            return broken(context, "read");
        }
        if (answer == NULL) {
            return mr_ok();
        }
        const redisReply *reply = answer;
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && reply->element[0]->type == REDIS_REPLY_STRING) {
            *ret_message = *ret_message || strcmp(reply->element[0]->str, "message") == 0;
        }
        freeReplyObject(answer);
    }
}

static struct mr_error ask(redisContext *context)
{
    int done = 0;
    if (redisAppendCommand(context, "PING") != REDIS_OK) {
        return broken(context, "PING");
    }
    while (done == 0) {
        if (redisBufferWrite(context, &done) != REDIS_OK) {
            return broken(context, "PING");
        }
    }
    return mr_ok();
}

/* Until the connection breaks, or a stop: mr_ok. */
static struct mr_error listen_on(const struct wake *wake, redisContext *context)
{
    bool asked = false;
    for (;;) {
        struct pollfd polled[] = {{.fd = wake->stop, .events = POLLIN}, {.fd = context->fd, .events = POLLIN}};
        const int ready = poll(polled, MR_COUNT_OF(polled), QUIET_MS);
        if (ready < 0 && errno != EINTR) {
            return mr_error_make(MR_ERROR_TRANSIENT, "redis_unavailable", errno, "poll: %s", strerror(errno));
        }
        if (polled[0].revents != 0) {
            return mr_ok();
        }
        if (ready == 0) {
            if (asked) {
                return mr_error_make(MR_ERROR_TRANSIENT, "redis_unavailable", 0, "no answer to PING");
            }
            MR_TRY(ask(context));
            asked = true;
        } else if (ready > 0) {
            bool message = false;
            MR_TRY(read_replies(context, &message));
            asked = false;
            if (message) {
                wake->listener.woken(wake->listener.self);
            }
        }
    }
}

static void *run(void *self)
{
    struct wake *wake = self;
    bool is_told = false;
    int wait_ms = PROBE_FIRST_MS;
    while (!stopped(wake, 0)) {
        struct mr_error error;
        redisContext *context = subscribe(wake, &error);
        if (context != NULL) {
            wake->listener.told(wake->listener.self, mr_ok());
            wake->listener.woken(wake->listener.self);
            error = listen_on(wake, context);
            redisFree(context);
            is_told = false;
            wait_ms = PROBE_FIRST_MS;
        }
        if (mr_failed(error) && !is_told) {
            wake->listener.told(wake->listener.self, error);
            is_told = true;
        }
        if (stopped(wake, wait_ms)) {
            break;
        }
        wait_ms = wait_ms * 2 < PROBE_LONGEST_MS ? wait_ms * 2 : PROBE_LONGEST_MS;
    }
    return NULL;
}

struct mr_error wake_open(const struct mr_redis_address *address, const char *model_id,
                          const struct wake_listener *listener, struct wake **ret_wake)
{
    struct wake *wake = calloc(1, sizeof *wake);
    if (wake == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the channel of wake-ups");
    }
    wake->address = *address;
    wake->listener = *listener;
    (void)snprintf(wake->channel, sizeof wake->channel, "millrace:versions:%s", model_id);
    wake->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct mr_error error = wake->stop < 0
                                ? mr_error_make(MR_ERROR_FATAL, "no_thread", errno, "eventfd: %s", strerror(errno))
                                : client_thread_start(&wake->thread, run, wake);
    if (mr_failed(error)) {
        if (wake->stop >= 0) {
            (void)close(wake->stop);
        }
        free(wake);
        return error;
    }
    *ret_wake = wake;
    return mr_ok();
}

void wake_close(struct wake *wake)
{
    if (wake == NULL) {
        return;
    }
    MR_ASSERT(eventfd_write(wake->stop, 1) == 0);
    MR_ASSERT(pthread_join(wake->thread, NULL) == 0);
    (void)close(wake->stop);
    free(wake);
}
