#define _GNU_SOURCE /* memmem, strcasestr */
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
    pthread_mutex_t lock;
    size_t count;
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

static struct noted *note(struct fault_server *server, const struct mr_buffer *message, size_t head_size,
                          const struct fault_step **ret_step)
{
    MR_ASSERT(pthread_mutex_lock(&server->lock) == 0);
    MR_ASSERT(server->count < FAULT_REQUESTS_MAX && head_size <= FAULT_HEAD_SIZE);
    *ret_step = &server->steps[server->count < server->step_count ? server->count : server->step_count - 1];
    struct noted *noted = &server->requests[server->count++];
    memcpy(noted->head, message->data, head_size - 2);
    noted->head[head_size - 2] = '\0';
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
            const size_t length = has_body ? length_of(head) : 0;
            while (ret_reply->size < head_size + length && receive(server, to, ret_reply)) {
            }
        }
    }
    (void)close(to);
}

/* One request; false: the connection is over. */
static bool serve_one(struct fault_server *server, int client)
{
    struct mr_buffer message = {0}, reply = {0};
    size_t head_size = 0;
    bool stays = false;
    if (read_head(server, client, &message, &head_size)) {
        const struct fault_step *step;
        struct noted *noted = note(server, &message, head_size, &step);
        if (step->kind != FAULT_DROP_BODY && read_body(server, client, &message, head_size, noted)) {
            switch (step->kind) {
            case FAULT_REPLY:
            case FAULT_LAST_REPLY:
                send_all(client, step->text, strlen(step->text));
                stays = step->kind == FAULT_REPLY;
                break;
            case FAULT_STALL: (void)readable(server, server->stop[0]); break;
            case FAULT_FORWARD:
            case FAULT_FORWARD_DROP:
                ask_upstream(server, &message, strncmp(noted->head, "HEAD", 4) != 0, &reply);
                stays = step->kind == FAULT_FORWARD && reply.size > 0;
                if (stays) {
                    send_all(client, reply.data, reply.size);
                }
                break;
            case FAULT_DROP:
            case FAULT_DROP_BODY: break;
            }
        }
    }
    mr_buffer_deinit(&message);
    mr_buffer_deinit(&reply);
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
            struct connection *connection = &server->connections[server->connection_count++];
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
