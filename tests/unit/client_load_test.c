/* What a client serves and what it refuses: damage to each object, outages, pinned versions, and the past. */
#include "check_main.h"
#include "client_internal.h"
#include "client_watch.h"
#include "locked_store.h"
#include "memory_store.h"
#include "model_chain.h"
#include "sample_spec.h"

#include "millrace/pricing.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { HOUR_MS = 3600 * 1000, MINUTE_MS = 60 * 1000 };

static struct mr_store *store;
static struct client_watch *watch;
static struct mr_client *client;
static struct model_chain chain;

static void setup(void)
{
    store = locked_store_new(memory_store_new(1));
    watch = client_watch_new();
    model_chain_begin(&chain, store, "m", model_chain_flat_json);
}

static void teardown(void)
{
    mr_client_close(client);
    client = NULL;
    client_watch_free(watch);
    mr_store_close(store);
}

static struct mr_error open_version(const char *version)
{
    const struct mr_client_options options = {
        .model = "m",
        .version = version,
        .poll_ms = HOUR_MS,
        .retry_first_ms = 1,
        .retry_longest_ms = 10,
        .on_event = client_watch_event,
        .self = watch,
    };
    return client_open_on(store, &options, &client);
}

static void begin(const char *version)
{
    const struct mr_error error = open_version(version);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
}

static void commit(uint64_t counter)
{
    const struct mr_version_entry entry = model_chain_commit(&chain, (float)counter);
    ck_assert_uint_eq(entry.version.counter, counter);
}

static void serve_first(void)
{
    commit(0);
    begin(NULL);
    client_watch_served(watch, 0);
}

static float answer(void)
{
    const float feature = 0.0f;
    float outputs[128];
    const struct mr_view *view = mr_client_acquire(client);
    ck_assert_ptr_nonnull(view);
    ck_assert(!mr_failed(mr_view_outputs(view, &feature, 1, outputs)));
    mr_view_release(view);
    return outputs[0];
}

static uint64_t served(void)
{
    const struct mr_view *view = mr_client_acquire(client);
    ck_assert_ptr_nonnull(view);
    const uint64_t counter = mr_view_info(view)->counter;
    mr_view_release(view);
    return counter;
}

/* Another byte in the middle of the object, in place of `offset` from its beginning where that is not 0. */
static struct mr_buffer damage(const char *key)
{
    struct mr_buffer good = model_chain_get(&chain, key), bad = {0};
    ck_assert(!mr_failed(mr_buffer_append(&bad, good.data, good.size)));
    bad.data[bad.size / 2] ^= 1;
    model_chain_set(&chain, key, mr_buffer_view(&bad));
    mr_buffer_deinit(&bad);
    return good;
}

static void repair(const char *key, struct mr_buffer *good)
{
    model_chain_set(&chain, key, mr_buffer_view(good));
    mr_buffer_deinit(good);
}

static const char *version_key(const struct mr_version_entry *entry, const char *file)
{
    static char key[MR_VERSION_KEY_SIZE];
    mr_key_version("m", entry->version.version_id, file, key);
    return key;
}

START_TEST(phases)
{
    struct mr_client_state state;
    begin(NULL);
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "not_found");
    mr_client_state(client, &state);
    ck_assert_int_eq(state.phase, MR_CLIENT_BOOTSTRAPPING);
    ck_assert_ptr_null(mr_client_acquire(client));
    const struct mr_version_entry entry = model_chain_make(&chain, 5.0f);
    struct mr_buffer good = damage(version_key(&entry, "checkpoint.pb"));
    model_chain_move_head(&chain, &entry);
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "corrupt");
    mr_client_state(client, &state);
    ck_assert_int_eq(state.phase, MR_CLIENT_HYDRATING);
    ck_assert_str_eq(state.error.code, "corrupt");
    ck_assert(!mr_client_wait_ready(client, 0));
    repair(version_key(&entry, "checkpoint.pb"), &good);
    ck_assert(mr_client_wait_ready(client, MINUTE_MS));
    mr_client_state(client, &state);
    ck_assert_int_eq(state.phase, MR_CLIENT_READY);
    ck_assert_uint_eq(state.failures, 0);
    ck_assert(!mr_failed(state.error));
    ck_assert_float_eq(answer(), 5.0f);
}
END_TEST

START_TEST(what_a_view_says)
{
    serve_first();
    commit(1);
    mr_client_wake(client);
    client_watch_served(watch, 1);
    const struct mr_view *view = mr_client_acquire(client);
    const struct mr_view_info *info = mr_view_info(view);
    char hash[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&chain.head.record_hash, hash);
    ck_assert_str_eq(info->record_hash, hash);
    mr_sha256_text(&chain.head.version.content_hash, hash);
    ck_assert_str_eq(info->content_hash, hash);
    ck_assert_str_eq(info->version_id, chain.head.version.version_id);
    ck_assert_str_eq(info->semantic_version, "1.0.1");
    ck_assert_str_eq(info->run_id, "run-1");
    ck_assert_str_eq(info->log_id, "01000000000000000000000000000000");
    ck_assert_uint_eq(info->step, 1);
    ck_assert_uint_eq(info->offset, 11);
    ck_assert(!info->prices && info->features == 1 && info->outputs == 64);
    struct mr_price price;
    const float contract[MR_CONTRACT_FIELDS] = {0};
    ck_assert_str_eq(mr_view_price(view, contract, 1, &price, NULL).code, "not_a_pricing_model");
    const float bad[] = {0.0f, 1.0f / 0.0f};
    float outputs[256];
    ck_assert_str_eq(mr_view_outputs(view, bad, 2, outputs).code, "not_finite");
    mr_view_release(view);
}
END_TEST

/* Each object of the new version, and head, damaged in turn: the one before stays, and the new one comes when it is
 * whole again. */
START_TEST(damage_is_told_and_not_served)
{
    static const char *const files[] = {"head.json", "metadata.json", "checkpoint.pb"};
    serve_first();
    for (uint64_t counter = 1; counter <= MR_COUNT_OF(files); counter++) {
        const char *file = files[counter - 1];
        const struct mr_version_entry entry = model_chain_make(&chain, (float)counter);
        if (file[0] == 'h') {
            model_chain_move_head(&chain, &entry);
        }
        char key[MR_VERSION_KEY_SIZE];
        (void)snprintf(key, sizeof key, "%s", file[0] == 'h' ? "m/head.json" : version_key(&entry, file));
        struct mr_buffer good = damage(key);
        model_chain_move_head(&chain, &entry);
        if (file[0] == 'h') {
            mr_buffer_deinit(&good);
            good = damage(key);
        }
        mr_client_wake(client);
        (void)client_watch_told(watch, MR_CLIENT_REFUSED, "corrupt");
        ck_assert_float_eq(answer(), (float)(counter - 1));
        repair(key, &good);
        client_watch_served(watch, counter);
        ck_assert_float_eq(answer(), (float)counter);
    }
}
END_TEST

/* Every bit of head.json: whatever it becomes, the version before stays or the true one comes. */
START_TEST(any_bit_of_head)
{
    serve_first();
    commit(1);
    struct mr_buffer good = model_chain_get(&chain, "m/head.json");
    mr_client_wake(client);
    client_watch_served(watch, 1);
    struct mr_version_entry next = model_chain_make(&chain, 2.0f);
    model_chain_move_head(&chain, &next);
    mr_buffer_deinit(&good);
    good = model_chain_get(&chain, "m/head.json");
    for (size_t bit = 0; bit < good.size * 8; bit++) {
        struct mr_client_state before, after;
        struct mr_buffer bad = {0};
        ck_assert(!mr_failed(mr_buffer_append(&bad, good.data, good.size)));
        bad.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        model_chain_set(&chain, "m/head.json", mr_buffer_view(&bad));
        mr_client_state(client, &before);
        mr_client_wake(client);
        do {
            mr_client_state(client, &after);
        } while (after.failures <= before.failures && after.swaps == before.swaps);
        ck_assert_msg(after.swaps == before.swaps, "bit %zu of head.json was served", bit);
        mr_buffer_deinit(&bad);
    }
    model_chain_set(&chain, "m/head.json", mr_buffer_view(&good));
    mr_buffer_deinit(&good);
    client_watch_served(watch, 2);
}
END_TEST

START_TEST(a_damaged_version_in_between_is_passed_over)
{
    serve_first();
    const struct mr_version_entry bad = model_chain_make(&chain, 1.0f);
    struct mr_buffer good = damage(version_key(&bad, "checkpoint.pb"));
    mr_buffer_deinit(&good);
    model_chain_move_head(&chain, &bad);
    commit(2);
    commit(3);
    mr_client_wake(client);
    client_watch_served(watch, 3);
    ck_assert_float_eq(answer(), 3.0f);
    ck_assert_uint_eq(client_watch_count(watch, MR_CLIENT_SERVED), 2);
}
END_TEST

START_TEST(history_that_was_replaced_is_refused)
{
    serve_first();
    commit(1);
    mr_client_wake(client);
    client_watch_served(watch, 1);
    /* Another history of the same model, longer than the one that is served. */
    struct model_chain other;
    model_chain_begin(&other, store, "m", model_chain_flat_json);
    for (int i = 0; i < 4; i++) {
        (void)model_chain_commit(&other, 100.0f + (float)i);
    }
    mr_client_wake(client);
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "forked");
    ck_assert_float_eq(answer(), 1.0f);
    /* The same counter, and an older one. */
    other.versions = 1;
    struct mr_version_entry entry = model_chain_make(&other, 200.0f);
    model_chain_move_head(&other, &entry);
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "forked");
    struct model_chain oldest;
    model_chain_begin(&oldest, store, "m", model_chain_flat_json);
    (void)model_chain_commit(&oldest, 0.0f);
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "rolled_back");
    ck_assert_float_eq(answer(), 1.0f);
    /* Head as it was: all is well again. */
    model_chain_move_head(&chain, &chain.head);
    commit(2);
    client_watch_served(watch, 2);
}
END_TEST

static void goes_on_trying(void)
{
    const uint64_t calls = locked_store_calls(store);
    while (locked_store_calls(store) < calls + 20) {
        (void)poll(NULL, 0, 1);
    }
}

START_TEST(a_store_that_is_away_is_waited_for)
{
    locked_store_answer(store, MR_STORE_UNAVAILABLE);
    begin(NULL);
    (void)client_watch_told(watch, MR_CLIENT_DELAYED, "unavailable");
    goes_on_trying();
    ck_assert_uint_eq(client_watch_count(watch, MR_CLIENT_DELAYED), 1);
    locked_store_answer(store, MR_STORE_DONE);
    commit(0);
    client_watch_served(watch, 0);
    locked_store_answer(store, MR_STORE_THROTTLED);
    mr_client_wake(client);
    (void)client_watch_told(watch, MR_CLIENT_DELAYED, "unavailable");
    ck_assert_float_eq(answer(), 0.0f);
    locked_store_answer(store, MR_STORE_DENIED);
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "denied");
    ck_assert_float_eq(answer(), 0.0f);
    goes_on_trying();
    locked_store_answer(store, MR_STORE_DONE);
    commit(1);
    mr_client_wake(client); /* it may have seen that nothing changed before the commit */
    client_watch_served(watch, 1);
    ck_assert_float_eq(answer(), 1.0f);
}
END_TEST

START_TEST(a_pinned_version_stays)
{
    commit(0);
    commit(1);
    begin("1");
    client_watch_served(watch, 1);
    commit(2);
    mr_client_wake(client);
    ck_assert_uint_eq(served(), 1);
    mr_client_close(client);
    client = NULL;
    /* By id; one that does not exist yet is waited for. */
    begin(chain.head.version.version_id);
    client_watch_served(watch, 2);
    ck_assert_float_eq(answer(), 2.0f);
    mr_client_close(client);
    client = NULL;
    begin("3");
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "not_found");
    ck_assert_ptr_null(mr_client_acquire(client));
    commit(3);
    client_watch_served(watch, 3);
}
END_TEST

START_TEST(a_version_that_was_collected_is_gone)
{
    commit(0);
    const struct mr_version_entry old = model_chain_commit(&chain, 1.0f);
    commit(2);
    model_chain_set(&chain, version_key(&old, "checkpoint.pb"), mr_bytes_of(NULL, 0));
    begin("1");
    /* Without the mark it is damage. */
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "corrupt");
    model_chain_set(&chain, version_key(&old, "collected.json"), mr_bytes_of_text("{}"));
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "version_gone");
    ck_assert_ptr_null(mr_client_acquire(client));
}
END_TEST

START_TEST(a_view_lives_as_long_as_it_is_held)
{
    serve_first();
    const struct mr_view *held[MR_CLIENT_VIEWS_MAX];
    for (uint64_t i = 0; i < MR_CLIENT_VIEWS_MAX; i++) {
        held[i] = mr_client_acquire(client);
        commit(i + 1);
        mr_client_wake(client);
        client_watch_served(watch, i + 1);
    }
    /* All that are kept are held: the newest that could be served stays. */
    commit(MR_CLIENT_VIEWS_MAX + 1);
    mr_client_wake(client);
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "views_held");
    ck_assert_uint_eq(served(), MR_CLIENT_VIEWS_MAX);
    for (uint64_t i = 0; i < MR_CLIENT_VIEWS_MAX; i++) {
        const float feature = 0.0f;
        float outputs[128];
        ck_assert(!mr_failed(mr_view_outputs(held[i], &feature, 1, outputs)));
        ck_assert_float_eq(outputs[0], (float)i);
        mr_view_release(held[i]);
    }
    client_watch_served(watch, MR_CLIENT_VIEWS_MAX + 1);
}
END_TEST

START_TEST(prices_are_the_model_s)
{
    model_chain_begin(&chain, store, "m", sample_pricing_json);
    (void)model_chain_commit(&chain, 0.0f);
    begin(NULL);
    client_watch_served(watch, 0);
    const float contracts[2][MR_CONTRACT_FIELDS] = {{100, 95, 1, 0.02f, 0.01f, 0.2f}, {90, 100, 0.5f, 0, 0, 0.3f}};
    struct mr_price prices[2], expected[2];
    struct mr_contract_fault fault;
    struct mr_checkpoint checkpoint;
    struct mr_pricer *pricer = NULL;
    struct mr_buffer bytes = model_chain_get(&chain, version_key(&chain.head, "checkpoint.pb"));
    ck_assert(!mr_failed(mr_checkpoint_decode(mr_buffer_view(&bytes), &checkpoint)));
    ck_assert(!mr_failed(mr_pricer_new(&checkpoint, &pricer)));
    ck_assert(!mr_failed(mr_pricer_price(pricer, contracts[0], 2, expected, &fault)));
    const struct mr_view *view = mr_client_acquire(client);
    ck_assert(mr_view_info(view)->prices);
    ck_assert(!mr_failed(mr_view_price(view, contracts[0], 2, prices, NULL)));
    ck_assert_int_eq(memcmp(prices, expected, sizeof prices), 0);
    const float outside[MR_CONTRACT_FIELDS] = {100, 95, 1, 0.02f, 0.01f, 9.0f};
    ck_assert_str_eq(mr_view_price(view, outside, 1, prices, &fault).code, "out_of_domain");
    ck_assert_int_eq(fault.field, MR_CONTRACT_V);
    float outputs[80];
    ck_assert_str_eq(mr_view_outputs(view, outside, 1, outputs).code, "not_a_labelled_model");
    mr_view_release(view);
    mr_pricer_free(pricer);
    mr_checkpoint_deinit(&checkpoint);
    mr_buffer_deinit(&bytes);
}
END_TEST

START_TEST(what_was_head_then)
{
    struct mr_head_at at;
    const int64_t t0 = 1777982400000;
    struct mr_version_entry entries[4];
    for (int i = 0; i < 4; i++) {
        entries[i] = model_chain_commit(&chain, (float)i);
        model_chain_audit(&chain, &entries[i], t0 + 1000 * i);
    }
    /* A second attempt at version 1, after version 2; and an attempt at a version that never became one. */
    model_chain_audit(&chain, &entries[1], t0 + 2500);
    struct mr_version_entry lost = entries[3];
    lost.version.commit_id.bytes[0] ^= 1;
    lost.record_hash.bytes[0] ^= 1;
    model_chain_audit(&chain, &lost, t0 + 3500);
    begin(NULL);
    ck_assert_str_eq(mr_client_head_at(client, t0 - 1, &at).code, "not_found");
    static const struct {
        int64_t after_ms;
        uint64_t counter;
        int64_t observed_ms;
    } rows[] = {{0, 0, 0},       {999, 0, 0},     {1000, 1, 1000}, {2499, 2, 2000},
                {2600, 2, 2000}, {3000, 3, 3000}, {3600, 3, 3000}, {1000000, 3, 3000}};
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        const struct mr_error error = mr_client_head_at(client, t0 + rows[i].after_ms, &at);
        ck_assert_msg(!mr_failed(error), "%s", error.detail);
        ck_assert_msg(at.counter == rows[i].counter, "after %d ms: %d", (int)rows[i].after_ms, (int)at.counter);
        ck_assert_int_eq(at.observed_ms - t0, rows[i].observed_ms);
        ck_assert_str_eq(at.version_id, entries[at.counter].version.version_id);
        ck_assert_ptr_nonnull(strstr(at.basis, "writer's own clock"));
        ck_assert_str_eq(at.writer, "persist host:1");
    }
    locked_store_answer(store, MR_STORE_UNAVAILABLE);
    ck_assert_int_eq(mr_client_head_at(client, t0, &at).kind, MR_ERROR_TRANSIENT);
}
END_TEST

START_TEST(bad_options)
{
    struct mr_client_options options = {.store = "file:///tmp", .model = "Bad id"};
    ck_assert_str_eq(mr_client_open(&options, &client).code, "bad_id");
    options.model = "m";
    options.version = "last";
    ck_assert_str_eq(mr_client_open(&options, &client).code, "bad_version");
    options.version = NULL;
    options.store = "ftp://x";
    ck_assert_int_eq(mr_client_open(&options, &client).kind, MR_ERROR_REJECT);
    options.store = NULL;
    ck_assert_int_eq(mr_client_open(&options, &client).kind, MR_ERROR_REJECT);
    options.store = "file:///tmp";
    options.redis = "nowhere";
    ck_assert_str_eq(mr_client_open(&options, &client).code, "bad_redis");
    ck_assert_ptr_null(client);
    mr_client_close(NULL);
    mr_view_release(NULL);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, phases);
    tcase_add_test(tcase, what_a_view_says);
    tcase_add_test(tcase, damage_is_told_and_not_served);
    tcase_add_test(tcase, any_bit_of_head);
    tcase_add_test(tcase, a_damaged_version_in_between_is_passed_over);
    tcase_add_test(tcase, history_that_was_replaced_is_refused);
    tcase_add_test(tcase, a_store_that_is_away_is_waited_for);
    tcase_add_test(tcase, a_pinned_version_stays);
    tcase_add_test(tcase, a_version_that_was_collected_is_gone);
    tcase_add_test(tcase, a_view_lives_as_long_as_it_is_held);
    tcase_add_test(tcase, prices_are_the_model_s);
    tcase_add_test(tcase, what_was_head_then);
    tcase_add_test(tcase, bad_options);
}

int main(void)
{
    return check_main("client_load", add);
}
