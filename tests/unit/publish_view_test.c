/* What the view is told, when, and what is kept while it is down. */
#include "publish_redis.h"
#include "publish_view.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct publish_view *view;
static struct mr_buffer commands;
static size_t count;

static void begin(void)
{
    view = publish_view_new();
    ck_assert_ptr_nonnull(view);
}

static void end(void)
{
    publish_view_free(view);
    mr_buffer_deinit(&commands);
}

static bool step(const char *model, uint64_t number, float loss)
{
    const struct publish_progress progress = {
        .model_id = model, .run_id = "r1", .phase = "training", .step = number, .has_numbers = true, .loss = loss};
    bool forgot = false;
    ck_assert(!mr_failed(publish_view_progress(view, &progress, 0, true, &forgot)));
    return forgot;
}

static bool commit(const char *model, uint64_t counter)
{
    struct publish_version version = {.model_id = model,
                                      .version_id = "v",
                                      .semantic_version = "1.0.0",
                                      .run_id = "r1",
                                      .message = "bad \xff text",
                                      .restarted_from = "",
                                      .counter = counter};
    bool forgot = false;
    ck_assert(!mr_failed(publish_view_version(view, &version, &forgot)));
    return forgot;
}

/* The commands as text that can be searched: words by one blank, commands by a line end. */
static const char *rendered(void)
{
    static char text[4 * 1024 * 1024];
    commands.size = 0;
    count = 0;
    ck_assert(!mr_failed(publish_view_render(view, 0, &commands, &count)));
    ck_assert(!mr_failed(mr_buffer_append(&commands, "", 1)));
    size_t out = 0;
    for (char *line = strtok((char *)commands.data, "\r\n"); line != NULL; line = strtok(NULL, "\r\n")) {
        if (line[0] != '$') {
            out += (size_t)snprintf(text + out, sizeof text - out, "%s%s", line[0] == '*' ? "\n" : line,
                                    line[0] == '*' ? "" : " ");
        }
    }
    text[out] = '\0';
    return text;
}

START_TEST(the_newest_value_wins)
{
    step("m", 1, 0.5f);
    step("m", 2, 0.25f);
    const char *text = rendered();
    ck_assert_ptr_nonnull(strstr(text, "HSET millrace:model:m loss 0.25 "));
    ck_assert_ptr_nonnull(strstr(text, "HSET millrace:run:m:r1 run_id r1 phase training step 2 "));
    ck_assert_ptr_null(strstr(text, "0.5 "));
    publish_view_settle(view, true);
    ck_assert(!publish_view_pending(view));
}
END_TEST

START_TEST(what_was_not_written_stays)
{
    commit("m", 1);
    commit("m", 2);
    (void)rendered();
    publish_view_settle(view, false);
    ck_assert(publish_view_pending(view));
    const char *text = rendered();
    ck_assert_ptr_nonnull(strstr(text, "ZADD millrace:model:m:versions 1 {\"counter\":1,"));
    ck_assert_ptr_nonnull(strstr(text, "ZADD millrace:model:m:versions 2 {\"counter\":2,"));
    ck_assert_ptr_nonnull(strstr(text, "SET millrace:model:m:head {\"counter\":2,"));
    ck_assert_ptr_nonnull(strstr(text, "PUBLISH millrace:versions:m {\"counter\":2,"));
    publish_view_settle(view, true);
    ck_assert(!publish_view_pending(view));
}
END_TEST

START_TEST(a_change_during_a_write_is_not_lost)
{
    step("m", 1, 0.5f);
    commit("m", 1);
    (void)rendered();
    step("m", 2, 0.25f);
    commit("m", 2);
    publish_view_settle(view, true);
    ck_assert(publish_view_pending(view));
    const char *text = rendered();
    ck_assert_ptr_nonnull(strstr(text, "loss 0.25 "));
    ck_assert_ptr_nonnull(strstr(text, "ZADD millrace:model:m:versions 2 "));
    ck_assert_ptr_null(strstr(text, "ZADD millrace:model:m:versions 1 "));
}
END_TEST

START_TEST(what_is_told_is_known_by_the_count_of_changes)
{
    step("a", 1, 0.5f);
    step("b", 1, 0.5f);
    const uint64_t changes = publish_view_changes(view);
    ck_assert(!publish_view_told(view, changes));
    (void)rendered();
    step("a", 2, 0.5f);
    publish_view_settle(view, true);
    ck_assert(publish_view_pending(view)); /* but only of what came later */
    ck_assert(publish_view_told(view, changes));
    ck_assert(!publish_view_told(view, publish_view_changes(view)));
    (void)rendered();
    publish_view_settle(view, false);
    ck_assert(!publish_view_told(view, publish_view_changes(view)));
}
END_TEST

/* Saves a part of m and gives it to another view, which the other tests' functions then see. */
static struct mr_error moved(enum publish_view_part part)
{
    struct mr_buffer state = {0};
    bool forgot = false;
    ck_assert(!mr_failed(publish_view_save(view, part, "m", &state)));
    publish_view_free(view);
    begin();
    const struct mr_error error = publish_view_load(view, "m", mr_buffer_view(&state), 0, &forgot);
    mr_buffer_deinit(&state);
    return error;
}

START_TEST(the_newest_numbers_can_be_kept_apart)
{
    step("m", 1, 0.5f);
    step("m", 2, 0.25f);
    const struct publish_progress closed = {.model_id = "m", .run_id = "r1", .phase = "completed", .step = 3};
    bool forgot = false;
    ck_assert(!mr_failed(publish_view_progress(view, &closed, 0, true, &forgot)));
    const char *before = rendered();
    char *copy = strdup(before);
    publish_view_settle(view, true); /* told: they are kept all the same */
    ck_assert(!mr_failed(moved(PUBLISH_VIEW_PROGRESS)));
    ck_assert(publish_view_pending(view));
    ck_assert_str_eq(rendered(), copy);
    ck_assert_ptr_nonnull(strstr(copy, "phase completed step 3 "));
    ck_assert_ptr_nonnull(strstr(copy, "loss 0.25 "));
    free(copy);
}
END_TEST

START_TEST(the_versions_that_wait_can_be_kept_apart)
{
    commit("m", 1);
    (void)rendered();
    publish_view_settle(view, true);
    commit("m", 2);
    commit("m", 3);
    char *copy = strdup(rendered());
    ck_assert(!mr_failed(moved(PUBLISH_VIEW_VERSIONS)));
    ck_assert_str_eq(rendered(), copy);
    ck_assert_ptr_null(strstr(copy, "versions 1 "));
    ck_assert_ptr_nonnull(strstr(copy, "versions 2 "));
    free(copy);
}
END_TEST

START_TEST(a_model_that_is_not_known_has_nothing_to_keep)
{
    ck_assert(!mr_failed(moved(PUBLISH_VIEW_PROGRESS)));
    ck_assert(!mr_failed(moved(PUBLISH_VIEW_VERSIONS)));
    ck_assert(!publish_view_pending(view));
}
END_TEST

START_TEST(a_state_without_a_view_is_refused)
{
    struct mr_buffer state = {0};
    bool forgot = false;
    ck_assert(!mr_failed(publish_view_save_none(&state)));
    ck_assert_int_eq(publish_view_load(view, "m", mr_buffer_view(&state), 0, &forgot).kind, MR_ERROR_REJECT);
    ck_assert_int_eq(publish_view_load(view, "m", mr_bytes_of_text("\xff"), 0, &forgot).kind, MR_ERROR_REJECT);
    ck_assert(!publish_view_pending(view));
    mr_buffer_deinit(&state);
}
END_TEST

START_TEST(versions_are_bounded)
{
    for (uint64_t i = 0; i < PUBLISH_VIEW_VERSIONS_MAX + 5; i++) {
        commit("m", i);
    }
    const char *text = rendered();
    ck_assert_ptr_null(strstr(text, "ZADD millrace:model:m:versions 4 "));
    ck_assert_ptr_nonnull(strstr(text, "ZADD millrace:model:m:versions 5 "));
    commit("m", 1000); /* pushes out one that is on the way */
    publish_view_settle(view, true);
    text = rendered();
    ck_assert_ptr_nonnull(strstr(text, "ZADD millrace:model:m:versions 1000 "));
    ck_assert_ptr_null(strstr(text, "ZADD millrace:model:m:versions 104 "));
}
END_TEST

START_TEST(models_are_bounded_and_none_starves)
{
    char model[32];
    bool forgot = false;
    for (int i = 0; i < PUBLISH_VIEW_MODELS_MAX; i++) {
        snprintf(model, sizeof model, "m%d", i);
        forgot = forgot || step(model, 1, 1);
    }
    ck_assert(!forgot);
    ck_assert(step("one-too-many", 1, 1));
    size_t writes = 0;
    while (publish_view_pending(view)) {
        const char *text = rendered();
        ck_assert_ptr_null(strstr(text, "SADD millrace:models m0 ")); /* it changed least recently */
        publish_view_settle(view, true);
        step("m1", 2, 1); /* a busy model */
        ck_assert_uint_lt(++writes, 100);
        if (strstr(text, "SADD millrace:models one-too-many ") != NULL) {
            break;
        }
    }
    ck_assert_uint_ge(writes, PUBLISH_VIEW_MODELS_MAX / PUBLISH_VIEW_WRITE_MODELS_MAX);
}
END_TEST

static const char *const bad_addresses[] = {"",        "localhost", "localhost:",    ":6379", "h:0",
                                            "h:65536", "h:12x",     "unix:relative", "unix:", "[]:1"};

START_TEST(a_bad_address_is_refused)
{
    struct publish_redis *redis = NULL;
    const struct mr_error error = publish_redis_new(bad_addresses[_i], 100, &redis);
    ck_assert_str_eq(error.code, "bad_redis");
    ck_assert_ptr_null(redis);
}
END_TEST

START_TEST(a_sink_that_is_away_is_transient)
{
    struct publish_redis *redis = NULL;
    ck_assert(!mr_failed(publish_redis_new("unix:/nonexistent/socket", 100, &redis)));
    const struct mr_error error = publish_redis_write(redis, mr_bytes_of_text("*1\r\n$4\r\nPING\r\n"), 1);
    ck_assert_int_eq(error.kind, MR_ERROR_TRANSIENT);
    ck_assert_ptr_nonnull(strstr(error.detail, "/nonexistent/socket"));
    publish_redis_free(redis);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("publish_view");
    TCase *bounded = tcase_create("view");
    tcase_add_checked_fixture(bounded, begin, end);
    tcase_add_test(bounded, the_newest_value_wins);
    tcase_add_test(bounded, what_was_not_written_stays);
    tcase_add_test(bounded, a_change_during_a_write_is_not_lost);
    tcase_add_test(bounded, versions_are_bounded);
    tcase_add_test(bounded, what_is_told_is_known_by_the_count_of_changes);
    tcase_add_test(bounded, the_newest_numbers_can_be_kept_apart);
    tcase_add_test(bounded, the_versions_that_wait_can_be_kept_apart);
    tcase_add_test(bounded, a_model_that_is_not_known_has_nothing_to_keep);
    tcase_add_test(bounded, a_state_without_a_view_is_refused);
    tcase_add_test(bounded, models_are_bounded_and_none_starves);
    suite_add_tcase(suite, bounded);
    TCase *redis = tcase_create("redis");
    tcase_add_loop_test(redis, a_bad_address_is_refused, 0, (int)MR_COUNT_OF(bad_addresses));
    tcase_add_test(redis, a_sink_that_is_away_is_transient);
    suite_add_tcase(suite, redis);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
