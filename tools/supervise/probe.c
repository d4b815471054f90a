#include "probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

bool supervise_probe_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

bool supervise_probe_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return false;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) {
        return false;
    }
    const bool accepted = connect(connection, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(connection);
    return accepted;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Up to `size` - 1 bytes of the answer, as a string; false: none. */
static bool http_ask(uint16_t port, char *ret_answer, size_t size)
{
    static const char request[] = "GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n";
    const struct timeval limit = {.tv_usec = 500000};
    const struct sockaddr_in address = loopback(port);
    const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) {
        return false;
    }
    size_t used = 0;
    if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        connect(connection, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send(connection, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1) {
        ssize_t got = 0;
        while (used + 1 < size && (got = recv(connection, ret_answer + used, size - 1 - used, 0)) > 0) {
            used += (size_t)got;
        }
    }
    (void)close(connection);
    ret_answer[used] = '\0';
    return used > 0;
}

bool supervise_probe_http(uint16_t port, char ret_reason[SUPERVISE_REASON_SIZE])
{
    char answer[1024];
    (void)snprintf(ret_reason, SUPERVISE_REASON_SIZE, "no answer yet");
    if (!http_ask(port, answer, sizeof answer)) {
        return false;
    }
    const char *status = strchr(answer, ' ');
    if (strncmp(answer, "HTTP/", 5) == 0 && status != NULL && strncmp(status, " 200 ", 5) == 0) {
        return true;
    }
    const char *body = strstr(answer, "\r\n\r\n");
    if (body != NULL) {
        body += 4;
        (void)snprintf(ret_reason, SUPERVISE_REASON_SIZE, "%.*s", (int)strcspn(body, "\r\n"), body);
    }
    return false;
}

static bool is_free(uint16_t port)
{
    const struct sockaddr_in address = loopback(port);
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        return false;
    }
    const bool bound = bind(listener, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(listener);
    return bound;
}

uint16_t supervise_free_port(uint16_t first)
{
    for (uint32_t port = first; port <= SUPERVISE_PORT_MAX; port++) {
        if (is_free((uint16_t)port)) {
            return (uint16_t)port;
        }
    }
    return 0;
}
