/* The Unix socket between owner and consumer: what is said on it, and how descriptors pass. */
#ifndef MR_ARENA_LINK_H
#define MR_ARENA_LINK_H

#include "millrace/arena.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { ARENA_GREETING_VERSION = 1 };

enum arena_admission { ARENA_ADMITTED = 1, ARENA_REFUSED_PRESENT, ARENA_REFUSED_USER };

/* The owner's first and only packet; the memory's descriptor comes with it when admitted. Both are processes of one
 * machine: its byte order. After it the consumer sends packets of one byte that wake the owner. */
struct arena_greeting {
    char magic[8]; /* "MRARENA" */
    uint32_t version;
    uint32_t admission;
    uint64_t bytes;
    uint32_t blocks;
    uint8_t epoch[MR_EPOCH_SIZE];
    uint32_t zero; /* no padding travels */
};
_Static_assert(sizeof(struct arena_greeting) == 48, "no padding in what travels");

/* REJECT "bad_path": empty, or longer than a Unix socket's path may be. */
MR_MUST_USE struct mr_error arena_link_address(const char *path, struct sockaddr_un *ret_address);
/* descriptor -1: none goes with it. False: the peer is gone, or has no room. */
bool arena_link_send(int connection, const struct arena_greeting *greeting, int descriptor);

enum arena_receipt { ARENA_RECEIVED = 1, ARENA_NOT_YET, ARENA_ENDED };
/* *ret_descriptor is -1 if none came; the caller closes it. */
MR_MUST_USE enum arena_receipt arena_link_receive(int connection, struct arena_greeting *ret_greeting,
                                                  int *ret_descriptor);
/* Drops waiting wake-ups; false: the peer is gone. */
MR_MUST_USE bool arena_link_drain(int connection);

#endif
