#include "publish_redis.h"

#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

struct publish_redis {
    redisContext *context;
    char *unix_path; /* NULL: host and port */
    char *host;
    int port;
    struct timeval timeout;
    char server[PUBLISH_REDIS_SERVER_SIZE];
};

static struct mr_error bad_address(const char *address)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_redis", 0, "redis \"%s\": expected unix:/path, host:port or none",
                         address);
}

/* Host and port of "host:port" or "[host]:port". */
static struct mr_error parse_host(const char *address, struct publish_redis *redis)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || strlen(colon + 1) == 0 || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        return bad_address(address);
    }
    const long port = strtol(colon + 1, NULL, 10);
    const char *host = address;
    size_t size = (size_t)(colon - address);
    if (host[0] == '[' && host[size - 1] == ']') {
        host += 1;
        size -= 2;
    }
    if (port < 1 || port > 65535 || size == 0 || size > SIZE_MAX / 2) {
        return bad_address(address);
    }
    redis->host = strndup(host, size);
    redis->port = (int)port;
    return redis->host == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "redis address") : mr_ok();
}

static struct mr_error parse_address(const char *address, struct publish_redis *redis)
{
    static const char unix_prefix[] = "unix:";
    if (strncmp(address, unix_prefix, sizeof unix_prefix - 1) != 0) {
        return parse_host(address, redis);
    }
    const char *path = address + sizeof unix_prefix - 1;
    if (path[0] != '/') {
        return bad_address(address);
    }
    redis->unix_path = strdup(path);
    return redis->unix_path == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "redis address") : mr_ok();
}

struct mr_error publish_redis_new(const char *address, uint32_t timeout_ms, struct publish_redis **ret_redis)
{
    struct publish_redis *redis = calloc(1, sizeof *redis);
    if (redis == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "redis connection");
    }
    redis->timeout = (struct timeval){.tv_sec = (time_t)(timeout_ms / 1000), .tv_usec = (timeout_ms % 1000) * 1000L};
    const struct mr_error error = parse_address(address, redis);
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
    free(redis->unix_path);
    free(redis->host);
    free(redis);
}

static struct mr_error unavailable(struct publish_redis *redis, const char *what, const char *why)
{
    const struct mr_error error = mr_error_make(MR_ERROR_TRANSIENT, "redis_unavailable", 0, "%s: %s: %s",
                                                redis->unix_path != NULL ? redis->unix_path : redis->host, what, why);
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
    redis->context = redis->unix_path != NULL ? redisConnectUnixWithTimeout(redis->unix_path, redis->timeout)
                                              : redisConnectWithTimeout(redis->host, redis->port, redis->timeout);
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
