/* Asking a process whether it is ready, and finding it a port. */
#ifndef SUPERVISE_PROBE_H
#define SUPERVISE_PROBE_H

#include "millrace/base.h"

enum { SUPERVISE_REASON_SIZE = 96 };

bool supervise_probe_file(const char *path);
bool supervise_probe_socket(const char *path);
/* GET /readyz on 127.0.0.1; when the answer is not 200, its first line stands in ret_reason. */
bool supervise_probe_http(uint16_t port, char ret_reason[SUPERVISE_REASON_SIZE]);

/* A port of 127.0.0.1 that is free, from `first` on; below the range that outgoing connections are given, so that it
 * stays free. 0: none. */
uint16_t supervise_free_port(uint16_t first);

enum {
    SUPERVISE_PORT_MIN = 20000,
    SUPERVISE_PORT_MAX = 32000,
};

#endif
