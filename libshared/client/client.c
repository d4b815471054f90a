/* A client: the thread that loads, and what is asked of it. */
#include "client_internal.h"
#include "follow.h"
#include "load.h"
#include "threads.h"
#include "views.h"
#include "wake.h"

#include "millrace/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VERSION_TEXT_SIZE = 64, POLL_MS = 10 * 1000, RETRY_FIRST_MS = 200, RETRY_LONGEST_MS = 30 * 1000 };

struct mr_client {
    struct views views;               /* of readers, without the lock */
    struct mr_client_options options; /* `store` and `version` point into what follows */
    char *store_uri;                  /* NULL: the store is the caller's */
    char model_id[MR_ID_SIZE], version[VERSION_TEXT_SIZE];
    struct wake *wake;
    pthread_t thread;

    /* Of the loading thread alone, once it runs. */
    struct mr_store *store; /* NULL: it could not be opened yet */
    struct load_target target;
    struct follow_state follow;
    struct load_found found;
    struct mr_view *loaded;
    struct mr_error failure;         /* of the last look or load */
    struct mr_error told;            /* the failure that was told last; mr_ok: none since all was well */
    struct mr_version_entry *served; /* of the version served */

    pthread_mutex_t telling; /* one event at a time; taken before `lock`, never within it */
    pthread_mutex_t lock;    /* of what follows */
    pthread_cond_t changed;  /* state, woken, stopping */
    bool woken, stopping;
    struct mr_client_state state;
};

static void lock(struct mr_client *client)
{
    MR_ASSERT(pthread_mutex_lock(&client->lock) == 0);
}

static void unlock(struct mr_client *client)
{
    MR_ASSERT(pthread_mutex_unlock(&client->lock) == 0);
}

/* ---- What is told -------------------------------------------------------------------------------------- */

static void tell(struct mr_client *client, const struct mr_client_event *event)
{
    if (client->options.on_event != NULL) {
        MR_ASSERT(pthread_mutex_lock(&client->telling) == 0);
        client->options.on_event(client->options.self, event);
        MR_ASSERT(pthread_mutex_unlock(&client->telling) == 0);
    }
}

static enum mr_client_phase phase_of(const struct follow_state *follow)
{
    return follow->serves ? MR_CLIENT_READY : follow->found ? MR_CLIENT_HYDRATING : MR_CLIENT_BOOTSTRAPPING;
}

static void show(struct mr_client *client, struct mr_error error, uint64_t swaps)
{
    lock(client);
    client->state.phase = phase_of(&client->follow);
    client->state.counter = client->follow.counter;
    client->state.failures = client->follow.failures;
    client->state.error = error;
    client->state.swaps += swaps;
    MR_ASSERT(pthread_cond_broadcast(&client->changed) == 0);
    unlock(client);
}

/* An outage is told once, whatever its words; a refusal when it is another one. */
static bool is_news(const struct mr_error *told, const struct mr_error *error)
{
    const bool outage = error->kind == MR_ERROR_TRANSIENT;
    return told->kind != error->kind ||
           (!outage && (strcmp(told->code, error->code) != 0 || strcmp(told->detail, error->detail) != 0));
}

static void show_failure(struct mr_client *client)
{
    const struct mr_error *error = &client->failure;
    show(client, *error, 0);
    if (is_news(&client->told, error)) {
        client->told = *error;
        tell(client,
             &(struct mr_client_event){
                 .kind = error->kind == MR_ERROR_TRANSIENT ? MR_CLIENT_DELAYED : MR_CLIENT_REFUSED, .error = *error});
    }
}

/* ---- The loading thread -------------------------------------------------------------------------------- */

static const long nanoseconds_per_second = 1000000000L;

static struct timespec deadline_of(uint32_t wait_ms)
{
    struct timespec at;
    MR_ASSERT(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
    at.tv_sec += wait_ms / 1000;
    at.tv_nsec += (long)(wait_ms % 1000) * 1000 * 1000;
    at.tv_sec += at.tv_nsec / nanoseconds_per_second;
    at.tv_nsec %= nanoseconds_per_second;
    return at;
}

/* Until the time is over, a wake-up or a stop. */
static void wait_for_next(struct mr_client *client, uint32_t wait_ms)
{
    const struct timespec deadline = deadline_of(wait_ms);
    int native = 0;
    lock(client);
    while (!client->woken && !client->stopping && native != ETIMEDOUT) {
        native = wait_ms == FOLLOW_FOR_EVER ? pthread_cond_wait(&client->changed, &client->lock)
                                            : pthread_cond_timedwait(&client->changed, &client->lock, &deadline);
        MR_ASSERT(native == 0 || native == ETIMEDOUT);
    }
    client->woken = false;
    unlock(client);
}

static struct mr_error open_store(struct mr_client *client)
{
    return client->store != NULL ? mr_ok() : mr_store_open(client->store_uri, &client->store);
}

static struct follow_event look(struct mr_client *client)
{
    views_reclaim(&client->views, view_free);
    client->failure = open_store(client);
    if (!mr_failed(client->failure)) {
        client->target.store = client->store;
        client->failure = load_look(&client->target, &client->found);
    }
    if (mr_failed(client->failure)) {
        return (struct follow_event){.kind = FOLLOW_EVENT_FAILED};
    }
    return (struct follow_event){
        .kind = FOLLOW_EVENT_FOUND,
        .counter = client->found.counter,
        .same_record =
            client->served != NULL && mr_sha256_equal(&client->found.record_hash, &client->served->record_hash),
    };
}

static struct follow_event load(struct mr_client *client)
{
    if (!client->follow.serves) {
        show(client, mr_ok(), 0); /* Hydrating */
    }
    client->failure = views_find_slot(&client->views) != NULL
                          ? load_version(&client->target, &client->found, client->served, &client->loaded)
                          : mr_error_make(MR_ERROR_REJECT, "views_held", 0,
                                          "readers hold %d earlier versions: release views", MR_CLIENT_VIEWS_MAX);
    return mr_failed(client->failure)
               ? (struct follow_event){.kind = FOLLOW_EVENT_FAILED}
               : (struct follow_event){.kind = FOLLOW_EVENT_LOADED, .counter = client->loaded->entry.version.counter};
}

static void serve(struct mr_client *client)
{
    struct mr_view *view = client->loaded;
    struct view_slot *slot = views_find_slot(&client->views);
    MR_ASSERT(slot != NULL);
    view->slot = slot;
    client->loaded = NULL;
    client->served = &view->entry;
    views_serve(&client->views, slot, view);
    views_reclaim(&client->views, view_free);
    client->told = mr_ok();
    show(client, mr_ok(), 1);
    tell(client, &(struct mr_client_event){.kind = MR_CLIENT_SERVED,
                                           .counter = view->info.counter,
                                           .version_id = view->info.version_id,
                                           .error = mr_ok()});
}

static void settle(struct mr_client *client)
{
    client->told = mr_ok();
    show(client, mr_ok(), 0);
}

static struct mr_error refusal(const struct mr_client *client, enum follow_refusal refusal)
{
    const char *served = client->served->version.version_id, *head = client->found.head.version_id;
    switch (refusal) {
    case FOLLOW_REFUSAL_ROLLED_BACK:
        return mr_error_make(MR_ERROR_REJECT, "rolled_back", 0, "model \"%s\": head is %s, before %s, which is served",
                             client->model_id, head, served);
    case FOLLOW_REFUSAL_FORKED:
        return mr_error_make(MR_ERROR_REJECT, "forked", 0, "model \"%s\": head is %s, another version than %s",
                             client->model_id, head, served);
    }
    mr_unreachable(__func__);
}

static struct follow_event perform(struct mr_client *client, const struct follow_decision *decision)
{
    switch (decision->kind) {
    case FOLLOW_DECISION_LOOK: return look(client);
    case FOLLOW_DECISION_LOAD: return load(client);
    case FOLLOW_DECISION_SERVE: serve(client); break;
    case FOLLOW_DECISION_SETTLE: settle(client); break;
    case FOLLOW_DECISION_REFUSE:
        client->failure = refusal(client, decision->refusal);
        show_failure(client);
        break;
    case FOLLOW_DECISION_WAIT: show_failure(client); break;
    case FOLLOW_DECISION_FAULT: mr_unreachable(__func__);
    }
    wait_for_next(client, decision->wait_ms);
    return (struct follow_event){.kind = FOLLOW_EVENT_DUE};
}

static bool is_stopping(struct mr_client *client)
{
    lock(client);
    const bool stopping = client->stopping;
    unlock(client);
    return stopping;
}

static void *run(void *self)
{
    struct mr_client *client = self;
    struct follow_event event = {.kind = FOLLOW_EVENT_DUE};
    while (!is_stopping(client)) {
        const struct follow_step step = follow_decide(&client->follow, &event);
        client->follow = step.next;
        event = perform(client, &step.decision);
    }
    return NULL;
}

/* ---- Wake-ups ------------------------------------------------------------------------------------------ */

void mr_client_wake(struct mr_client *client)
{
    lock(client);
    client->woken = true;
    MR_ASSERT(pthread_cond_broadcast(&client->changed) == 0);
    unlock(client);
}

static void woken(void *self)
{
    mr_client_wake(self);
}

static void channel_told(void *self, struct mr_error error)
{
    struct mr_client *client = self;
    lock(client);
    client->state.wakes = !mr_failed(error);
    unlock(client);
    tell(client, &(struct mr_client_event){.kind = MR_CLIENT_WAKE_UP, .error = error});
}

/* ---- Opening and closing ------------------------------------------------------------------------------- */

static struct mr_error check_options(struct mr_client *client)
{
    const char *model = client->options.model, *version = client->options.version;
    if (model == NULL || !mr_id_valid(mr_bytes_of_text(model))) {
        return mr_error_make(MR_ERROR_REJECT, "bad_id", 0, "model: expected 1 to 63 of a-z 0-9 . _ -");
    }
    memcpy(client->model_id, model, strlen(model) + 1);
    version = version == NULL ? "head" : version;
    if (strlen(version) >= sizeof client->version) {
        version = "";
    }
    memcpy(client->version, version, strlen(version) + 1);
    if (!mr_version_choice_parse(client->version, &client->target.choice)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_version", 0, "version: expected head, a counter, or a version id");
    }
    client->target.model_id = client->model_id;
    return mr_ok();
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static struct mr_error begin_follow(struct mr_client *client)
{
    const struct mr_client_options *options = &client->options;
    uint64_t seed = 0;
    MR_TRY(mr_random(&seed, sizeof seed));
    client->follow = (struct follow_state){
        .kind = FOLLOW_STATE_WAITING,
        .pinned = client->target.choice.kind != MR_VERSION_HEAD,
        .poll_ms = or_default(options->poll_ms, POLL_MS),
        .retry = {.attempts_max = UINT32_MAX,
                  .first_wait_ms = or_default(options->retry_first_ms, RETRY_FIRST_MS),
                  .wait_ms_max = or_default(options->retry_longest_ms, RETRY_LONGEST_MS)},
        .seed = seed,
    };
    client->state.phase = MR_CLIENT_BOOTSTRAPPING;
    client->state.error = mr_ok();
    client->failure = client->told = mr_ok();
    return mr_ok();
}

static void begin_locks(struct mr_client *client)
{
    pthread_condattr_t attributes;
    MR_ASSERT(pthread_condattr_init(&attributes) == 0);
    MR_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    MR_ASSERT(pthread_cond_init(&client->changed, &attributes) == 0);
    MR_ASSERT(pthread_condattr_destroy(&attributes) == 0);
    MR_ASSERT(pthread_mutex_init(&client->lock, NULL) == 0);
    MR_ASSERT(pthread_mutex_init(&client->telling, NULL) == 0);
}

static struct mr_error start(struct mr_client *client)
{
    struct mr_redis_address address;
    const struct wake_listener listener = {.self = client, .woken = woken, .told = channel_told};
    const bool wakes = client->options.redis != NULL && !client->follow.pinned;
    if (client->options.redis != NULL) {
        MR_TRY(mr_redis_address_parse(client->options.redis, &address));
    }
    MR_TRY(client_thread_start(&client->thread, run, client));
    const struct mr_error error = wakes ? wake_open(&address, client->model_id, &listener, &client->wake) : mr_ok();
    if (mr_failed(error)) {
        lock(client);
        client->stopping = true;
        MR_ASSERT(pthread_cond_broadcast(&client->changed) == 0);
        unlock(client);
        MR_ASSERT(pthread_join(client->thread, NULL) == 0);
    }
    return error;
}

static void deinit(struct mr_client *client)
{
    view_free(client->loaded);
    MR_ASSERT(views_deinit(&client->views, view_free)); /* every view must have been released */
    if (client->store_uri != NULL) {
        mr_store_close(client->store);
    }
    MR_ASSERT(pthread_cond_destroy(&client->changed) == 0);
    MR_ASSERT(pthread_mutex_destroy(&client->lock) == 0);
    MR_ASSERT(pthread_mutex_destroy(&client->telling) == 0);
    free(client->store_uri);
    free(client);
}

static struct mr_error open_with(struct mr_store *store, const char *uri, const struct mr_client_options *options,
                                 struct mr_client **ret_client)
{
    struct mr_client *client = calloc(1, sizeof *client);
    char *own_uri = uri == NULL ? NULL : strdup(uri);
    if (client == NULL || (uri != NULL && own_uri == NULL)) {
        free(own_uri);
        free(client);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a client");
    }
    client->options = *options;
    client->store = store;
    client->store_uri = own_uri;
    begin_locks(client);
    struct mr_error error = check_options(client);
    if (!mr_failed(error)) {
        error = begin_follow(client);
    }
    /* What is wrong with the URI is told now; a store that is away is waited for. */
    if (!mr_failed(error) && store == NULL) {
        error = mr_store_open(own_uri, &client->store);
        error = error.kind == MR_ERROR_TRANSIENT ? mr_ok() : error;
    }
    if (!mr_failed(error)) {
        error = start(client);
    }
    if (mr_failed(error)) {
        deinit(client);
        return error;
    }
    *ret_client = client;
    return mr_ok();
}

struct mr_error mr_client_open(const struct mr_client_options *options, struct mr_client **ret_client)
{
    return open_with(NULL, options->store != NULL ? options->store : "", options, ret_client);
}

struct mr_error client_open_on(struct mr_store *store, const struct mr_client_options *options,
                               struct mr_client **ret_client)
{
    return open_with(store, NULL, options, ret_client);
}

void mr_client_close(struct mr_client *client)
{
    if (client == NULL) {
        return;
    }
    wake_close(client->wake);
    lock(client);
    client->stopping = true;
    MR_ASSERT(pthread_cond_broadcast(&client->changed) == 0);
    unlock(client);
    MR_ASSERT(pthread_join(client->thread, NULL) == 0);
    deinit(client);
}

/* ---- Asked --------------------------------------------------------------------------------------------- */

const struct mr_view *mr_client_acquire(struct mr_client *client)
{
    return views_acquire(&client->views);
}

void mr_client_state(struct mr_client *client, struct mr_client_state *ret_state)
{
    lock(client);
    *ret_state = client->state;
    unlock(client);
}

bool mr_client_wait_ready(struct mr_client *client, uint32_t timeout_ms)
{
    const struct timespec deadline = deadline_of(timeout_ms);
    int native = 0;
    lock(client);
    while (client->state.phase != MR_CLIENT_READY && native != ETIMEDOUT) {
        native = pthread_cond_timedwait(&client->changed, &client->lock, &deadline);
        MR_ASSERT(native == 0 || native == ETIMEDOUT);
    }
    const bool ready = client->state.phase == MR_CLIENT_READY;
    unlock(client);
    return ready;
}

struct mr_error mr_client_head_at(struct mr_client *client, int64_t time_ms, struct mr_head_at *ret_head)
{
    struct mr_store *store = NULL;
    if (client->store_uri == NULL) {
        return client_head_at(client->store, client->model_id, time_ms, ret_head);
    }
    /* The loading thread's store may not be open yet, and is its own. */
    MR_TRY(mr_store_open(client->store_uri, &store));
    const struct mr_error error = client_head_at(store, client->model_id, time_ms, ret_head);
    mr_store_close(store);
    return error;
}
