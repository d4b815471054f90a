/*
 * What the mock cluster has no settings for. librdkafka finds the bind() and poll() of this executable before libc's,
 * for an executable's symbols come first.
 */
#ifndef DEVBROKER_MOCK_HOOKS_H
#define DEVBROKER_MOCK_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

/* For the next bind() of this process to the loopback address and port 0. 0: none. */
void devbroker_fix_port(uint16_t port);
/*
 * While on, no poll() of this process waits long. The cluster's thread serves its queue, and only then reads away what
 * woke it: a call that comes in between would wait for its poll to end, a second.
 */
void devbroker_hurry(bool on);

#endif
