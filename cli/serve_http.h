/* The HTTP of millrace serve: libmicrohttpd around serve_decide.c. */
#ifndef CLI_SERVE_HTTP_H
#define CLI_SERVE_HTTP_H

#include "millrace/client.h"
#include "millrace/metrics.h"

struct serve_http_config {
    struct mr_client *client;
    struct mr_metrics *metrics;
    struct mr_health *health;
    const char *model_id;
    const char *token; /* "": nobody is asked */
    const char *host;
    uint16_t port; /* 0: any that is free */
    uint32_t threads, concurrency;
    uint64_t body_max;
};

struct serve_http;
/* `config` and what it names outlive it. FATAL "cannot_listen". */
MR_MUST_USE struct mr_error serve_http_open(const struct serve_http_config *config, struct serve_http **ret_http);
uint16_t serve_http_port(const struct serve_http *http);
/* Takes no more connections; what is under way goes on. */
void serve_http_quiesce(struct serve_http *http);
uint32_t serve_http_under_way(const struct serve_http *http);
void serve_http_close(struct serve_http *http);

#endif
