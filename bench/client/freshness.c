/*
 * How long after its commit a version is served, with wake-ups and without: two clients follow a model that somebody
 * trains on this machine. A commit's time is that in its audit entry, which the writer takes just before it writes the
 * entry and then moves head; the clients' clock is the same machine's. So a figure holds the end of the commit as well.
 */
#include "millrace/client.h"
#include "millrace/clock.h"
#include "millrace/config.h"
#include "millrace/versions.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS_MAX = 100000 };

struct config {
    const char *store, *model, *redis, *report;
    uint64_t poll_ms, versions;
};
#define ROW(option, field, kind_, fallback_, min_, max_, help_)                                               \
    {                                                                                                         \
        .name = (option), .kind = (kind_), .offset = offsetof(struct config, field), .fallback = (fallback_), \
        .min = (min_), .max = (max_), .help = (help_)                                                         \
    }
static const struct mr_option rows[] = {
    ROW("store", store, MR_OPTION_TEXT, NULL, 0, 0, "Object store."),
    ROW("model", model, MR_OPTION_TEXT, NULL, 0, 0, "Model id."),
    ROW("redis", redis, MR_OPTION_TEXT, NULL, 0, 0, "Where publish tells of versions."),
    ROW("report", report, MR_OPTION_TEXT, NULL, 0, 0, "The figures, as JSON."),
    ROW("poll-ms", poll_ms, MR_OPTION_COUNT, "1000", 1, 3600000, "Of the client without wake-ups; the other: an hour."),
    ROW("versions", versions, MR_OPTION_COUNT, "100", 1, VERSIONS_MAX, "Ends when so many are there."),
};

/* When one client served what; times are since 1970. */
struct follower {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t served_ms[VERSIONS_MAX]; /* 0: not itself */
    uint64_t next;                   /* behind the newest that was served */
    uint64_t refused;
};

static void on_event(void *self, const struct mr_client_event *event)
{
    struct follower *follower = self;
    const struct mr_clock clock = mr_clock_system();
    MR_ASSERT(pthread_mutex_lock(&follower->lock) == 0);
    if (event->kind == MR_CLIENT_SERVED && event->counter < VERSIONS_MAX) {
        follower->served_ms[event->counter] = mr_clock_wall_ms(&clock);
        follower->next = event->counter + 1;
    }
    follower->refused += event->kind == MR_CLIENT_REFUSED && strcmp(event->error.code, "not_found") != 0;
    MR_ASSERT(pthread_cond_broadcast(&follower->changed) == 0);
    MR_ASSERT(pthread_mutex_unlock(&follower->lock) == 0);
}

static void wait_for(struct follower *follower, uint64_t versions)
{
    MR_ASSERT(pthread_mutex_lock(&follower->lock) == 0);
    while (follower->next < versions) {
        MR_ASSERT(pthread_cond_wait(&follower->changed, &follower->lock) == 0);
    }
    MR_ASSERT(pthread_mutex_unlock(&follower->lock) == 0);
}

static int by_size(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* Of each version that was committed while both followed: until it, or one behind it, was served. */
static json_t *figures_of(const struct follower *follower, const int64_t *committed_ms, uint64_t first, uint64_t end)
{
    int64_t *late_ms = calloc(end, sizeof *late_ms);
    MR_ASSERT(late_ms != NULL);
    int64_t served = 0;
    size_t count = 0;
    for (uint64_t i = end; i > first; i--) {
        served = follower->served_ms[i - 1] != 0 ? follower->served_ms[i - 1] : served;
        late_ms[count++] = served - committed_ms[i - 1];
    }
    qsort(late_ms, count, sizeof *late_ms, by_size);
    json_t *figures = json_pack("{s:I, s:I, s:I, s:I, s:I}", "versions", (json_int_t)count, "p50_ms",
                                (json_int_t)late_ms[count / 2], "p99_ms", (json_int_t)late_ms[count * 99 / 100],
                                "max_ms", (json_int_t)late_ms[count - 1], "refused", (json_int_t)follower->refused);
    free(late_ms);
    return figures;
}

/* From the audit entries, in the order of their times: the first attempt counts. */
static struct mr_error commits_of(struct mr_store *store, const char *model, uint64_t end, int64_t *ret_committed_ms)
{
    char prefix[MR_VERSION_KEY_SIZE], after[MR_VERSION_KEY_SIZE] = "";
    mr_key_audits(model, prefix);
    for (bool more = true; more;) {
        struct mr_store_page page = {0};
        const struct mr_store_result got = mr_store_list(store, prefix, after, 1000, &page);
        if (got.outcome != MR_STORE_DONE) {
            return mr_error_make(MR_ERROR_TRANSIENT, "unavailable", got.native, "%s", got.detail);
        }
        more = page.more;
        for (size_t i = 0; i < page.count; i++) {
            struct mr_buffer body = {0};
            struct mr_audit audit;
            const bool read = mr_store_get(store, page.entries[i].key, &body).outcome == MR_STORE_DONE &&
                              !mr_failed(mr_audit_decode(mr_buffer_view(&body), &audit));
            if (read && audit.counter < end && ret_committed_ms[audit.counter] == 0) {
                ret_committed_ms[audit.counter] = audit.observed_ms;
            }
            mr_buffer_deinit(&body);
            (void)snprintf(after, sizeof after, "%s", page.entries[i].key);
        }
        mr_store_page_deinit(&page);
    }
    return mr_ok();
}

static struct mr_error measure(const struct config *config, struct follower *woken, struct follower *polling)
{
    static int64_t committed_ms[VERSIONS_MAX];
    struct mr_client *clients[2] = {NULL, NULL};
    struct mr_store *store = NULL;
    struct mr_client_options options = {.store = config->store, .model = config->model, .on_event = on_event};
    options.redis = config->redis;
    options.poll_ms = 3600 * 1000;
    options.self = woken;
    MR_TRY(mr_client_open(&options, &clients[0]));
    options.redis = NULL;
    options.poll_ms = (uint32_t)config->poll_ms;
    options.retry_longest_ms = (uint32_t)config->poll_ms;
    options.self = polling;
    MR_TRY(mr_client_open(&options, &clients[1]));
    wait_for(woken, 1);
    wait_for(polling, 1);
    const uint64_t first = woken->next > polling->next ? woken->next : polling->next;
    wait_for(woken, config->versions);
    wait_for(polling, config->versions);
    MR_TRY(mr_store_open(config->store, &store));
    MR_TRY(commits_of(store, config->model, config->versions, committed_ms));
    mr_client_close(clients[0]);
    mr_client_close(clients[1]);
    mr_store_close(store);
    if (first >= config->versions) {
        return mr_error_make(MR_ERROR_REJECT, "too_few", 0, "all versions were there before both clients followed");
    }
    json_t *report = json_pack("{s:I, s:o, s:o}", "poll_ms", (json_int_t)config->poll_ms, "woken",
                               figures_of(woken, committed_ms, first, config->versions), "polling",
                               figures_of(polling, committed_ms, first, config->versions));
    const int written = json_dump_file(report, config->report, JSON_INDENT(2));
    json_decref(report);
    return written == 0 ? mr_ok() : mr_error_make(MR_ERROR_TRANSIENT, "report", 0, "%s", config->report);
}

int main(int argc, char *argv[])
{
    static struct follower woken = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    static struct follower polling = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    const struct mr_option_table table = {"millrace-bench-client", "How long after its commit a version is served.",
                                          rows, MR_COUNT_OF(rows)};
    struct config config = {0};
    struct mr_error error = mr_config_load(&table, &config, argc, argv, NULL, 0, NULL);
    if (!mr_failed(error)) {
        error = measure(&config, &woken, &polling);
    }
    if (mr_failed(error)) {
        (void)fprintf(stderr, "millrace-bench-client: %s: %s\n", error.code, error.detail);
        return MR_EXIT_FAILED;
    }
    return MR_EXIT_OK;
}
