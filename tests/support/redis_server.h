/* A real redis-server of a test's own: on a Unix socket in a new folder, and nothing on disk that lasts. */
#ifndef REDIS_SERVER_H
#define REDIS_SERVER_H

#include <hiredis.h>
#include <sys/types.h>

struct redis_server {
    char folder[32], socket_path[48], address[56]; /* unix:<socket_path>, as the options of Millrace take it */
    pid_t pid;
    redisContext *context; /* NULL while it does not run */
};
/* Makes the folder; the server does not run yet. */
void redis_server_init(struct redis_server *server);
/* Waits until it answers. It is empty at each start. */
void redis_server_start(struct redis_server *server);
void redis_server_stop(struct redis_server *server);
/* Stops it if it runs, and removes the folder. */
void redis_server_deinit(struct redis_server *server);

#endif
