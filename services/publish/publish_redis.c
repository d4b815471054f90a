#include "publish_redis.h"

#include "millrace/redis_address.h"

#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

struct publish_redis {
    redisContext *context;
    struct mr_redis_address address;
    struct timeval timeout;
    char server[PUBLISH_REDIS_SERVER_SIZE];
};

struct mr_error publish_redis_new(const char *address, uint32_t timeout_ms, struct publish_redis **ret_redis)
{
    struct publish_redis *redis = calloc(1, sizeof *redis);
    if (redis == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "redis connection");
    }
    redis->timeout = (struct timeval){.tv_sec = (time_t)(timeout_ms / 1000), .tv_usec = (timeout_ms % 1000) * 1000L};
    const struct mr_error error = mr_redis_address_parse(address, &redis->address);
    if (mr_failed(error)) {
        publish_redis_free(redis);
        return error;
    }
    *ret_redis = redis;
    return mr_ok();
}

static void disconnect(struct publish_redis *redis)
{
    if (redis->context != NULL) {
        redisFree(redis->context);
        redis->context = NULL;
    }
}

void publish_redis_free(struct publish_redis *redis)
{
    if (redis == NULL) {
        return;
    }
    disconnect(redis);
    free(redis);
}

static struct mr_error unavailable(struct publish_redis *redis, const char *what, const char *why)
{
    const struct mr_error error =
        mr_error_make(MR_ERROR_TRANSIENT, "redis_unavailable", 0, "%s: %s: %s",
                      redis->address.unix_path[0] != '\0' ? redis->address.unix_path : redis->address.host, what, why);
    disconnect(redis);
    return error;
}

/* A server that may not tell is one that nothing is known of. */
static struct mr_error ask_server(struct publish_redis *redis)
{
    static const char name[] = "run_id:";
    redisReply *reply = redisCommand(redis->context, "INFO server");
    if (reply == NULL) {
        return unavailable(redis, "connect", redis->context->errstr);
    }
    redis->server[0] = '\0';
    const char *found = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, name) : NULL;
    if (found != NULL) {
        found += sizeof name - 1;
        (void)snprintf(redis->server, sizeof redis->server, "%.*s", (int)strcspn(found, "\r\n"), found);
    }
    freeReplyObject(reply);
    return mr_ok();
}

static struct mr_error connect_once(struct publish_redis *redis)
{
    const struct mr_redis_address *address = &redis->address;
    redis->context = address->unix_path[0] != '\0'
                         ? redisConnectUnixWithTimeout(address->unix_path, redis->timeout)
                         : redisConnectWithTimeout(address->host, address->port, redis->timeout);
    if (redis->context == NULL) {
        return unavailable(redis, "connect", "out of memory");
    }
    if (redis->context->err != 0 || redisSetTimeout(redis->context, redis->timeout) != REDIS_OK) {
        return unavailable(redis, "connect", redis->context->errstr);
    }
    return ask_server(redis);
}

static struct mr_error read_answer(struct publish_redis *redis)
{
    void *answer = NULL;
    if (redisGetReply(redis->context, &answer) != REDIS_OK) {
        return unavailable(redis, "write", redis->context->errstr);
    }
    const redisReply *reply = answer;
    const struct mr_error error =
        reply->type == REDIS_REPLY_ERROR ? unavailable(redis, "refused", reply->str) : mr_ok();
    freeReplyObject(answer);
    return error;
}

struct mr_error publish_redis_write(struct publish_redis *redis, struct mr_bytes commands, size_t count)
{
    if (redis->context == NULL) {
        MR_TRY(connect_once(redis));
    }
    if (redisAppendFormattedCommand(redis->context, (const char *)commands.data, commands.size) != REDIS_OK) {
        return unavailable(redis, "write", redis->context->errstr);
    }
    for (size_t i = 0; i < count; i++) {
        MR_TRY(read_answer(redis));
    }
    return mr_ok();
}

struct mr_error publish_redis_append(struct mr_buffer *commands, size_t *count, const char *const words[],
                                     size_t word_count)
{
    char *text = NULL;
    /* hiredis leaves the words alone; its type says otherwise. */
    const char *mutable_words[40];
    MR_ASSERT(word_count <= MR_COUNT_OF(mutable_words));
    memcpy(mutable_words, words, word_count * sizeof *words);
    const int size = redisFormatCommandArgv(&text, (int)word_count, mutable_words, NULL);
    if (size < 0) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the view's pending changes");
    }
    const struct mr_error error = mr_buffer_append(commands, text, (size_t)size);
    redisFreeCommand(text);
    *count += 1;
    return error;
}

struct mr_error publish_redis_get(struct publish_redis *redis, const char *key, char *ret_text, size_t size)
{
    if (redis->context == NULL) {
        MR_TRY(connect_once(redis));
    }
    redisReply *reply = redisCommand(redis->context, "GET %s", key);
    if (reply == NULL) {
        return unavailable(redis, "read", redis->context->errstr);
    }
    const bool some = reply->type == REDIS_REPLY_STRING;
    const struct mr_error error =
        reply->type == REDIS_REPLY_ERROR ? unavailable(redis, "refused", reply->str) : mr_ok();
    (void)snprintf(ret_text, size, "%s", some ? reply->str : "");
    freeReplyObject(reply);
    return error;
}

const char *publish_redis_server(const struct publish_redis *redis)
{
    return redis->server;
}
