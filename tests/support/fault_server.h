/*
 * An HTTP server that misbehaves as it is told, one step for each request: replies word for word, half of them, none;
 * or as a proxy before a real server it drops, delays, duplicates and truncates. It notes every request.
 */
#ifndef FAULT_SERVER_H
#define FAULT_SERVER_H

#include "millrace/base.h"

enum fault_kind {
    FAULT_REPLY = 1,         /* `text`, and the connection stays */
    FAULT_LAST_REPLY,        /* `text`, and the connection is closed */
    FAULT_DROP,              /* takes the whole request and closes the connection without a byte */
    FAULT_DROP_BODY,         /* takes the head of the request and closes the connection */
    FAULT_STALL,             /* takes the whole request and never answers */
    FAULT_FORWARD,           /* hands it on, and the reply back */
    FAULT_FORWARD_DROP,      /* hands it on, waits for the reply, and closes the connection without a byte of it */
    FAULT_FORWARD_DROP_DONE, /* the same if the reply says 2xx; any other is handed back */
    FAULT_FORWARD_CUT,       /* hands it on, and half of the reply back */
    FAULT_FORWARD_TWICE,     /* hands it on twice, and the second reply back */
    FAULT_FORWARD_STALL,     /* hands it on and never answers */
    FAULT_FORWARD_LATE,      /* hands it on when the client has given up */
    FAULT_LAST = FAULT_FORWARD_LATE,
};
struct fault_step {
    enum fault_kind kind;
    const char *text; /* a whole HTTP reply, or the beginning of one */
};

enum { FAULT_REQUESTS_MAX = 512, FAULT_HEAD_SIZE = 8192 };
struct fault_server;
/* The last step is repeated. `upstream_port` is that of a server on 127.0.0.1; 0 if no step hands on. */
struct fault_server *fault_server_start(const struct fault_step *steps, size_t count, uint16_t upstream_port);
void fault_server_stop(struct fault_server *server);
/* The steps are for requests of this method whose path contains that; all others are handed on. Before the first
 * request. */
void fault_server_only(struct fault_server *server, const char *method, const char *path_part);
/* Waits until some request is at a stall, or waits for its client to give up. */
void fault_server_await_stall(struct fault_server *server);
uint16_t fault_server_port(const struct fault_server *server);
/* Requests whose head has come so far, and the head of one: its lines up to the empty one. */
size_t fault_server_requests(struct fault_server *server);
void fault_server_head(struct fault_server *server, size_t index, char ret_head[FAULT_HEAD_SIZE]);
/* Connections that were made to it so far. */
size_t fault_server_connections(struct fault_server *server);
/* How much of its body came. */
size_t fault_server_body(struct fault_server *server, size_t index);

#endif
