#include "bad_s3.h"

#include "millrace/hash.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OBJECTS_MAX = 512, KEY_SIZE = 256, ETAG_SIZE = 33, BETWEEN_MS = 10 };

struct object {
    char key[KEY_SIZE];
    struct mr_buffer body, before, later; /* `later`: refused, and applied after the next read */
    char etag[ETAG_SIZE];
    bool removed, stale, has_later;
};

struct bad_s3 {
    enum bad_s3_kind kind;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    pthread_cond_t between; /* one more request is between its check and its write */
    unsigned checked;
    struct object objects[OBJECTS_MAX]; /* in the order of their creation */
    size_t count;
    const struct object *newest;
};

struct request {
    struct bad_s3 *server;
    struct MHD_Connection *connection;
    char key[KEY_SIZE];
    struct mr_buffer body;
};

struct reply {
    unsigned status;
    const char *etag;
    char range[64];
    struct mr_buffer body;
};

static void append(struct mr_buffer *to, struct mr_bytes bytes)
{
    MR_ASSERT(bytes.size == 0 || !mr_failed(mr_buffer_append(to, bytes.data, bytes.size)));
}

#define SAY(to, ...) MR_ASSERT(!mr_failed(mr_buffer_append_text(to, __VA_ARGS__)))

static struct reply error_of(unsigned status, const char *code)
{
    struct reply reply = {.status = status};
    SAY(&reply.body, "<Error><Code>%s</Code></Error>", code);
    return reply;
}

static const char *header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static const char *argument(const struct request *request, const char *name)
{
    const char *value = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
    return value == NULL ? "" : value;
}

/* ---- Objects, under the lock -------------------------------------------------------------------------- */

static struct object *find(struct bad_s3 *server, const char *key)
{
    for (size_t i = 0; i < server->count; i++) {
        if (strcmp(server->objects[i].key, key) == 0) {
            return &server->objects[i];
        }
    }
    return NULL;
}

static struct object *find_there(struct bad_s3 *server, const char *key)
{
    struct object *object = find(server, key);
    return object != NULL && !object->removed ? object : NULL;
}

static void set_body(struct bad_s3 *server, struct object *object, struct mr_bytes body)
{
    char hash[MR_SHA256_TEXT_SIZE];
    const struct mr_sha256 sum = mr_sha256_of(body);
    mr_sha256_text(&sum, hash);
    object->before.size = 0;
    append(&object->before, mr_buffer_view(&object->body));
    object->stale = server->kind == BAD_S3_READS_STALE && object->before.size > 0 && !object->removed;
    object->body.size = 0;
    append(&object->body, body);
    object->removed = object->has_later = false;
    if (server->kind == BAD_S3_ETAG_OF_SIZE) {
        (void)snprintf(object->etag, sizeof object->etag, "%zu", body.size);
    } else {
        (void)snprintf(object->etag, sizeof object->etag, "%.32s", hash);
    }
    server->newest = object;
}

static const struct object *write_object(struct bad_s3 *server, const struct request *request)
{
    struct object *object = find(server, request->key);
    if (object == NULL) {
        MR_ASSERT(server->count < OBJECTS_MAX);
        object = &server->objects[server->count++];
        (void)snprintf(object->key, sizeof object->key, "%s", request->key);
    }
    set_body(server, object, mr_buffer_view(&request->body));
    return object;
}

/* ---- PUT ------------------------------------------------------------------------------------------------ */

/* 0: the condition holds. */
static unsigned check(struct bad_s3 *server, const struct request *request)
{
    const char *none = header(request, "If-None-Match"), *match = header(request, "If-Match");
    struct object *object = find_there(server, request->key);
    if ((none == NULL && match == NULL) || server->kind == BAD_S3_IGNORES_CONDITIONS) {
        return 0;
    }
    if (server->kind == BAD_S3_REFUSES_CONDITIONS) {
        return 501;
    }
    if (none != NULL) {
        return object != NULL && server->kind != BAD_S3_VERSIONED ? 412 : 0;
    }
    if (object == NULL) {
        return server->kind == BAD_S3_SWAPS_WHAT_IS_NONE ? 0 : 404;
    }
    const bool holds =
        strcmp(object->etag, match) == 0 && server->kind != BAD_S3_NEVER_MATCHES && server->kind != BAD_S3_VERSIONED;
    if (!holds && server->kind == BAD_S3_APPLIES_LATER) {
        object->later.size = 0;
        append(&object->later, mr_buffer_view(&request->body));
        object->has_later = true;
    }
    return holds ? 0 : 412;
}

/* Until another request is where this one is, or for a while. */
static void wait_between(struct bad_s3 *server)
{
    struct timespec until;
    const unsigned mine = ++server->checked;
    MR_ASSERT(pthread_cond_broadcast(&server->between) == 0);
    MR_ASSERT(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_nsec += BETWEEN_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    int waited = 0;
    while (waited == 0 && server->checked == mine) {
        waited = pthread_cond_timedwait(&server->between, &server->lock, &until);
    }
    MR_ASSERT(waited == 0 || waited == ETIMEDOUT);
}

static struct reply put(struct bad_s3 *server, const struct request *request)
{
    const unsigned refused = check(server, request);
    switch (refused) {
    case 0: break;
    case 404: return error_of(404, "NoSuchKey");
    case 501: return error_of(501, "NotImplemented");
    default: return error_of(412, "PreconditionFailed");
    }
    if (server->kind == BAD_S3_CHECKS_THEN_WRITES &&
        (header(request, "If-Match") != NULL || header(request, "If-None-Match") != NULL)) {
        wait_between(server);
    }
    return (struct reply){.status = 200, .etag = write_object(server, request)->etag};
}

/* ---- GET, HEAD, DELETE ---------------------------------------------------------------------------------- */

static void cut_range(const struct bad_s3 *server, const char *range, struct reply *reply)
{
    unsigned long first = 0, last = 0;
    const int fields = sscanf(range, "bytes=%lu-%lu", &first, &last);
    const size_t size = reply->body.size;
    MR_ASSERT(fields >= 1);
    if (first >= size) {
        mr_buffer_deinit(&reply->body);
        *reply = error_of(416, "InvalidRange");
        return;
    }
    last = fields == 1 || last >= size ? size - 1 : last;
    last += server->kind == BAD_S3_BAD_RANGES && last + 1 < size ? 1 : 0;
    (void)snprintf(reply->range, sizeof reply->range, "bytes %lu-%lu/%zu", first, last, size);
    memmove(reply->body.data, reply->body.data + first, last - first + 1);
    reply->body.size = last - first + 1;
    reply->status = 206;
}

static struct reply get(struct bad_s3 *server, const struct request *request)
{
    struct object *object = find_there(server, request->key);
    struct reply reply = {.status = 200};
    if (object == NULL) {
        return error_of(404, "NoSuchKey");
    }
    append(&reply.body, mr_buffer_view(object->stale ? &object->before : &object->body));
    object->stale = false;
    reply.etag = object->etag;
    if (header(request, "Range") != NULL) {
        cut_range(server, header(request, "Range"), &reply);
    }
    if (object->has_later) {
        struct mr_buffer later = object->later;
        object->later = (struct mr_buffer){0};
        set_body(server, object, mr_buffer_view(&later));
        mr_buffer_deinit(&later);
    }
    return reply;
}

static struct reply remove_object(struct bad_s3 *server, const struct request *request)
{
    struct object *object = find(server, request->key);
    if (object != NULL) {
        object->removed = true;
    }
    return (struct reply){.status = 204};
}

/* ---- Lists ------------------------------------------------------------------------------------------------ */

static bool is_listed(const struct bad_s3 *server, const struct object *object, const char *prefix, const char *after)
{
    return strncmp(object->key, prefix, strlen(prefix)) == 0 && strcmp(object->key, after) > 0 &&
           (!object->removed || server->kind == BAD_S3_LISTS_REMOVED) &&
           !(server->kind == BAD_S3_LISTS_LATE && object == server->newest);
}

/* The next key behind `after`, or NULL. */
static const struct object *next_listed(const struct bad_s3 *server, const char *prefix, const char *after)
{
    const struct object *next = NULL;
    for (size_t i = 0; i < server->count; i++) {
        const struct object *object = &server->objects[i];
        if (is_listed(server, object, prefix, after) && (next == NULL || strcmp(object->key, next->key) < 0)) {
            next = object;
        }
    }
    return next;
}

static struct reply list(struct bad_s3 *server, const struct request *request)
{
    struct reply reply = {.status = 200};
    const char *prefix = argument(request, "prefix"), *after = argument(request, "start-after");
    const unsigned long limit = strtoul(argument(request, "max-keys"), NULL, 10);
    const struct object *object = next_listed(server, prefix, after);
    if (server->kind == BAD_S3_SKIPS_BETWEEN_PAGES && after[0] != '\0' && object != NULL) {
        object = next_listed(server, prefix, object->key);
    }
    SAY(&reply.body, "<ListBucketResult>");
    for (unsigned long i = 0; i < limit && object != NULL; i++) {
        SAY(&reply.body, "<Contents><Key>%s</Key><Size>%zu</Size></Contents>", object->key, object->body.size);
        object = next_listed(server, prefix, object->key);
    }
    SAY(&reply.body, "<IsTruncated>%s</IsTruncated></ListBucketResult>", object != NULL ? "true" : "false");
    return reply;
}

/* ---- The server ------------------------------------------------------------------------------------------- */

static struct reply answer(struct bad_s3 *server, const char *method, const struct request *request)
{
    if (strcmp(method, "PUT") == 0) {
        return put(server, request);
    }
    if (strcmp(method, "DELETE") == 0) {
        return remove_object(server, request);
    }
    return request->key[0] == '\0' ? list(server, request) : get(server, request);
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, const struct bad_s3 *server, const char *method,
                                  struct reply *reply)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->body.size, reply->body.data, MHD_RESPMEM_MUST_COPY);
    MR_ASSERT(response != NULL);
    if (reply->etag != NULL) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, reply->etag);
    }
    if (reply->range[0] != '\0') {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, reply->range);
    }
    if ((server->kind == BAD_S3_VERSIONED || server->kind == BAD_S3_KEEPS_VERSIONS) && strcmp(method, "PUT") == 0) {
        (void)MHD_add_response_header(response, "x-amz-version-id", "v1");
    }
    const enum MHD_Result result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static struct request *begin_request(struct bad_s3 *server, struct MHD_Connection *connection, const char *path)
{
    struct request *request = calloc(1, sizeof *request);
    MR_ASSERT(request != NULL);
    const char *key = strchr(path + 1, '/'); /* behind the bucket */
    request->server = server;
    request->connection = connection;
    (void)snprintf(request->key, sizeof request->key, "%s", key == NULL ? "" : key + 1);
    return request;
}

static enum MHD_Result handle(void *self, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **context)
{
    struct bad_s3 *server = self;
    struct request *request = *context;
    char etag[ETAG_SIZE];
    (void)version;
    if (request == NULL) {
        *context = begin_request(server, connection, path);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        append(&request->body, mr_bytes_of(upload, *upload_size));
        *upload_size = 0;
        return MHD_YES;
    }
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    struct reply reply = answer(server, method, request);
    if (reply.etag != NULL) {
        (void)snprintf(etag, sizeof etag, "%s", reply.etag); /* before another request changes it */
        reply.etag = etag;
    }
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
    const enum MHD_Result result = send_reply(connection, server, method, &reply);
    mr_buffer_deinit(&reply.body);
    return result;
}

static void completed(void *self, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code)
{
    struct request *request = *context;
    (void)self;
    (void)connection;
    (void)code;
    if (request != NULL) {
        mr_buffer_deinit(&request->body);
        free(request);
    }
    *context = NULL;
}

struct bad_s3 *bad_s3_start(enum bad_s3_kind kind)
{
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct bad_s3 *server = calloc(1, sizeof *server);
    MR_ASSERT(server != NULL);
    server->kind = kind;
    MR_ASSERT(pthread_mutex_init(&server->lock, NULL) == 0 && pthread_cond_init(&server->between, NULL) == 0);
    server->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL,
                                      handle, server, MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&address,
                                      MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
    MR_ASSERT(server->daemon != NULL);
    return server;
}

void bad_s3_stop(struct bad_s3 *server)
{
    MHD_stop_daemon(server->daemon);
    for (size_t i = 0; i < server->count; i++) {
        mr_buffer_deinit(&server->objects[i].body);
        mr_buffer_deinit(&server->objects[i].before);
        mr_buffer_deinit(&server->objects[i].later);
    }
    (void)pthread_cond_destroy(&server->between);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

uint16_t bad_s3_port(const struct bad_s3 *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

size_t bad_s3_objects(struct bad_s3 *server)
{
    size_t count = 0;
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    for (size_t i = 0; i < server->count; i++) {
        count += server->objects[i].removed ? 0 : 1;
    }
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
    return count;
}
