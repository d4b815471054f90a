/* Leases over a private arena: what is granted, taken, lost, and why. */
#include "check_main.h"
#include "millrace/arena.h"

#include <string.h>

enum { BYTES = 16384, BLOCKS = 4 };

static uint8_t next_epoch;

/* Epochs 1, 2, 3 ...: the tests can tell them apart. */
static struct mr_error counted(void *ret_data, size_t size)
{
    memset(ret_data, 0, size);
    *(uint8_t *)ret_data = ++next_epoch;
    return mr_ok();
}

static struct mr_arena_owner *owner;
static struct mr_arena_consumer *consumer;

static void connect_consumer(void)
{
    ck_assert(!mr_failed(mr_arena_private_connect(owner, &consumer)));
    ck_assert_int_eq(mr_arena_consumer_turn(consumer, 0).news, MR_ARENA_CONSUMER_CONNECTED);
    ck_assert(mr_arena_owner_turn(owner).consumer_came);
}

static void set_up(void)
{
    const struct mr_arena_config config = {.bytes = BYTES, .blocks = BLOCKS, .random = counted};
    next_epoch = 0;
    ck_assert(!mr_failed(mr_arena_private_open(&config, &owner)));
    connect_consumer();
}

static void tear_down(void)
{
    mr_arena_consumer_close(consumer);
    mr_arena_owner_close(owner);
}

static struct mr_lease staged(uint64_t size, uint8_t fill)
{
    struct mr_arena_block block;
    struct mr_lease lease;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, size, &block), MR_ARENA_GRANTED);
    memset(block.data, fill, (size_t)size);
    ck_assert(!mr_failed(mr_arena_owner_publish(owner, &block, size, &lease)));
    return lease;
}

static enum mr_lease_loss try_take(const struct mr_lease *lease)
{
    struct mr_leased leased = {.mapping = NULL};
    const enum mr_lease_loss loss = mr_arena_take(consumer, lease, &leased);
    if (loss == MR_LEASE_HELD) {
        mr_arena_release(consumer, &leased);
    } else {
        ck_assert_ptr_null(leased.mapping); /* untouched */
    }
    return loss;
}

START_TEST(a_lease_gives_the_staged_bytes_once)
{
    const struct mr_lease lease = staged(1000, 7);
    ck_assert_uint_eq(lease.length, 1000);
    ck_assert_uint_eq(lease.offset % MR_ARENA_ALIGNMENT, 0);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(consumer, &lease, &leased), MR_LEASE_HELD);
    ck_assert_uint_eq(leased.bytes.size, 1000);
    for (size_t i = 0; i < leased.bytes.size; i++) {
        ck_assert_uint_eq(leased.bytes.data[i], 7);
    }
    struct mr_leased again;
    ck_assert_int_eq(mr_arena_take(consumer, &lease, &again), MR_LEASE_GENERATION_PASSED);
    ck_assert(!mr_arena_owner_turn(owner).freed);
    mr_arena_release(consumer, &leased);
    ck_assert(mr_arena_owner_turn(owner).freed);
    ck_assert_int_eq(mr_arena_take(consumer, &lease, &again), MR_LEASE_GENERATION_PASSED);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, BYTES);
}
END_TEST

START_TEST(a_lease_of_no_bytes_is_a_lease)
{
    const struct mr_lease lease = staged(0, 0);
    ck_assert_uint_eq(lease.length, 0);
    ck_assert_int_eq(try_take(&lease), MR_LEASE_HELD);
}
END_TEST

START_TEST(an_exhausted_arena_waits_for_a_release)
{
    const struct mr_lease first = staged(BYTES / 2, 1);
    const struct mr_lease second = staged(BYTES / 2, 2);
    struct mr_arena_block block;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, 1, &block), MR_ARENA_EXHAUSTED);
    ck_assert(!mr_arena_owner_turn(owner).freed);
    ck_assert_int_eq(try_take(&first), MR_LEASE_HELD);
    ck_assert(mr_arena_owner_turn(owner).freed);
    ck_assert(!mr_arena_owner_turn(owner).freed);
    /* What is leased does not move: the other half is as it was. */
    const struct mr_lease third = staged(BYTES / 2, 3);
    ck_assert_uint_eq(third.offset, first.offset);
    ck_assert_int_eq(try_take(&second), MR_LEASE_HELD);
    ck_assert_int_eq(try_take(&third), MR_LEASE_HELD);
}
END_TEST

START_TEST(blocks_run_out_before_bytes)
{
    for (uint32_t i = 0; i < BLOCKS; i++) {
        (void)staged(1, (uint8_t)i);
    }
    struct mr_arena_block block;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, 1, &block), MR_ARENA_EXHAUSTED);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).blocks_leased, BLOCKS);
}
END_TEST

START_TEST(what_never_fits_is_told_apart_from_what_waits)
{
    struct mr_arena_block block;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, BYTES + 1, &block), MR_ARENA_TOO_LARGE);
    ck_assert_int_eq(mr_arena_owner_allocate(owner, UINT64_MAX, &block), MR_ARENA_TOO_LARGE);
    ck_assert_int_eq(mr_arena_owner_allocate(owner, BYTES, &block), MR_ARENA_GRANTED);
    mr_arena_owner_withdraw(owner, block.block, block.generation);
}
END_TEST

START_TEST(every_flaw_of_a_lease_has_its_name)
{
    const struct mr_lease good = staged(600, 9);
    struct mr_lease lease = {.block = 0};
    ck_assert_int_eq(try_take(&lease), MR_LEASE_NONE);
    lease = good;
    lease.epoch.bytes[15] ^= 1;
    ck_assert_int_eq(try_take(&lease), MR_LEASE_EPOCH_PASSED);
    lease = good;
    lease.block = BLOCKS;
    ck_assert_int_eq(try_take(&lease), MR_LEASE_OUT_OF_BOUNDS);
    lease.block = UINT32_MAX;
    ck_assert_int_eq(try_take(&lease), MR_LEASE_OUT_OF_BOUNDS);
    lease = good;
    lease.offset = BYTES;
    ck_assert_int_eq(try_take(&lease), MR_LEASE_OUT_OF_BOUNDS);
    lease.offset = UINT64_MAX;
    ck_assert_int_eq(try_take(&lease), MR_LEASE_OUT_OF_BOUNDS);
    lease = good;
    lease.length = UINT64_MAX;
    ck_assert_int_eq(try_take(&lease), MR_LEASE_OUT_OF_BOUNDS);
    const uint64_t generations[] = {0, good.generation + 1, UINT64_MAX, good.generation | UINT64_C(1) << 61};
    for (size_t i = 0; i < MR_COUNT_OF(generations); i++) {
        lease = good;
        lease.generation = generations[i];
        ck_assert_int_eq(try_take(&lease), MR_LEASE_GENERATION_PASSED);
    }
    /* None of these took it. */
    ck_assert_int_eq(try_take(&good), MR_LEASE_HELD);
}
END_TEST

START_TEST(bytes_that_changed_lose_the_lease_and_free_the_block)
{
    struct mr_arena_block block;
    struct mr_lease lease;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, 512, &block), MR_ARENA_GRANTED);
    memset(block.data, 5, 512);
    ck_assert(!mr_failed(mr_arena_owner_publish(owner, &block, 512, &lease)));
    block.data[511] ^= 0x10;
    ck_assert_int_eq(try_take(&lease), MR_LEASE_CHECKSUM_MISMATCH);
    ck_assert(mr_arena_owner_turn(owner).freed);
    ck_assert_int_eq(try_take(&lease), MR_LEASE_GENERATION_PASSED);
}
END_TEST

START_TEST(a_wrong_checksum_in_the_record_loses_the_lease)
{
    struct mr_lease lease = staged(512, 5);
    lease.checksum ^= 1;
    ck_assert_int_eq(try_take(&lease), MR_LEASE_CHECKSUM_MISMATCH);
}
END_TEST

START_TEST(a_stale_lease_never_reaches_the_next_use_of_its_block)
{
    const struct mr_lease stale = staged(BYTES, 1);
    ck_assert_int_eq(try_take(&stale), MR_LEASE_HELD);
    (void)mr_arena_owner_turn(owner);
    const struct mr_lease fresh = staged(BYTES, 2);
    ck_assert_uint_eq(fresh.block, stale.block);
    ck_assert_uint_eq(fresh.generation, stale.generation + 1);
    ck_assert_int_eq(try_take(&stale), MR_LEASE_GENERATION_PASSED);
    mr_arena_drop(consumer, &stale);
    struct mr_arena_block block;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, 1, &block), MR_ARENA_EXHAUSTED); /* still leased */
    ck_assert_int_eq(try_take(&fresh), MR_LEASE_HELD);
}
END_TEST

START_TEST(a_drop_after_the_release_does_not_free_the_next_use)
{
    const struct mr_lease lease = staged(BYTES, 1);
    struct mr_leased first, other;
    ck_assert_int_eq(mr_arena_take(consumer, &lease, &first), MR_LEASE_HELD);
    const struct mr_leased copy = first;
    mr_arena_release(consumer, &first);
    (void)mr_arena_owner_turn(owner);
    const struct mr_lease next = staged(BYTES, 2);
    ck_assert_int_eq(mr_arena_take(consumer, &next, &other), MR_LEASE_HELD);
    mr_arena_drop(consumer, &copy.lease);
    ck_assert(!mr_arena_owner_turn(owner).freed);
    mr_arena_release(consumer, &other);
    ck_assert(mr_arena_owner_turn(owner).freed);
}
END_TEST

START_TEST(a_dropped_lease_frees_its_block)
{
    const struct mr_lease lease = staged(BYTES, 1);
    mr_arena_drop(consumer, &lease);
    ck_assert(mr_arena_owner_turn(owner).freed);
    ck_assert_int_eq(try_take(&lease), MR_LEASE_GENERATION_PASSED);
    mr_arena_drop(consumer, &lease); /* again: nothing */
    ck_assert(!mr_arena_owner_turn(owner).freed);
}
END_TEST

START_TEST(the_owner_withdraws_what_is_not_taken)
{
    struct mr_arena_block block;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, BYTES, &block), MR_ARENA_GRANTED);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).blocks_filling, 1);
    mr_arena_owner_withdraw(owner, block.block, block.generation);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, BYTES);
    const struct mr_lease ready = staged(BYTES, 1);
    mr_arena_owner_withdraw(owner, ready.block, ready.generation);
    ck_assert_int_eq(try_take(&ready), MR_LEASE_GENERATION_PASSED);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, BYTES);
    const struct mr_lease used = staged(BYTES, 2);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(consumer, &used, &leased), MR_LEASE_HELD);
    mr_arena_owner_withdraw(owner, used.block, used.generation);
    mr_arena_owner_withdraw(owner, ready.block, ready.generation);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, 0);
    mr_arena_release(consumer, &leased);
}
END_TEST

START_TEST(what_is_published_twice_or_overrun_is_our_own_mistake)
{
    struct mr_arena_block block;
    struct mr_lease lease, untouched = {.block = 77};
    ck_assert_int_eq(mr_arena_owner_allocate(owner, 256, &block), MR_ARENA_GRANTED);
    ck_assert_int_eq(mr_arena_owner_publish(owner, &block, 257, &untouched).kind, MR_ERROR_FATAL);
    ck_assert(!mr_failed(mr_arena_owner_publish(owner, &block, 256, &lease)));
    ck_assert_int_eq(mr_arena_owner_publish(owner, &block, 256, &untouched).kind, MR_ERROR_FATAL);
    ck_assert_uint_eq(untouched.block, 77);
}
END_TEST

START_TEST(a_new_consumer_finds_every_lease_free)
{
    const struct mr_lease ready = staged(BYTES / 2, 1);
    const struct mr_lease held = staged(BYTES / 2, 2);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(consumer, &held, &leased), MR_LEASE_HELD);
    struct mr_arena_consumer *dead = consumer;
    mr_arena_consumer_close(dead); /* its process dies with a lease in hand */
    ck_assert(mr_arena_owner_turn(owner).consumer_went);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, 0);
    ck_assert(!mr_arena_owner_usage(owner).consumer);
    connect_consumer();
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, BYTES);
    ck_assert_int_eq(try_take(&ready), MR_LEASE_EPOCH_PASSED);
    const struct mr_lease fresh = staged(BYTES, 3);
    ck_assert_int_ne(memcmp(fresh.epoch.bytes, ready.epoch.bytes, MR_EPOCH_SIZE), 0);
    mr_arena_release(consumer, &leased); /* the dead one's: it does nothing to the fresh one */
    ck_assert_int_eq(try_take(&fresh), MR_LEASE_HELD);
}
END_TEST

START_TEST(a_block_that_is_filling_survives_a_new_consumer)
{
    struct mr_arena_block block;
    struct mr_lease lease;
    ck_assert_int_eq(mr_arena_owner_allocate(owner, 256, &block), MR_ARENA_GRANTED);
    mr_arena_consumer_close(consumer);
    connect_consumer();
    memset(block.data, 4, 256);
    ck_assert(!mr_failed(mr_arena_owner_publish(owner, &block, 256, &lease)));
    ck_assert_int_eq(try_take(&lease), MR_LEASE_HELD);
}
END_TEST

START_TEST(a_second_consumer_is_refused_while_one_is_there)
{
    struct mr_arena_consumer *second = NULL;
    ck_assert(!mr_failed(mr_arena_private_connect(owner, &second)));
    const struct mr_arena_consumer_turn turn = mr_arena_consumer_turn(second, 0);
    ck_assert_int_eq(turn.news, MR_ARENA_CONSUMER_DISCONNECTED);
    ck_assert_str_eq(turn.why.code, "consumer_present");
    ck_assert_int_eq(mr_arena_consumer_turn(second, 1000).news, MR_ARENA_CONSUMER_STEADY); /* told once */
    const struct mr_lease lease = staged(1, 1);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(second, &lease, &leased), MR_LEASE_NOT_CONNECTED);
    mr_arena_drop(second, &lease);
    ck_assert_int_eq(try_take(&lease), MR_LEASE_HELD);
    ck_assert_uint_ge(mr_arena_owner_turn(owner).refused, 1);
    mr_arena_consumer_close(second);
}
END_TEST

START_TEST(a_reset_gives_up_every_lease_and_keeps_what_is_held)
{
    const struct mr_lease skipped = staged(256, 1);
    const struct mr_lease held = staged(256, 2);
    struct mr_leased leased;
    ck_assert_int_eq(mr_arena_take(consumer, &held, &leased), MR_LEASE_HELD);
    mr_arena_consumer_reset(consumer);
    /* The owner may not reuse what is still read: the old connection lasts as long. */
    ck_assert_int_eq(mr_arena_consumer_turn(consumer, 0).news, MR_ARENA_CONSUMER_DISCONNECTED);
    ck_assert_uint_eq(leased.bytes.data[255], 2);
    mr_arena_release(consumer, &leased);
    ck_assert_int_eq(mr_arena_consumer_turn(consumer, 100).news, MR_ARENA_CONSUMER_CONNECTED);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, BYTES);
    ck_assert_int_eq(try_take(&skipped), MR_LEASE_EPOCH_PASSED);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    struct mr_arena_owner *none = NULL;
    const struct mr_arena_config bad[] = {{.bytes = 0, .blocks = 1},
                                          {.bytes = UINT64_MAX, .blocks = 1},
                                          {.bytes = BYTES, .blocks = 0},
                                          {.bytes = BYTES, .blocks = UINT32_MAX}};
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_str_eq(mr_arena_private_open(&bad[i], &none).code, "bad_size");
        ck_assert_ptr_null(none);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_lease_gives_the_staged_bytes_once);
    tcase_add_test(tcase, a_lease_of_no_bytes_is_a_lease);
    tcase_add_test(tcase, an_exhausted_arena_waits_for_a_release);
    tcase_add_test(tcase, blocks_run_out_before_bytes);
    tcase_add_test(tcase, what_never_fits_is_told_apart_from_what_waits);
    tcase_add_test(tcase, every_flaw_of_a_lease_has_its_name);
    tcase_add_test(tcase, bytes_that_changed_lose_the_lease_and_free_the_block);
    tcase_add_test(tcase, a_wrong_checksum_in_the_record_loses_the_lease);
    tcase_add_test(tcase, a_stale_lease_never_reaches_the_next_use_of_its_block);
    tcase_add_test(tcase, a_drop_after_the_release_does_not_free_the_next_use);
    tcase_add_test(tcase, a_dropped_lease_frees_its_block);
    tcase_add_test(tcase, the_owner_withdraws_what_is_not_taken);
    tcase_add_test(tcase, what_is_published_twice_or_overrun_is_our_own_mistake);
    tcase_add_test(tcase, a_new_consumer_finds_every_lease_free);
    tcase_add_test(tcase, a_block_that_is_filling_survives_a_new_consumer);
    tcase_add_test(tcase, a_second_consumer_is_refused_while_one_is_there);
    tcase_add_test(tcase, a_reset_gives_up_every_lease_and_keeps_what_is_held);
    tcase_add_test(tcase, impossible_sizes_are_refused);
}

int main(void)
{
    return check_main("arena_lease", add);
}
