#define _GNU_SOURCE /* memmem, strcasestr, POLLRDHUP */
#include "fault_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct noted {
    char head[FAULT_HEAD_SIZE];
    size_t body;
};

struct connection {
    struct fault_server *server;
    int client;
    pthread_t thread;
};

struct fault_server {
    const struct fault_step *steps;
    size_t step_count;
    uint16_t port, upstream;
    int listener, stop[2];
    pthread_t thread;
    const char *only_method, *only_path_part; /* NULL: all */
    pthread_mutex_t lock;
    pthread_cond_t stalled;
    size_t count, stepped, stalls;
    struct noted *requests;
    struct connection connections[FAULT_REQUESTS_MAX]; /* a client keeps some open */
    size_t connection_count;
};

/* Waits until it can be read, or the test is over. */
static bool readable(const struct fault_server *server, int from)
{
    struct pollfd waits[] = {{.fd = from, .events = POLLIN}, {.fd = server->stop[0], .events = POLLIN}};
    MR_ASSERT(poll(waits, 2, -1) > 0);
    return waits[1].revents == 0;
}

static void send_all(int to, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        const ssize_t sent = send(to, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        at += sent;
        size -= (size_t)sent;
    }
}

static size_t length_of(const char *head)
{
    const char *field = strcasestr(head, "\r\ncontent-length:");
    return field == NULL ? 0 : (size_t)strtoull(strchr(field, ':') + 1, NULL, 10);
}

/* Appends what comes; false: it ended. */
static bool receive(const struct fault_server *server, int from, struct mr_buffer *to)
{
    char part[65536];
    const ssize_t got = readable(server, from) ? recv(from, part, sizeof part, 0) : 0;
    return got > 0 && !mr_failed(mr_buffer_append(to, part, (size_t)got));
}

/* Reads up to the empty line; *ret_head_size counts it in. */
static bool read_head(const struct fault_server *server, int from, struct mr_buffer *message, size_t *ret_head_size)
{
    for (;;) {
        const char *end = message->size == 0 ? NULL : memmem(message->data, message->size, "\r\n\r\n", 4);
        if (end != NULL) {
            *ret_head_size = (size_t)(end - (const char *)message->data) + 4;
            return true;
        }
        if (!receive(server, from, message)) {
            return false;
        }
    }
}

/* The caller holds the lock. */
static const struct fault_step *step_of(struct fault_server *server, const char *head)
{
    static const struct fault_step forward = {FAULT_FORWARD, NULL};
    if (server->only_method != NULL) {
        const char *path_end = strstr(head, " HTTP/"), *part = strstr(head, server->only_path_part);
        if (strncmp(head, server->only_method, strlen(server->only_method)) != 0 || part == NULL || part > path_end) {
            return &forward;
        }
    }
    const size_t at = server->stepped++;
    return &server->steps[at < server->step_count ? at : server->step_count - 1];
}

static struct noted *note(struct fault_server *server, const struct mr_buffer *message, size_t head_size,
                          const struct fault_step **ret_step)
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    MR_ASSERT(server->count < FAULT_REQUESTS_MAX && head_size <= FAULT_HEAD_SIZE);
    struct noted *noted = &server->requests[server->count++];
    memcpy(noted->head, message->data, head_size - 2);
    noted->head[head_size - 2] = '\0';
    *ret_step = step_of(server, noted->head);
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
    return noted;
}

static bool read_body(struct fault_server *server, int from, struct mr_buffer *message, size_t head_size,
                      struct noted *noted)
{
    const size_t length = length_of(noted->head);
    bool good = true;
    if (length > 0 && strcasestr(noted->head, "\r\nexpect:") != NULL) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        send_all(from, go_on, sizeof go_on - 1);
    }
    while (good && message->size - head_size < length) {
        good = receive(server, from, message);
    }
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    noted->body = message->size - head_size;
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
    return good;
}

static bool ends_with_last_chunk(const struct mr_buffer *reply)
{
    static const char end[] = "\r\n0\r\n\r\n";
    const size_t size = sizeof end - 1;
    return reply->size >= size && memcmp(reply->data + reply->size - size, end, size) == 0;
}

/* The whole reply of the real server; empty when there is none. */
static void ask_upstream(const struct fault_server *server, const struct mr_buffer *request, bool has_body,
                         struct mr_buffer *ret_reply)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(server->upstream), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t head_size = 0;
    if (connect(to, (const struct sockaddr *)&address, sizeof address) == 0) {
        send_all(to, request->data, request->size);
        do {
            ret_reply->size = 0;
        } while (read_head(server, to, ret_reply, &head_size) && memcmp(ret_reply->data + 9, "100", 3) == 0);
        if (head_size > 0) {
            char head[FAULT_HEAD_SIZE] = "";
            memcpy(head, ret_reply->data, head_size < sizeof head ? head_size : sizeof head - 1);
            const bool chunked = has_body && strcasestr(head, "\r\ntransfer-encoding: chunked") != NULL;
            const size_t length = has_body ? length_of(head) : 0;
            while ((chunked ? !ends_with_last_chunk(ret_reply) : ret_reply->size < head_size + length) &&
                   receive(server, to, ret_reply)) {
            }
        }
    }
    (void)close(to);
}

static void tell_stall(struct fault_server *server)
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    server->stalls++;
    MR_ASSERT(pthread_cond_broadcast(&server->stalled) == 0);
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
}

/* False: the test is over first. */
static bool await_giving_up(struct fault_server *server, int client)
{
    struct pollfd waits[] = {{.fd = client, .events = POLLRDHUP}, {.fd = server->stop[0], .events = POLLIN}};
    tell_stall(server);
    MR_ASSERT(poll(waits, 2, -1) > 0);
    return waits[1].revents == 0;
}

/* Between client and real server; false: the connection is over. */
static bool hand_on(struct fault_server *server, int client, enum fault_kind kind, const struct mr_buffer *message,
                    bool has_body)
{
    struct mr_buffer reply = {0};
    if (kind == FAULT_FORWARD_LATE && !await_giving_up(server, client)) {
        return false;
    }
    if (kind == FAULT_FORWARD_TWICE) {
        ask_upstream(server, message, has_body, &reply);
        reply.size = 0;
    }
    ask_upstream(server, message, has_body, &reply);
    const bool done = reply.size > 9 && reply.data[9] == '2';
    const bool whole =
        kind == FAULT_FORWARD || kind == FAULT_FORWARD_TWICE || (kind == FAULT_FORWARD_DROP_DONE && !done);
    if (whole) {
        send_all(client, reply.data, reply.size);
    } else if (kind == FAULT_FORWARD_CUT) {
        send_all(client, reply.data, reply.size / 2);
    } else if (kind == FAULT_FORWARD_STALL) {
        tell_stall(server);
        (void)readable(server, server->stop[0]);
    }
    const bool stays = whole && reply.size > 0;
    mr_buffer_deinit(&reply);
    return stays;
}

static bool answer(struct fault_server *server, int client, const struct fault_step *step,
                   const struct mr_buffer *message, bool has_body)
{
    switch (step->kind) {
    case FAULT_REPLY:
    case FAULT_LAST_REPLY: send_all(client, step->text, strlen(step->text)); return step->kind == FAULT_REPLY;
    case FAULT_STALL:
        tell_stall(server);
        (void)readable(server, server->stop[0]);
        return false;
    case FAULT_FORWARD:
    case FAULT_FORWARD_DROP:
    case FAULT_FORWARD_DROP_DONE:
    case FAULT_FORWARD_CUT:
    case FAULT_FORWARD_TWICE:
    case FAULT_FORWARD_STALL:
    case FAULT_FORWARD_LATE: return hand_on(server, client, step->kind, message, has_body);
    case FAULT_DROP:
    case FAULT_DROP_BODY: return false;
    }
    mr_unreachable(__func__);
}

/* One request; false: the connection is over. */
static bool serve_one(struct fault_server *server, int client)
{
    struct mr_buffer message = {0};
    size_t head_size = 0;
    bool stays = false;
    if (read_head(server, client, &message, &head_size)) {
        const struct fault_step *step;
        struct noted *noted = note(server, &message, head_size, &step);
        if (step->kind != FAULT_DROP_BODY && read_body(server, client, &message, head_size, noted)) {
            stays = answer(server, client, step, &message, strncmp(noted->head, "HEAD", 4) != 0);
        }
    }
    mr_buffer_deinit(&message);
    return stays;
}

static void *serve_connection(void *self)
{
    const struct connection *connection = self;
    while (serve_one(connection->server, connection->client)) {
    }
    (void)close(connection->client);
    return NULL;
}

static void *serve(void *self)
{
    struct fault_server *server = self;
    while (readable(server, server->listener)) {
        const int client = accept(server->listener, NULL, NULL);
        if (client >= 0) {
            MR_ASSERT(server->connection_count < FAULT_REQUESTS_MAX);
            MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
            struct connection *connection = &server->connections[server->connection_count++];
            MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
            *connection = (struct connection){.server = server, .client = client};
            MR_ASSERT(pthread_create(&connection->thread, NULL, serve_connection, connection) == 0);
        }
    }
    for (size_t i = 0; i < server->connection_count; i++) {
        MR_ASSERT(pthread_join(server->connections[i].thread, NULL) == 0);
    }
    return NULL;
}

struct fault_server *fault_server_start(const struct fault_step *steps, size_t count, uint16_t upstream_port)
{
    struct fault_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    MR_ASSERT(server != NULL && count > 0);
    server->requests = calloc(FAULT_REQUESTS_MAX, sizeof *server->requests);
    server->steps = steps;
    server->step_count = count;
    server->upstream = upstream_port;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MR_ASSERT(server->requests != NULL && server->listener >= 0);
    MR_ASSERT(bind(server->listener, (const struct sockaddr *)&address, sizeof address) == 0);
    MR_ASSERT(listen(server->listener, 16) == 0);
    MR_ASSERT(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    MR_ASSERT(pipe(server->stop) == 0);
    server->port = ntohs(address.sin_port);
    MR_ASSERT(pthread_mutex_init(&server->lock, NULL) == 0);
    MR_ASSERT(pthread_cond_init(&server->stalled, NULL) == 0);
    MR_ASSERT(pthread_create(&server->thread, NULL, serve, server) == 0);
    return server;
}

void fault_server_stop(struct fault_server *server)
{
    MR_ASSERT(write(server->stop[1], "x", 1) == 1);
    MR_ASSERT(pthread_join(server->thread, NULL) == 0);
    (void)close(server->listener);
    (void)close(server->stop[0]);
    (void)close(server->stop[1]);
    free(server->requests);
    free(server);
}

void fault_server_only(struct fault_server *server, const char *method, const char *path_part)
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    server->only_method = method;
    server->only_path_part = path_part;
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
}

void fault_server_await_stall(struct fault_server *server)
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    while (server->stalls == 0) {
        MR_ASSERT(pthread_cond_wait(&server->stalled, &server->lock) == 0);
    }
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
}

uint16_t fault_server_port(const struct fault_server *server)
{
    return server->port;
}

size_t fault_server_requests(struct fault_server *server)
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    const size_t count = server->count;
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
    return count;
}

size_t fault_server_connections(struct fault_server *server)
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    const size_t count = server->connection_count;
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
    return count;
}

void fault_server_head(struct fault_server *server, size_t index, char ret_head[FAULT_HEAD_SIZE])
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    MR_ASSERT(index < server->count);
    memcpy(ret_head, server->requests[index].head, FAULT_HEAD_SIZE);
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
}

size_t fault_server_body(struct fault_server *server, size_t index)
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    MR_ASSERT(index < server->count);
    const size_t body = server->requests[index].body;
    MR_ASSERT(pthread_mutex_unlock(&server->lock) == 0);
    return body;
}
