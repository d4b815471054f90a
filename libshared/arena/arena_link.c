#include "arena_link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Room for one descriptor, aligned as the kernel wants it. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

struct mr_error arena_link_address(const char *path, struct sockaddr_un *ret_address)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) {
        return mr_error_make(MR_ERROR_REJECT, "bad_path", 0, "socket path \"%s\": 1 to %zu bytes are possible", path,
                             sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, path, length);
    *ret_address = address;
    return mr_ok();
}

bool arena_link_send(int connection, const struct arena_greeting *greeting, int descriptor)
{
    struct arena_greeting copy = *greeting;
    struct iovec part = {.iov_base = &copy, .iov_len = sizeof copy};
    union control control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof descriptor);
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    }
    ssize_t sent = -1;
    do {
        sent = sendmsg(connection, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof copy;
}

static bool would_wait(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

enum arena_receipt arena_link_receive(int connection, struct arena_greeting *ret_greeting, int *ret_descriptor)
{
    struct arena_greeting greeting = {.version = 0};
    struct iovec part = {.iov_base = &greeting, .iov_len = sizeof greeting};
    union control control = {.bytes = {0}};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t got = -1;
    do {
        got = recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && would_wait(errno)) {
        return ARENA_NOT_YET;
    }
    int descriptor = -1;
    const struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof descriptor)) {
        memcpy(&descriptor, CMSG_DATA(&control.header), sizeof descriptor);
    }
    if (got != (ssize_t)sizeof greeting) {
        if (descriptor >= 0) {
            (void)close(descriptor);
        }
        return ARENA_ENDED;
    }
    *ret_greeting = greeting;
    *ret_descriptor = descriptor;
    return ARENA_RECEIVED;
}

bool arena_link_drain(int connection)
{
    for (;;) {
        uint8_t bytes[16];
        const ssize_t got = recv(connection, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 && would_wait(errno);
        }
    }
}
