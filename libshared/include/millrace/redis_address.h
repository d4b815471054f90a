/* Where a Redis is: "unix:/path", "host:port", or "[::1]:6379". Pure. */
#ifndef MR_REDIS_ADDRESS_H
#define MR_REDIS_ADDRESS_H

#include "millrace/base.h"

enum { MR_REDIS_PATH_SIZE = 108, MR_REDIS_HOST_SIZE = 256 };
struct mr_redis_address {
    char unix_path[MR_REDIS_PATH_SIZE]; /* "": host and port */
    char host[MR_REDIS_HOST_SIZE];
    int port;
};
/* REJECT "bad_redis" says what was expected. */
MR_MUST_USE struct mr_error mr_redis_address_parse(const char *text, struct mr_redis_address *ret_address);

#endif
