/* The view in a real Redis: what it shows, what is kept while it is down, and that it can be built again. */
#include "check_main.h"
#include "publish_effects.h"
#include "redis_server.h"
#include "trained.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { TURNS_MAX = 3000 };

static struct redis_server redis;
static struct publish_config config;
static struct service_rig *rig;

static void begin(void)
{
    redis_server_init(&redis);
    config = (struct publish_config){
        .redis = redis.address, .view_interval_ms = 100, .view_probe_ms = 1000, .view_timeout_ms = 1000};
    rig = service_rig_new(publish_effects_open, publish_effects_close, &config, NULL);
}

static void end(void)
{
    service_rig_free(rig);
    redis_server_deinit(&redis);
}

/* One answer as text, "(nil)" for none. */
static const char *ask(const char *first, const char *second, const char *third)
{
    static char text[1024];
    const char *words[] = {first, second, third};
    redisReply *reply = redisCommandArgv(redis.context, third == NULL ? 2 : 3, words, NULL);
    ck_assert_ptr_nonnull(reply);
    if (reply->type == REDIS_REPLY_INTEGER) {
        (void)snprintf(text, sizeof text, "%lld", reply->integer);
    } else {
        (void)snprintf(text, sizeof text, "%s", reply->type == REDIS_REPLY_NIL ? "(nil)" : reply->str);
    }
    freeReplyObject(reply);
    return text;
}

/* Turns until the view says so. */
static void run_until(const char *first, const char *second, const char *third, const char *expected)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        if (strcmp(ask(first, second, third), expected) == 0) {
            return;
        }
        ck_assert(mr_stage_turn(rig->service.stage, 0, false, &rig->exit_code));
        rig->now_ms++;
    }
    ck_abort_msg("%s %s is \"%s\", not \"%s\"", first, second, ask(first, second, third), expected);
}

START_TEST(the_view_shows_the_newest)
{
    redis_server_start(&redis);
    trained_step(rig, "a", 1, -1, 1, 0.5f);
    trained_step(rig, "a", 2, 1, 2, 0.25f);
    trained_commit(rig, "a", 2, -1, 7);
    run_until("HGET", "millrace:model:a", "loss", "0.25");
    run_until("HGET", "millrace:model:a", "step", "2");
    run_until("HGET", "millrace:run:a:r1", "samples", "64");
    run_until("ZCARD", "millrace:model:a:versions", NULL, "1");
    ck_assert_ptr_nonnull(strstr(ask("GET", "millrace:model:a:head", NULL), "\"counter\":7,"));
    ck_assert_str_eq(ask("SISMEMBER", "millrace:models", "a"), "1");
}
END_TEST

START_TEST(a_new_version_wakes_clients)
{
    redis_server_start(&redis);
    redisContext *client = redisConnectUnix(redis.socket_path);
    ck_assert_int_eq(client->err, 0);
    redisReply *reply = redisCommand(client, "SUBSCRIBE millrace:versions:a");
    ck_assert_ptr_nonnull(reply);
    freeReplyObject(reply);
    trained_commit(rig, "a", 2, -1, 7);
    run_until("ZCARD", "millrace:model:a:versions", NULL, "1");
    void *message = NULL;
    ck_assert_int_eq(redisGetReply(client, &message), REDIS_OK);
    reply = message;
    ck_assert_str_eq(reply->element[0]->str, "message");
    ck_assert_ptr_nonnull(strstr(reply->element[2]->str, "\"counter\":7,"));
    freeReplyObject(reply);
    redisFree(client);
}
END_TEST

START_TEST(what_happens_while_it_is_down_is_shown_after)
{
    redis_server_start(&redis);
    trained_step(rig, "a", 1, -1, 1, 0.5f);
    run_until("HGET", "millrace:model:a", "step", "1");
    redis_server_stop(&redis);
    trained_step(rig, "a", 2, 1, 2, 0.25f);
    trained_commit(rig, "a", 2, -1, 0);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_METRICS, "a"), "1 2");
    trained_commit(rig, "a", 3, 2, 1);
    service_rig_run(rig);
    redis_server_start(&redis); /* empty: it keeps nothing */
    run_until("HGET", "millrace:model:a", "step", "2");
    run_until("ZCARD", "millrace:model:a:versions", NULL, "2");
}
END_TEST

START_TEST(a_lost_view_is_built_again)
{
    redis_server_start(&redis);
    trained_step(rig, "a", 1, -1, 1, 0.5f);
    trained_commit(rig, "a", 1, -1, 4);
    run_until("ZCARD", "millrace:model:a:versions", NULL, "1");
    freeReplyObject(redisCommand(redis.context, "FLUSHALL"));
    service_rig_restart(rig);
    run_until("HGET", "millrace:model:a", "loss", "0.5");
    run_until("ZCARD", "millrace:model:a:versions", NULL, "1");
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_METRICS, "a"), "1");
}
END_TEST

static const char *marker_key(void)
{
    static char key[32];
    (void)snprintf(key, sizeof key, "millrace:view:%u", (unsigned)service_rig_partition("a"));
    return key;
}

/* Three versions, told to a view that is marked as whole; the fold is cached. Returns the marker's text. */
static const char *tell_and_cache(void)
{
    static char marker[128];
    redis_server_start(&redis);
    rig->fold_every = 1;
    service_rig_restart(rig);
    trained_step(rig, "a", 1, -1, 1, 0.5f);
    trained_commit(rig, "a", 1, -1, 4);
    trained_commit(rig, "a", 2, 1, 5);
    trained_commit(rig, "a", 3, 2, 6);
    run_until("ZCARD", "millrace:model:a:versions", NULL, "3");
    run_until("EXISTS", marker_key(), NULL, "1");
    (void)snprintf(marker, sizeof marker, "%s", ask("GET", marker_key(), NULL));
    ck_assert_int_eq(strncmp(marker, "abababababababababababababababab ", 33), 0);
    service_rig_run(rig);
    return marker;
}

static double taken(void)
{
    return service_rig_count(rig, "FoldCacheTaken");
}

START_TEST(a_view_that_is_whole_is_not_told_again)
{
    char newest[1024];
    (void)tell_and_cache();
    (void)snprintf(newest, sizeof newest, "%s", ask("GET", "millrace:model:a:head", NULL));
    trained_commit(rig, "a", 4, 3, 7); /* and what was told before is not among what is cached as waiting */
    run_until("ZCARD", "millrace:model:a:versions", NULL, "4");
    service_rig_run(rig);
    ck_assert_str_eq(ask("ZREM", "millrace:model:a:versions", newest), "1");
    service_rig_restart(rig);
    trained_step(rig, "a", 4, 1, 2, 0.25f);
    trained_commit(rig, "a", 5, 4, 8);
    run_until("HGET", "millrace:model:a", "step", "2");
    service_rig_run(rig);
    ck_assert_ptr_nonnull(strstr(ask("GET", "millrace:model:a:head", NULL), "\"counter\":8,"));
    ck_assert_str_eq(ask("ZCARD", "millrace:model:a:versions", NULL), "4");
    ck_assert(taken() >= 1);
}
END_TEST

START_TEST(a_view_that_is_gone_is_folded_again)
{
    (void)tell_and_cache();
    freeReplyObject(redisCommand(redis.context, "FLUSHALL"));
    service_rig_restart(rig);
    run_until("ZCARD", "millrace:model:a:versions", NULL, "3");
    run_until("HGET", "millrace:model:a", "loss", "0.5");
    run_until("EXISTS", marker_key(), NULL, "1");
    ck_assert(taken() == 0);
}
END_TEST

START_TEST(a_server_that_was_started_anew_may_have_lost_some)
{
    const char *marker = tell_and_cache();
    redis_server_stop(&redis);
    redis_server_start(&redis);
    freeReplyObject(
        redisCommand(redis.context, "SET %s %s", marker_key(), marker)); /* as from an old copy on its disk */
    service_rig_restart(rig);
    run_until("ZCARD", "millrace:model:a:versions", NULL, "3");
    ck_assert(taken() == 0);
}
END_TEST

START_TEST(a_service_without_a_view_keeps_none)
{
    (void)tell_and_cache();
    config.redis = "none";
    service_rig_restart(rig);
    trained_commit(rig, "a", 4, 3, 7);
    service_rig_run(rig);
    ck_assert(taken() >= 1);
    config.redis = redis.address;
    service_rig_restart(rig);
    run_until("ZCARD", "millrace:model:a:versions", NULL, "4");
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, the_view_shows_the_newest);
    tcase_add_test(tcase, a_new_version_wakes_clients);
    tcase_add_test(tcase, what_happens_while_it_is_down_is_shown_after);
    tcase_add_test(tcase, a_lost_view_is_built_again);
    tcase_add_test(tcase, a_view_that_is_whole_is_not_told_again);
    tcase_add_test(tcase, a_view_that_is_gone_is_folded_again);
    tcase_add_test(tcase, a_server_that_was_started_anew_may_have_lost_some);
    tcase_add_test(tcase, a_service_without_a_view_keeps_none);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the services' main does */
    return check_main("publish_redis", add);
}
