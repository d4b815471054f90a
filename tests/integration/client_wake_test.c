/* Wake-ups by a real Redis: a version is served long before the next poll; and what happens while it is away. */
#include "check_main.h"
#include "client_internal.h"
#include "client_watch.h"
#include "locked_store.h"
#include "memory_store.h"
#include "model_chain.h"
#include "redis_server.h"

enum { HOUR_MS = 3600 * 1000 };

static struct redis_server redis;
static struct mr_store *store;
static struct client_watch *watch;
static struct mr_client *client;
static struct model_chain chain;

static void setup(void)
{
    redis_server_init(&redis);
    store = locked_store_new(memory_store_new(1));
    watch = client_watch_new();
    model_chain_begin(&chain, store, "m", model_chain_flat_json);
    (void)model_chain_commit(&chain, 0.0f);
}

static void teardown(void)
{
    mr_client_close(client);
    client = NULL;
    client_watch_free(watch);
    mr_store_close(store);
    redis_server_deinit(&redis);
}

static void begin(uint32_t poll_ms)
{
    const struct mr_client_options options = {
        .model = "m",
        .redis = redis.address,
        .poll_ms = poll_ms,
        .on_event = client_watch_event,
        .self = watch,
    };
    ck_assert(!mr_failed(client_open_on(store, &options, &client)));
    client_watch_served(watch, 0);
}

static void publish(const char *channel)
{
    redisReply *reply = redisCommand(redis.context, "PUBLISH %s {}", channel);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
}

START_TEST(a_message_wakes_long_before_the_poll)
{
    struct mr_client_state state;
    redis_server_start(&redis);
    begin(HOUR_MS);
    (void)client_watch_told(watch, MR_CLIENT_WAKE_UP, "ok");
    mr_client_state(client, &state);
    ck_assert(state.wakes);
    for (uint64_t counter = 1; counter <= 20; counter++) {
        (void)model_chain_commit(&chain, (float)counter);
        publish("millrace:versions:other");
        publish("millrace:versions:m");
        client_watch_served(watch, counter);
    }
}
END_TEST

START_TEST(without_redis_it_polls)
{
    begin(20);
    (void)client_watch_told(watch, MR_CLIENT_WAKE_UP, "redis_unavailable");
    (void)model_chain_commit(&chain, 1.0f);
    client_watch_served(watch, 1);
    struct mr_client_state state;
    mr_client_state(client, &state);
    ck_assert(!state.wakes && !mr_failed(state.error));
}
END_TEST

/* What was committed while Redis was away is served when the channel opens again: a message may have been missed. */
START_TEST(a_redis_that_comes_back_wakes)
{
    redis_server_start(&redis);
    begin(HOUR_MS);
    (void)client_watch_told(watch, MR_CLIENT_WAKE_UP, "ok");
    redis_server_stop(&redis);
    (void)client_watch_told(watch, MR_CLIENT_WAKE_UP, "redis_unavailable");
    (void)model_chain_commit(&chain, 1.0f);
    redis_server_start(&redis);
    client_watch_served(watch, 1);
    (void)client_watch_told(watch, MR_CLIENT_WAKE_UP, "ok");
    (void)model_chain_commit(&chain, 2.0f);
    publish("millrace:versions:m");
    client_watch_served(watch, 2);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_message_wakes_long_before_the_poll);
    tcase_add_test(tcase, without_redis_it_polls);
    tcase_add_test(tcase, a_redis_that_comes_back_wakes);
}

int main(void)
{
    return check_main("client_wake", add);
}
