#include "fixed_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic uint16_t wanted_port;

void devbroker_fix_port(uint16_t port)
{
    atomic_store(&wanted_port, port);
}

/* librdkafka finds this one before libc's, for an executable's symbols come first; hence the system call itself. */
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
