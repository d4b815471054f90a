/* One connection to Redis, RESP2, over a Unix socket or TCP. Blocking, with timeouts: for a worker, never the loop. */
#ifndef PUBLISH_REDIS_H
#define PUBLISH_REDIS_H

#include "millrace/base.h"

enum { PUBLISH_REDIS_SERVER_SIZE = 64 };

struct publish_redis;

/* Address: "unix:/path" or "host:port" (of an IPv6 address: "[::1]:6379"). Connects when it first writes. REJECT
 * "bad_redis" names what is wrong with it. */
MR_MUST_USE struct mr_error publish_redis_new(const char *address, uint32_t timeout_ms,
                                              struct publish_redis **ret_redis);
void publish_redis_free(struct publish_redis *redis);

/* Sends `count` commands and reads their answers, connecting first where there is no connection. TRANSIENT
 * "redis_unavailable" says what failed; the connection is then closed, and some of the commands may have been done. */
MR_MUST_USE struct mr_error publish_redis_write(struct publish_redis *redis, struct mr_bytes commands, size_t count);
/* Appends a command to a write (RESP2), and counts it. FATAL "out_of_memory". */
MR_MUST_USE struct mr_error publish_redis_append(struct mr_buffer *commands, size_t *count, const char *const words[],
                                                 size_t word_count);
/* A key's text, cut to fit; "" if there is none. Connects as publish_redis_write does. TRANSIENT
 * "redis_unavailable". */
MR_MUST_USE struct mr_error publish_redis_get(struct publish_redis *redis, const char *key, char *ret_text,
                                              size_t size);
/* The run id of the server that the last call reached: another one after each start of it. "" if it does not say. */
const char *publish_redis_server(const struct publish_redis *redis);

#endif
