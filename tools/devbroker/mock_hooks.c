#include "mock_hooks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HURRY_MS = 2 };

static _Atomic uint16_t wanted_port;
static atomic_bool in_hurry;

void devbroker_fix_port(uint16_t port)
{
    atomic_store(&wanted_port, port);
}

void devbroker_hurry(bool on)
{
    atomic_store(&in_hurry, on);
}

int bind(int descriptor, const struct sockaddr *address, socklen_t size)
{
    struct sockaddr_in changed;
    if (address->sa_family == AF_INET && size == sizeof changed) {
        memcpy(&changed, address, sizeof changed);
        if (changed.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && changed.sin_port == 0) {
            const uint16_t port = atomic_exchange(&wanted_port, 0);
            const int on = 1;
            if (port != 0 && setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0) {
                changed.sin_port = htons(port);
                return (int)syscall(SYS_bind, descriptor, &changed, sizeof changed);
            }
        }
    }
    return (int)syscall(SYS_bind, descriptor, address, size);
}

int poll(struct pollfd *descriptors, nfds_t count, int wait_ms)
{
    const bool shorten = atomic_load(&in_hurry) && (wait_ms < 0 || wait_ms > HURRY_MS);
    const int most_ms = shorten ? HURRY_MS : wait_ms;
    struct timespec wait = {.tv_sec = most_ms / 1000, .tv_nsec = most_ms % 1000 * 1000000L};
    return (int)syscall(SYS_ppoll, descriptors, count, most_ms < 0 ? NULL : &wait, NULL, 0);
}
