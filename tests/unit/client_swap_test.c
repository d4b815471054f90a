/*
 * Hot swaps under reading threads: no read fails, no model is torn, none is served that was not verified. MR_SWAPS sets
 * how many; every tenth version is first offered with weights that its hash does not name.
 */
#include "check_main.h"
#include "client_internal.h"
#include "client_watch.h"
#include "locked_store.h"
#include "memory_store.h"
#include "model_chain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { READERS = 4, OUTPUTS = 64, BAD_EVERY = 10 };
static const float poison = -1.0f;

static struct mr_client *client;
static _Atomic bool stopping;
static _Atomic uint64_t reads, failed, torn, backwards;

/* Every output of a version is its counter; a reader never sees a version go back. */
static void *read_on(void *self)
{
    (void)self;
    const float feature = 0.5f;
    uint64_t last = 0;
    while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
        float outputs[2 * OUTPUTS];
        const struct mr_view *view = mr_client_acquire(client);
        if (view == NULL || mr_failed(mr_view_outputs(view, &feature, 1, outputs))) {
            atomic_fetch_add(&failed, 1);
            mr_view_release(view);
            continue;
        }
        const uint64_t counter = mr_view_info(view)->counter;
        for (size_t i = 0; i < MR_COUNT_OF(outputs); i++) {
            const float expected = i % 2 == 0 ? (float)counter : -(float)counter;
            if (outputs[i] < expected || outputs[i] > expected) {
                atomic_fetch_add(&torn, 1);
                break;
            }
        }
        if (counter < last) {
            atomic_fetch_add(&backwards, 1);
        }
        last = counter;
        mr_view_release(view);
        atomic_fetch_add(&reads, 1);
    }
    return NULL;
}

/* Offered by head, but its payload is another one: refused until the right one is there. */
static void offer_bad(struct model_chain *chain, struct client_watch *watch, const struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version(chain->model_id, entry->version.version_id, "checkpoint.pb", key);
    struct mr_buffer good = model_chain_get(chain, key), bad = {0};
    ck_assert(!mr_failed(mr_buffer_append(&bad, good.data, good.size)));
    for (size_t i = 0; i + sizeof poison <= bad.size; i++) {
        const float is = (float)entry->version.counter;
        if (memcmp(bad.data + i, &is, sizeof is) == 0) {
            memcpy(bad.data + i, &poison, sizeof poison);
        }
    }
    model_chain_set(chain, key, mr_buffer_view(&bad));
    model_chain_move_head(chain, entry);
    mr_client_wake(client);
    (void)client_watch_told(watch, MR_CLIENT_REFUSED, "corrupt");
    model_chain_set(chain, key, mr_buffer_view(&good));
    mr_buffer_deinit(&bad);
    mr_buffer_deinit(&good);
}

START_TEST(ten_thousand_swaps_under_four_readers)
{
    struct mr_store *store = locked_store_new(memory_store_new(1));
    struct client_watch *watch = client_watch_new();
    struct model_chain chain;
    pthread_t readers[READERS];
    model_chain_begin(&chain, store, "m", model_chain_flat_json);
    (void)model_chain_commit(&chain, 0.0f);
    const struct mr_client_options options = {.model = "m",
                                              .poll_ms = 3600 * 1000,
                                              .retry_first_ms = 1,
                                              .retry_longest_ms = 1,
                                              .on_event = client_watch_event,
                                              .self = watch};
    ck_assert(!mr_failed(client_open_on(store, &options, &client)));
    ck_assert(mr_client_wait_ready(client, 60 * 1000));
    for (size_t i = 0; i < READERS; i++) {
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_on, NULL), 0);
    }
    for (uint64_t counter = 1; counter <= MR_SWAPS; counter++) {
        const struct mr_version_entry entry = model_chain_make(&chain, (float)counter);
        if (counter % BAD_EVERY == 0) {
            offer_bad(&chain, watch, &entry);
        } else {
            model_chain_move_head(&chain, &entry);
        }
        mr_client_wake(client);
        client_watch_served(watch, counter);
    }
    atomic_store(&stopping, true);
    for (size_t i = 0; i < READERS; i++) {
        ck_assert_int_eq(pthread_join(readers[i], NULL), 0);
    }
    struct mr_client_state state;
    mr_client_state(client, &state);
    ck_assert_uint_eq(state.counter, MR_SWAPS);
    ck_assert_uint_eq(state.swaps, MR_SWAPS + 1);
    ck_assert_uint_gt(atomic_load(&reads), 0);
    ck_assert_uint_eq(atomic_load(&failed), 0);
    ck_assert_uint_eq(atomic_load(&torn), 0);
    ck_assert_uint_eq(atomic_load(&backwards), 0);
    mr_client_close(client);
    client_watch_free(watch);
    mr_store_close(store);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, ten_thousand_swaps_under_four_readers);
}

int main(void)
{
    return check_main("client_swap", add);
}
