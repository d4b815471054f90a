/* Checkpoints on their way, and the offset that they hold back. */
#include "check_main.h"
#include "train_ledger.h"

#include <string.h>

static struct train_pending *cut_at(struct train_ledger *ledger, uint64_t origin)
{
    struct train_cut cut;
    memset(&cut, 0, sizeof cut);
    cut.checkpoint.spec.version_bump = MR_BUMP_PATCH;
    struct train_pending *pending = train_ledger_add(ledger, &cut, origin, 0);
    ck_assert_ptr_nonnull(pending);
    return pending;
}

static void seal(struct train_pending *pending, uint8_t hash)
{
    memset(pending->produced.content_hash.bytes, hash, MR_SHA256_SIZE);
    pending->has_cut = false;
    pending->sealed = true;
}

static struct mr_sha256 hash_of(uint8_t byte)
{
    struct mr_sha256 hash;
    memset(hash.bytes, byte, sizeof hash.bytes);
    return hash;
}

/* Rule C4: behind every step up to it, and behind the spool. */
START_TEST(a_checkpoint_is_handed_over_behind_its_steps)
{
    struct train_ledger ledger = {.uncommitted = 0};
    const uint64_t first = train_ledger_fold(&ledger, 10), second = train_ledger_fold(&ledger, 11);
    struct train_pending *pending = cut_at(&ledger, 5);
    const uint64_t third = train_ledger_fold(&ledger, 12);
    ck_assert_ptr_eq(train_ledger_to_seal(&ledger), pending);
    ck_assert_ptr_null(train_ledger_to_hand(&ledger));
    seal(pending, 1);
    ck_assert_ptr_null(train_ledger_to_seal(&ledger));
    train_ledger_ack(&ledger, third); /* a later one does not count */
    train_ledger_ack(&ledger, first);
    ck_assert_ptr_null(train_ledger_to_hand(&ledger));
    train_ledger_ack(&ledger, second);
    ck_assert_ptr_eq(train_ledger_to_hand(&ledger), pending);
    train_ledger_handed(&ledger, pending);
    ck_assert_ptr_null(train_ledger_to_hand(&ledger));
    ck_assert_uint_eq(ledger.uncommitted, 1);
    train_ledger_deinit(&ledger);
}
END_TEST

START_TEST(they_go_in_order)
{
    struct train_ledger ledger = {.uncommitted = 0};
    train_ledger_ack(&ledger, train_ledger_fold(&ledger, 1));
    struct train_pending *first = cut_at(&ledger, 1);
    train_ledger_ack(&ledger, train_ledger_fold(&ledger, 2));
    struct train_pending *second = cut_at(&ledger, 2);
    first->has_cut = false; /* on a worker: the next one needs its hash */
    ck_assert_ptr_null(train_ledger_to_seal(&ledger));
    seal(first, 1);
    ck_assert_ptr_eq(train_ledger_to_seal(&ledger), second);
    seal(second, 2);
    ck_assert_ptr_eq(train_ledger_to_hand(&ledger), first);
    train_ledger_handed(&ledger, first);
    ck_assert_ptr_eq(train_ledger_to_hand(&ledger), second);
    train_ledger_deinit(&ledger);
}
END_TEST

START_TEST(the_floor_follows_what_is_committed)
{
    struct train_ledger ledger = {.uncommitted = 0};
    const struct mr_sha256 one = hash_of(1), two = hash_of(2);
    ck_assert_uint_eq(train_ledger_floor(&ledger, true), UINT64_MAX);
    train_ledger_fold(&ledger, 10);
    seal(cut_at(&ledger, 1), 1);
    train_ledger_fold(&ledger, 14);
    train_ledger_fold(&ledger, 15);
    seal(cut_at(&ledger, 3), 2);
    ck_assert_uint_eq(train_ledger_floor(&ledger, true), 10);
    ck_assert_uint_eq(train_ledger_floor(&ledger, false), 10); /* what is produced must still be committed */
    train_ledger_committed(&ledger, train_ledger_produced(&ledger, &one));
    ck_assert_uint_eq(train_ledger_floor(&ledger, true), 14);
    ck_assert_ptr_null(train_ledger_produced(&ledger, &one));
    train_ledger_committed(&ledger, train_ledger_produced(&ledger, &two));
    ck_assert_uint_eq(train_ledger_floor(&ledger, true), UINT64_MAX);
    ck_assert_uint_eq(ledger.uncommitted, 0);
    train_ledger_deinit(&ledger);
}
END_TEST

START_TEST(a_commit_takes_along_all_before_it)
{
    struct train_ledger ledger = {.uncommitted = 0};
    const struct mr_sha256 two = hash_of(2);
    for (uint8_t i = 1; i <= 3; i++) {
        train_ledger_ack(&ledger, train_ledger_fold(&ledger, i));
        struct train_pending *pending = cut_at(&ledger, i);
        seal(pending, i);
        train_ledger_handed(&ledger, pending);
    }
    train_ledger_committed(&ledger, train_ledger_produced(&ledger, &two));
    ck_assert_uint_eq(ledger.uncommitted, 1);
    ck_assert_uint_eq(ledger.first->origin, 3);
    ck_assert_uint_eq(train_ledger_floor(&ledger, false), 3);
    train_ledger_deinit(&ledger);
}
END_TEST

/* Committed by another process, or by an earlier life: it is handed over all the same, or the next one would name a
 * predecessor that is not in the topic. */
START_TEST(a_committed_one_is_still_handed_over)
{
    struct train_ledger ledger = {.uncommitted = 0};
    const struct mr_sha256 one = hash_of(1);
    const uint64_t sequence = train_ledger_fold(&ledger, 1);
    struct train_pending *pending = cut_at(&ledger, 1);
    seal(pending, 1);
    train_ledger_committed(&ledger, pending);
    ck_assert_ptr_null(train_ledger_produced(&ledger, &one));
    ck_assert_ptr_null(train_ledger_to_hand(&ledger));
    train_ledger_ack(&ledger, sequence);
    ck_assert_ptr_eq(train_ledger_to_hand(&ledger), pending);
    train_ledger_handed(&ledger, pending);
    ck_assert_ptr_null(ledger.first);
}
END_TEST

/* A run that commits nothing holds its start while it is open (rule C14), and nothing afterwards. */
START_TEST(an_open_run_holds_its_start)
{
    struct train_ledger ledger = {.uncommitted = 0};
    train_ledger_fold(&ledger, 20);
    train_ledger_fold(&ledger, 21);
    ck_assert_uint_eq(train_ledger_floor(&ledger, true), 20);
    ck_assert_uint_eq(train_ledger_floor(&ledger, false), UINT64_MAX);
}
END_TEST

START_TEST(a_dropped_state_gives_nothing_up)
{
    struct train_ledger ledger = {.uncommitted = 0};
    const uint64_t before = train_ledger_fold(&ledger, 20);
    seal(cut_at(&ledger, 1), 1);
    train_ledger_committed(&ledger, ledger.first);
    ck_assert_uint_eq(train_ledger_floor(&ledger, true), UINT64_MAX);
    train_ledger_drop(&ledger);
    ck_assert_ptr_null(ledger.first);
    ck_assert_uint_eq(train_ledger_floor(&ledger, true), 0);
    /* Steps from before the drop are still on their way: a new checkpoint waits for them too. */
    const uint64_t after = train_ledger_fold(&ledger, 0);
    struct train_pending *pending = cut_at(&ledger, 2);
    seal(pending, 2);
    train_ledger_ack(&ledger, after);
    ck_assert_ptr_null(train_ledger_to_hand(&ledger));
    train_ledger_ack(&ledger, before);
    ck_assert_ptr_eq(train_ledger_to_hand(&ledger), pending);
    train_ledger_deinit(&ledger);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, a_checkpoint_is_handed_over_behind_its_steps);
    tcase_add_test(tcase, they_go_in_order);
    tcase_add_test(tcase, the_floor_follows_what_is_committed);
    tcase_add_test(tcase, a_commit_takes_along_all_before_it);
    tcase_add_test(tcase, a_committed_one_is_still_handed_over);
    tcase_add_test(tcase, an_open_run_holds_its_start);
    tcase_add_test(tcase, a_dropped_state_gives_nothing_up);
}

int main(void)
{
    return check_main("train_ledger", add);
}
