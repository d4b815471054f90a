/*
 * The channel of wake-ups: a thread that is subscribed to what publish says of a model's versions, and tells of each
 * message. While Redis is away it tries again, for ever; whoever listens polls besides, since a message may be missed.
 */
#ifndef CLIENT_WAKE_H
#define CLIENT_WAKE_H

#include "millrace/redis_address.h"

struct wake;
struct wake_listener {
    void *self;
    void (*woken)(void *self); /* a message, or the channel has opened: one may have been missed */
    /* When it opens (mr_ok) and breaks. Not told again for failures in a row. */
    void (*told)(void *self, struct mr_error error);
};

MR_MUST_USE struct mr_error wake_open(const struct mr_redis_address *address, const char *model_id,
                                      const struct wake_listener *listener, struct wake **ret_wake);
/* No call of the listener is under way when it returns. NULL is nothing. */
void wake_close(struct wake *wake);

#endif
