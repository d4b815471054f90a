/*
 * Serves a model in this process: prices one contract by each version as it comes. Uses the installed client library
 * alone:
 *
 *     cc client.c $(pkg-config --cflags --libs millrace-client) -o client
 *     ./client file:///tmp/stack/store demo unix:/tmp/stack/run/redis.sock
 *
 * COUNT versions, then it ends; without it, never.
 */
#include <millrace/client.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the client tells, on its own thread. */
struct news {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t versions;
};

static void on_event(void *self, const struct mr_client_event *event)
{
    struct news *news = self;
    if (event->kind != MR_CLIENT_SERVED) {
        fprintf(stderr, "%s: %s: %s\n", mr_client_event_text(event->kind), event->error.code, event->error.detail);
        return;
    }
    pthread_mutex_lock(&news->lock);
    news->versions++;
    pthread_cond_signal(&news->changed);
    pthread_mutex_unlock(&news->lock);
}

/* Prices with whatever version is served now. A view stays as it is until it is released. */
static void print_price(struct mr_client *client)
{
    const float contract[MR_CONTRACT_FIELDS] = {100.0f, 95.0f, 1.0f, 0.02f, 0.01f, 0.2f}; /* X0 K T r d v */
    struct mr_price price;
    const struct mr_view *view = mr_client_acquire(client);
    if (view == NULL) {
        return;
    }
    const struct mr_view_info *info = mr_view_info(view);
    const struct mr_error error = mr_view_price(view, contract, 1, &price, NULL);
    if (mr_failed(error)) {
        printf("%s version %" PRIu64 ": %s\n", info->model_id, info->counter, error.code);
    } else {
        printf("%s version %" PRIu64 " call %.6f put %.6f content %.16s\n", info->model_id, info->counter, price.call,
               price.put, info->content_hash);
    }
    fflush(stdout);
    mr_view_release(view);
}

int main(int argc, char *argv[])
{
    struct news news = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct mr_client *client = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: client STORE MODEL [REDIS|none] [COUNT]\n");
        return 64;
    }
    const struct mr_client_options options = {
        .store = argv[1],
        .model = argv[2],
        .redis = argc > 3 && strcmp(argv[3], "none") != 0 ? argv[3] : NULL,
        .on_event = on_event,
        .self = &news,
    };
    const struct mr_error error = mr_client_open(&options, &client);
    if (mr_failed(error)) {
        fprintf(stderr, "%s: %s\n", error.code, error.detail);
        return 64;
    }
    const uint64_t wanted = argc > 4 ? strtoull(argv[4], NULL, 10) : UINT64_MAX;
    for (uint64_t seen = 0; seen < wanted;) {
        pthread_mutex_lock(&news.lock);
        while (news.versions == seen) {
            pthread_cond_wait(&news.changed, &news.lock);
        }
        seen = news.versions;
        pthread_mutex_unlock(&news.lock);
        print_price(client);
    }
    mr_client_close(client);
    return 0;
}
