/*
 * fault_proxy UPSTREAM_PORT KIND METHOD PATH_PART: a proxy before a server of this machine that holds requests of the
 * method whose path has that part. KIND: stall, the server never gets them; done, it does, and the reply is held; late,
 * it gets them when the client is gone. Says "port N", and "stalled" when it holds one; ends by a signal.
 */
#include "fault_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum fault_kind kind_of(const char *name)
{
    return strcmp(name, "done") == 0   ? FAULT_FORWARD_STALL
           : strcmp(name, "late") == 0 ? FAULT_FORWARD_LATE
                                       : FAULT_STALL;
}

int main(int argc, char *argv[])
{
    if (argc != 5) {
        (void)fprintf(stderr, "usage: fault_proxy UPSTREAM_PORT stall|done|late METHOD PATH_PART\n");
        return 64;
    }
    const struct fault_step step = {kind_of(argv[2]), NULL};
    struct fault_server *proxy = fault_server_start(&step, 1, (uint16_t)strtoul(argv[1], NULL, 10));
    fault_server_only(proxy, argv[3], argv[4]);
    (void)printf("port %u\n", fault_server_port(proxy));
    (void)fflush(stdout);
    fault_server_await_stall(proxy);
    (void)printf("stalled\n");
    (void)fflush(stdout);
    for (;;) {
        (void)pause();
    }
}
