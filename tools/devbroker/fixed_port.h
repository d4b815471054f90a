/* The mock cluster always binds 127.0.0.1 to a port of the kernel's choice; this gives it one of ours. */
#ifndef DEVBROKER_FIXED_PORT_H
#define DEVBROKER_FIXED_PORT_H

#include <stdint.h>

/* For the next bind() of this process to a loopback address and port 0. 0: none. */
void devbroker_fix_port(uint16_t port);

#endif
