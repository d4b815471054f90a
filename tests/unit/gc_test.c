/* GC: what stays and what goes; killed, raced and lied to between any two of its steps. */
#include "chain.h"
#include "check_main.h"
#include "gc_decide.h"
#include "memory_store.h"
#include "millrace/pins.h"
#include "stepped_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS = 12, KEEP = 3 };
static const char model[] = "m-1";

/* ---- A model ------------------------------------------------------------------------------------------------ */

/* Twelve versions; v11, which is kept, restarted from v4, which restarted from v2. Failed commits stand at 5 and at 11,
 * an upload at 12. The spool has what is committed, what head has overtaken, what is to come, and rubbish. */
struct rig {
    struct mr_store *memory;
    struct stepped_store stepped;
    struct chain chain;
    struct mr_version_entry versions[VERSIONS];
    struct mr_version_entry orphans[2], upload;
    struct mr_sha256 spooled[4];
};
enum { SPOOL_OLD, SPOOL_AT_HEAD, SPOOL_COMING, SPOOL_BROKEN };

static void payload_of(const char *what, uint64_t number, char ret_text[32])
{
    (void)snprintf(ret_text, 32, "%s %u", what, (unsigned)number);
}

static void commit_version(struct rig *rig, uint64_t counter)
{
    char payload[32];
    const struct mr_version *source = counter == 11  ? &rig->versions[4].version
                                      : counter == 4 ? &rig->versions[2].version
                                                     : NULL;
    payload_of("payload", counter, payload);
    rig->versions[counter] = chain_commit(&rig->chain, payload, source);
}

static struct mr_version_entry leave_upload(struct rig *rig, const char *payload)
{
    const struct mr_version_entry entry = chain_next(&rig->chain, payload, NULL);
    chain_upload(&rig->chain, &entry, payload);
    return entry;
}

static void break_spooled(struct rig *rig)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_spool(model, &rig->spooled[SPOOL_BROKEN], key);
    memory_store_set(rig->memory, key, "other bytes than its name says");
    memory_store_set(rig->memory, "m-1/spool/README", "not ours");
    memory_store_set(rig->memory, "m-1/versions/notes/by-hand.txt", "not ours");
    memory_store_set(rig->memory, "m-1/payloads/abcd", "part of the log");
}

static void rig_open(struct rig *rig)
{
    *rig = (struct rig){.memory = memory_store_new(1)};
    rig->chain = (struct chain){.store = rig->memory, .model = model};
    for (uint64_t i = 0; i < VERSIONS; i++) {
        if (i == 5) {
            rig->orphans[0] = leave_upload(rig, "lost at five");
        } else if (i == 11) {
            rig->orphans[1] = leave_upload(rig, "lost at eleven");
        }
        commit_version(rig, i);
    }
    rig->upload = leave_upload(rig, "on its way");
    (void)chain_spool(&rig->chain, 40, "overtaken", &rig->spooled[SPOOL_OLD]);
    (void)chain_spool(&rig->chain, 110, "as far as head", &rig->spooled[SPOOL_AT_HEAD]);
    (void)chain_spool(&rig->chain, 111, "to come", &rig->spooled[SPOOL_COMING]);
    (void)chain_spool(&rig->chain, 10, "broken", &rig->spooled[SPOOL_BROKEN]);
    break_spooled(rig);
    stepped_store_init(&rig->stepped, rig->memory);
}

static void rig_close(struct rig *rig)
{
    mr_store_close(rig->memory);
}

static bool holds(const struct rig *rig, const struct mr_version_entry *entry, const char *file)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version(model, entry->version.version_id, file, key);
    return memory_store_peek(rig->memory, key).size > 0;
}

static bool has_payload(const struct rig *rig, uint64_t counter)
{
    return holds(rig, &rig->versions[counter], "checkpoint.pb");
}

static bool spooled(const struct rig *rig, int which)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_spool(model, &rig->spooled[which], key);
    return memory_store_peek(rig->memory, key).size > 0;
}

static void expect_good(const struct rig *rig)
{
    const struct mr_verify_result result = mr_versions_verify(rig->memory, model);
    ck_assert_msg(result.verdict == MR_VERIFY_GOOD, "%s", result.detail);
}

static struct mr_gc_request request_on(struct mr_store *store)
{
    return (struct mr_gc_request){.store = store, .model_id = model, .keep_last = KEEP};
}

static struct mr_error gc(struct mr_store *store, struct mr_gc_report *report)
{
    const struct mr_gc_request request = request_on(store);
    return mr_gc_run(&request, report);
}

static void must(struct mr_error error)
{
    ck_assert_msg(!mr_failed(error), "%s: %s", error.code, error.detail);
}

/* What a whole run leaves: genesis, the last three, and the two that they restarted from. */
static void expect_collected(const struct rig *rig)
{
    for (uint64_t i = 0; i < VERSIONS; i++) {
        const bool stays = i == 0 || i >= VERSIONS - KEEP || i == 4 || i == 2;
        ck_assert_msg(has_payload(rig, i) == stays, "version %u", (unsigned)i);
        ck_assert(holds(rig, &rig->versions[i], "collected.json") == !stays);
        ck_assert(holds(rig, &rig->versions[i], "metadata.json"));
        ck_assert(holds(rig, &rig->versions[i], "content_hash.txt"));
    }
    for (int i = 0; i < 2; i++) {
        ck_assert(!holds(rig, &rig->orphans[i], "checkpoint.pb") && !holds(rig, &rig->orphans[i], "metadata.json"));
        ck_assert(!holds(rig, &rig->orphans[i], "content_hash.txt"));
    }
    ck_assert(holds(rig, &rig->upload, "checkpoint.pb") && holds(rig, &rig->upload, "metadata.json"));
    ck_assert(!spooled(rig, SPOOL_OLD) && !spooled(rig, SPOOL_AT_HEAD));
    ck_assert(spooled(rig, SPOOL_COMING) && spooled(rig, SPOOL_BROKEN));
    ck_assert_uint_gt(memory_store_peek(rig->memory, "m-1/payloads/abcd").size, 0);
    ck_assert_uint_gt(memory_store_peek(rig->memory, "m-1/versions/notes/by-hand.txt").size, 0);
    ck_assert_uint_gt(memory_store_peek(rig->memory, "m-1/spool/README").size, 0);
    expect_good(rig);
}

/* ---- What stays and what goes ------------------------------------------------------------------------------- */

START_TEST(keeps_what_is_named_and_removes_the_rest)
{
    struct rig rig;
    struct mr_gc_report report, again;
    rig_open(&rig);
    const struct mr_gc_request request = request_on(rig.memory);
    const size_t objects = memory_store_count(rig.memory);
    must(mr_gc_preview(&request, &report));
    ck_assert_uint_eq(memory_store_count(rig.memory), objects);
    ck_assert_uint_eq(memory_store_removals(rig.memory, ""), 0);
    must(mr_gc_run(&request, &again));
    ck_assert_mem_eq(&again, &report, sizeof report); /* the preview told the truth */
    expect_collected(&rig);
    ck_assert_uint_eq(report.versions, VERSIONS);
    ck_assert_uint_eq(report.kept, 6);
    ck_assert_uint_eq(report.collected.count, 6);
    ck_assert_uint_eq(report.collected.bytes, 6 * strlen("payload 1"));
    ck_assert_uint_eq(report.orphans.count, 2);
    ck_assert_uint_eq(report.spool.count, 2);
    ck_assert_str_eq(report.head_version_id, rig.versions[VERSIONS - 1].version.version_id);
    must(mr_gc_run(&request, &again));
    ck_assert_uint_eq(again.collected.count + again.orphans.count + again.spool.count, 0);
    ck_assert_uint_eq(again.collected_before, 6);
    expect_collected(&rig);
    rig_close(&rig);
}
END_TEST

START_TEST(fewer_than_three_are_topped_up)
{
    static const uint64_t few[] = {0, 1, 2};
    for (size_t i = 0; i < MR_COUNT_OF(few); i++) {
        struct rig rig;
        struct mr_gc_report report;
        rig_open(&rig);
        struct mr_gc_request request = request_on(rig.memory);
        request.keep_last = few[i];
        must(mr_gc_run(&request, &report));
        expect_collected(&rig);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(protected_and_pinned_versions_stay)
{
    struct rig rig;
    struct mr_gc_report report;
    char pinned[MR_VERSION_ID_SIZE];
    rig_open(&rig);
    const struct mr_version_choice protect[] = {
        {.kind = MR_VERSION_COUNTER, .counter = 3},
        {.kind = MR_VERSION_ID, .counter = 6, .version_id = rig.versions[6].version.version_id},
    };
    must(mr_pin_put(rig.memory, model, (struct mr_version_choice){.kind = MR_VERSION_COUNTER, .counter = 1}, "audit",
                    pinned));
    ck_assert_str_eq(pinned, rig.versions[1].version.version_id);
    struct mr_gc_request request = request_on(rig.memory);
    request.protect = protect;
    request.protect_count = 2;
    must(mr_gc_run(&request, &report));
    ck_assert(has_payload(&rig, 1) && has_payload(&rig, 3) && has_payload(&rig, 6) && !has_payload(&rig, 5));
    ck_assert_uint_eq(report.kept, 9);
    must(mr_pin_remove(rig.memory, model, (struct mr_version_choice){.kind = MR_VERSION_COUNTER, .counter = 1}, "audit",
                       pinned));
    must(gc(rig.memory, &report));
    expect_collected(&rig);
    rig_close(&rig);
}
END_TEST

START_TEST(a_protected_version_that_is_none_ends_it)
{
    struct rig rig;
    struct mr_gc_report report;
    rig_open(&rig);
    const struct mr_version_choice protect[] = {
        {.kind = MR_VERSION_ID, .counter = 5, .version_id = rig.orphans[0].version.version_id}};
    struct mr_gc_request request = request_on(rig.memory);
    request.protect = protect;
    request.protect_count = 1;
    ck_assert_str_eq(mr_gc_run(&request, &report).code, "not_found");
    ck_assert_uint_eq(memory_store_removals(rig.memory, ""), 0);
    request.model_id = "nothing";
    ck_assert_str_eq(mr_gc_run(&request, &report).code, "not_found");
    rig_close(&rig);
}
END_TEST

START_TEST(damage_ends_it)
{
    static const char *const damaged[] = {"checkpoint.pb", "metadata.json"};
    for (size_t i = 0; i < MR_COUNT_OF(damaged); i++) {
        struct rig rig;
        struct mr_gc_report report;
        char key[MR_VERSION_KEY_SIZE];
        rig_open(&rig);
        mr_key_version(model, rig.versions[7].version.version_id, damaged[i], key);
        memory_store_set(rig.memory, key, NULL);
        ck_assert_str_eq(gc(rig.memory, &report).code, "corrupt");
        ck_assert_uint_eq(memory_store_removals(rig.memory, ""), 0);
        rig_close(&rig);
    }
}
END_TEST

/* ---- A head that went back ---------------------------------------------------------------------------------- */

static void expect_refusal(struct rig *rig, const char *says)
{
    struct mr_gc_report report;
    const size_t objects = memory_store_count(rig->memory);
    const struct mr_error error = gc(rig->memory, &report);
    ck_assert_str_eq(error.code, "head_went_back");
    ck_assert_msg(strstr(error.detail, says) != NULL, "%s", error.detail);
    ck_assert_uint_eq(memory_store_count(rig->memory), objects);
    ck_assert_uint_eq(memory_store_removals(rig->memory, ""), 0);
}

START_TEST(refuses_versions_above_head)
{
    struct rig rig;
    rig_open(&rig);
    chain_put_head(&rig.chain, &rig.versions[9]); /* 10 could be an upload; 11 and 12 could not */
    expect_refusal(&rig, "later versions stand above it");
    rig_close(&rig);
}
END_TEST

START_TEST(refuses_a_collected_or_pinned_version_above_head)
{
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        char key[MR_VERSION_KEY_SIZE];
        rig_open(&rig);
        (void)snprintf(key, sizeof key, i == 0 ? "m-1/versions/%s/collected.json" : "m-1/pins/%s/mine",
                       rig.upload.version.version_id);
        memory_store_set(rig.memory, key, "{}");
        expect_refusal(&rig, "later versions stand above it");
        rig_close(&rig);
    }
}
END_TEST

/* The other chain has been overtaken: what it holds stands below head, and names its own. */
START_TEST(refuses_a_chain_beside_the_chain)
{
    struct rig rig;
    rig_open(&rig);
    struct chain beside = rig.chain;
    beside.head = rig.versions[6];
    struct mr_version_entry first = chain_next(&beside, "beside 7", NULL);
    chain_upload(&beside, &first, "beside 7");
    beside.head = first;
    struct mr_version_entry second = chain_next(&beside, "beside 8", NULL);
    chain_upload(&beside, &second, "beside 8");
    expect_refusal(&rig, second.version.version_id);
    rig_close(&rig);
}
END_TEST

START_TEST(refuses_what_was_collected_or_pinned_beside_the_chain)
{
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        char key[MR_VERSION_KEY_SIZE];
        rig_open(&rig);
        (void)snprintf(key, sizeof key, i == 0 ? "m-1/versions/%s/collected.json" : "m-1/pins/%s/mine",
                       rig.orphans[0].version.version_id);
        memory_store_set(rig.memory, key, "{}");
        expect_refusal(&rig, rig.orphans[0].version.version_id);
        rig_close(&rig);
    }
}
END_TEST

static void put_head_back(void *self, uint64_t operation)
{
    struct rig *rig = self;
    (void)operation;
    if (memory_store_removals(rig->memory, "") == 1) {
        chain_put_head(&rig->chain, &rig->versions[3]);
    }
}

/* In mid-run: the next piece begins with head. */
START_TEST(a_head_that_goes_back_meanwhile)
{
    enum { MANY = 600 };
    struct mr_store *memory = memory_store_new(1);
    struct rig rig = {.memory = memory, .chain = {.store = memory, .model = model}};
    struct mr_gc_report report;
    for (uint64_t i = 0; i < MANY; i++) {
        char payload[32];
        payload_of("payload", i, payload);
        const struct mr_version_entry entry = chain_commit(&rig.chain, payload, NULL);
        rig.versions[i % VERSIONS] = i < VERSIONS ? entry : rig.versions[i % VERSIONS];
    }
    stepped_store_init(&rig.stepped, memory);
    rig.stepped.before = put_head_back;
    rig.stepped.self = &rig;
    ck_assert_str_eq(gc(&rig.stepped.base, &report).code, "head_went_back");
    ck_assert_uint_gt(report.collected.count, 0); /* of the first piece */
    ck_assert_uint_lt(report.collected.count, 300);
    ck_assert_uint_eq(memory_store_removals(memory, ""), report.collected.count);
    mr_store_close(memory);
}
END_TEST

/* ---- Between any two steps ---------------------------------------------------------------------------------- */

static uint64_t operations_of_a_run(void)
{
    struct rig rig;
    struct mr_gc_report report;
    rig_open(&rig);
    must(gc(&rig.stepped.base, &report));
    const uint64_t operations = rig.stepped.operations;
    rig_close(&rig);
    return operations;
}

START_TEST(killed_anywhere_it_is_finished_by_the_next)
{
    const uint64_t operations = operations_of_a_run();
    ck_assert_uint_gt(operations, 50);
    for (uint64_t n = 1; n <= operations; n++) {
        struct rig rig;
        struct mr_gc_report first, second;
        rig_open(&rig);
        rig.stepped.stop_at = n;
        ck_assert_int_eq(gc(&rig.stepped.base, &first).kind, MR_ERROR_TRANSIENT);
        expect_good(&rig);
        must(gc(rig.memory, &second));
        expect_collected(&rig);
        ck_assert_uint_eq(first.collected.count + second.collected.count, 6);
        ck_assert_uint_eq(first.collected.bytes + second.collected.bytes, 6 * strlen("payload 1"));
        ck_assert_uint_eq(first.spool.count + second.spool.count, 2);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(lost_replies_are_looked_up)
{
    const uint64_t operations = operations_of_a_run();
    for (uint64_t n = 1; n <= operations; n++) {
        for (int applied = 0; applied < 2; applied++) {
            struct rig rig;
            struct mr_gc_report report;
            rig_open(&rig);
            rig.stepped.lose_at = n;
            rig.stepped.lost_is_applied = applied == 1;
            must(gc(&rig.stepped.base, &report));
            expect_collected(&rig);
            ck_assert_uint_eq(report.collected.count, 6);
            ck_assert_uint_eq(report.orphans.count, 2);
            ck_assert_uint_eq(report.spool.count, 2);
            rig_close(&rig);
        }
    }
}
END_TEST

/* Somebody pins a version: the pin before operation `put_at`, the look for collected.json before `look_at`. */
struct pinner {
    struct rig *rig;
    uint64_t counter, put_at, look_at;
    bool granted;
};

static void pin_at(void *self, uint64_t operation)
{
    struct pinner *pinner = self;
    const struct mr_version_entry *entry = &pinner->rig->versions[pinner->counter];
    char key[MR_VERSION_KEY_SIZE];
    if (operation == pinner->put_at) {
        (void)snprintf(key, sizeof key, "m-1/pins/%s/mine", entry->version.version_id);
        memory_store_set(pinner->rig->memory, key, "{}");
    }
    if (operation == pinner->look_at) {
        pinner->granted = !holds(pinner->rig, entry, "collected.json");
    }
}

START_TEST(a_pin_that_was_granted_holds)
{
    const uint64_t operations = operations_of_a_run();
    uint64_t granted = 0, refused = 0;
    for (uint64_t put = 1; put <= operations; put++) {
        for (uint64_t look = put; look <= operations; look += look - put < 6 ? 1 : 8) {
            struct rig rig;
            struct mr_gc_report report;
            struct pinner pinner = {.rig = &rig, .counter = 1 + 2 * (put % 4), .put_at = put, .look_at = look};
            rig_open(&rig);
            rig.stepped.before = pin_at;
            rig.stepped.self = &pinner;
            must(gc(&rig.stepped.base, &report));
            rig.stepped.before = NULL;
            must(gc(&rig.stepped.base, &report));
            ck_assert_msg(!pinner.granted || has_payload(&rig, pinner.counter),
                          "version %u, pinned before step %u and looked at before %u", (unsigned)pinner.counter,
                          (unsigned)put, (unsigned)look);
            granted += pinner.granted;
            refused += !pinner.granted;
            if ((put + look) % 16 == 0) {
                expect_good(&rig);
            }
            rig_close(&rig);
        }
    }
    ck_assert_uint_gt(granted, 300);
    ck_assert_uint_gt(refused, 100);
}
END_TEST

/* Others commit, and collect, before one of its steps. */
struct other {
    struct rig *rig;
    uint64_t at;
    unsigned commits;
    bool collects;
};

static void interfere(void *self, uint64_t operation)
{
    struct other *other = self;
    struct mr_gc_report report;
    if (operation != other->at) {
        return;
    }
    for (unsigned i = 0; i < other->commits; i++) {
        char payload[32];
        payload_of("meanwhile", i, payload);
        (void)leave_upload(other->rig, "lost meanwhile");
        (void)chain_commit(&other->rig->chain, payload, i == 1 ? &other->rig->versions[4].version : NULL);
    }
    if (other->collects) {
        must(gc(other->rig->memory, &report));
    }
}

static bool head_loads(const struct rig *rig, uint64_t back)
{
    struct mr_buffer body = {0};
    struct mr_version_entry entry;
    const struct mr_version_choice choice = {.kind = MR_VERSION_COUNTER,
                                             .counter = rig->chain.head.version.counter - back};
    const struct mr_error error = mr_version_load(rig->memory, model, choice, &body, &entry);
    mr_buffer_deinit(&body);
    return !mr_failed(error);
}

START_TEST(writers_and_a_second_gc_at_any_step)
{
    const uint64_t operations = operations_of_a_run();
    for (uint64_t n = 1; n <= operations; n++) {
        for (unsigned commits = 0; commits < 6; commits++) {
            struct rig rig;
            struct mr_gc_report report;
            struct other other = {.rig = &rig, .at = n, .commits = commits, .collects = commits != 1};
            rig_open(&rig);
            rig.stepped.before = interfere;
            rig.stepped.self = &other;
            must(gc(&rig.stepped.base, &report));
            expect_good(&rig);
            ck_assert(head_loads(&rig, 0) && head_loads(&rig, 1) && head_loads(&rig, 2));
            ck_assert(has_payload(&rig, 0) && spooled(&rig, SPOOL_BROKEN));
            ck_assert(commits < 2 || commits > 4 || has_payload(&rig, 4)); /* one of the last three restarted from it */
            rig_close(&rig);
        }
    }
}
END_TEST

/* ---- Readers and runs --------------------------------------------------------------------------------------- */

static struct mr_error load(const struct rig *rig, struct mr_version_choice choice)
{
    struct mr_buffer body = {0};
    struct mr_version_entry entry;
    const struct mr_error error = mr_version_load(rig->memory, model, choice, &body, &entry);
    mr_buffer_deinit(&body);
    return error;
}

START_TEST(a_reader_of_a_collected_version_is_told)
{
    struct rig rig;
    struct mr_gc_report report;
    char key[MR_VERSION_KEY_SIZE], id[MR_VERSION_ID_SIZE];
    const struct mr_version_choice third = {.kind = MR_VERSION_COUNTER, .counter = 3};
    struct mr_version_inspection *inspection = calloc(1, sizeof *inspection);
    ck_assert_ptr_nonnull(inspection);
    rig_open(&rig);
    must(gc(rig.memory, &report));
    const struct mr_error gone = load(&rig, third);
    ck_assert_int_eq(gone.kind, MR_ERROR_REJECT);
    ck_assert_str_eq(gone.code, "version_gone");
    ck_assert_str_eq(mr_pin_put(rig.memory, model, third, "late", id).code, "version_gone");
    ck_assert_uint_eq(memory_store_removals(rig.memory, "/pins/"), 0);
    must(mr_versions_inspect(rig.memory, model, third, inspection));
    ck_assert(inspection->collected && !inspection->has_payload);
    ck_assert_str_eq(load(&rig, (struct mr_version_choice){.kind = MR_VERSION_COUNTER, .counter = 77}).code,
                     "not_found");
    mr_key_version(model, rig.versions[3].version.version_id, "collected.json", key);
    memory_store_set(rig.memory, key, NULL);
    ck_assert_str_eq(load(&rig, third).code, "corrupt");
    free(inspection);
    rig_close(&rig);
}
END_TEST

static void move_on(void *self, uint64_t operation)
{
    struct rig *rig = self;
    struct mr_gc_report report;
    if (operation == 3) { /* head and its metadata are read */
        for (unsigned i = 0; i < 4; i++) {
            char payload[32];
            payload_of("meanwhile", i, payload);
            (void)chain_commit(&rig->chain, payload, NULL);
        }
        must(gc(rig->memory, &report));
    }
}

START_TEST(a_reader_of_head_that_slept_asks_again)
{
    struct rig rig;
    struct mr_buffer body = {0};
    struct mr_version_entry entry;
    const struct mr_version_choice head = {.kind = MR_VERSION_HEAD};
    rig_open(&rig);
    rig.stepped.before = move_on;
    rig.stepped.self = &rig;
    const struct mr_error error = mr_version_load(&rig.stepped.base, model, head, &body, &entry);
    ck_assert_int_eq(error.kind, MR_ERROR_TRANSIENT);
    ck_assert_str_eq(error.code, "head_moved");
    must(mr_version_load(&rig.stepped.base, model, head, &body, &entry));
    mr_buffer_deinit(&body);
    rig_close(&rig);
}
END_TEST

static struct mr_position place(uint64_t offset)
{
    struct mr_position position = {.offset = offset};
    memset(position.log_id, 0xab, sizeof position.log_id);
    return position;
}

START_TEST(what_an_open_run_restarts_from_stays_until_head_is_past_its_start)
{
    struct rig rig;
    struct mr_gc_report report;
    bool held = false;
    rig_open(&rig);
    const char *source = rig.versions[3].version.version_id, *other = rig.versions[5].version.version_id;
    const struct mr_position at_head = place(110), behind_head = place(115);
    struct mr_position elsewhere = place(1);
    elsewhere.log_id[0] = 1;
    must(mr_restart_decide(rig.memory, model, source, &behind_head, &held));
    ck_assert(held);
    must(mr_restart_decide(rig.memory, model, rig.versions[1].version.version_id, &at_head, &held)); /* spent */
    must(mr_restart_decide(rig.memory, model, other, &elsewhere, &held)); /* of another log: nobody can tell */
    must(gc(rig.memory, &report));
    ck_assert(has_payload(&rig, 3) && has_payload(&rig, 5) && !has_payload(&rig, 1));
    (void)chain_commit(&rig.chain, "of that run", NULL);
    must(gc(rig.memory, &report));
    ck_assert(!has_payload(&rig, 3) && has_payload(&rig, 5));
    must(mr_restart_decide(rig.memory, model, source, &behind_head, &held));
    ck_assert(held); /* what was decided stays decided */
    rig_close(&rig);
}
END_TEST

START_TEST(a_restart_is_decided_once)
{
    struct rig rig;
    struct mr_gc_report report;
    bool held = true, decided = true;
    rig_open(&rig);
    const struct mr_position start = place(115), later = place(116);
    const char *source = rig.versions[3].version.version_id;
    must(mr_restart_read(rig.memory, model, source, &start, &decided, &held));
    ck_assert(!decided);
    must(gc(rig.memory, &report));
    must(mr_restart_decide(rig.memory, model, source, &start, &held));
    ck_assert(!held);
    must(mr_restart_read(rig.memory, model, source, &start, &decided, &held));
    ck_assert(decided && !held);
    must(mr_restart_read(rig.memory, model, source, &later, &decided, &held));
    ck_assert(!decided);
    rig_close(&rig);
}
END_TEST

/* Two trains of one start, and a GC between any two of their steps: they agree, and what was granted is there. */
struct trains {
    struct rig *rig;
    uint64_t gc_at, second_at;
    bool second_held;
};

static void beside_train(void *self, uint64_t operation)
{
    struct trains *trains = self;
    struct mr_gc_report report;
    const struct mr_position start = place(115);
    if (operation == trains->gc_at) {
        must(gc(trains->rig->memory, &report));
    }
    if (operation == trains->second_at) {
        must(mr_restart_decide(trains->rig->memory, model, trains->rig->versions[3].version.version_id, &start,
                               &trains->second_held));
    }
}

START_TEST(trains_of_one_start_agree)
{
    const struct mr_position start = place(115);
    uint64_t granted = 0;
    for (uint64_t collect = 1; collect <= 8; collect++) {
        for (uint64_t second = 1; second <= 8; second++) {
            struct rig rig;
            struct trains trains = {.rig = &rig, .gc_at = collect, .second_at = second};
            bool held = false;
            rig_open(&rig);
            rig.stepped.before = beside_train;
            rig.stepped.self = &trains;
            must(mr_restart_decide(&rig.stepped.base, model, rig.versions[3].version.version_id, &start, &held));
            ck_assert(second > rig.stepped.operations || trains.second_held == held);
            ck_assert(!held || has_payload(&rig, 3));
            granted += held;
            rig_close(&rig);
        }
    }
    ck_assert_uint_gt(granted, 8);
    ck_assert_uint_lt(granted, 64);
}
END_TEST

static struct mr_error count_pin(void *self, const struct mr_pin *pin)
{
    unsigned *counts = self;
    counts[pin->of_run]++;
    ck_assert(!pin->of_run || pin->start.offset == 115);
    ck_assert(pin->of_run || strcmp(pin->name, "mine") == 0);
    return mr_ok();
}

START_TEST(pins_are_listed_and_named_by_ids)
{
    static const char *const bad[] = {"", "Mine", "a/b", "run:x", "run:abababababababababababababababab:0:01", ".a"};
    struct rig rig;
    char id[MR_VERSION_ID_SIZE];
    unsigned counts[2] = {0, 0};
    bool held = false;
    rig_open(&rig);
    const struct mr_version_choice choice = {.kind = MR_VERSION_COUNTER, .counter = 3};
    const struct mr_position start = place(115);
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_str_eq(mr_pin_put(rig.memory, model, choice, bad[i], id).code, "bad_id");
        ck_assert_str_eq(mr_pin_remove(rig.memory, model, choice, bad[i], id).code, "bad_id");
    }
    must(mr_pin_put(rig.memory, model, choice, "mine", id));
    must(mr_pin_put(rig.memory, model, choice, "mine", id));
    must(mr_restart_decide(rig.memory, model, rig.versions[3].version.version_id, &start, &held));
    must(mr_pins_each(rig.memory, model, count_pin, counts));
    ck_assert_uint_eq(counts[0], 1);
    ck_assert_uint_eq(counts[1], 1);
    must(mr_pin_remove(rig.memory, model, choice, "mine", id));
    ck_assert_str_eq(mr_pin_remove(rig.memory, model, choice, "mine", id).code, "not_found");
    must(mr_pin_remove(rig.memory, model, choice, "run:abababababababababababababababab:0:115", id));
    counts[0] = counts[1] = 0;
    must(mr_pins_each(rig.memory, model, count_pin, counts));
    ck_assert_uint_eq(counts[0] + counts[1], 0);
    rig_close(&rig);
}
END_TEST

START_TEST(a_checkpoint_tells_its_records_only_in_its_own_shape)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool tells;
        uint64_t applied;
    } cases[] = {
        {"\x0a\x02mr\x30\x05\x38\x96\x01\x40\x07", 11, true, 150},
        {"\x38\x00", 2, true, 0},
        {"", 0, false, 0},
        {"\x0a\x02mr", 4, false, 0},                                    /* it ends before */
        {"\x0a\x7fmr\x38\x01", 6, false, 0},                            /* a length beyond the end */
        {"\x38\x96", 2, false, 0},                                      /* cut */
        {"\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, false, 0}, /* over 64 bits */
        {"\x30\x05\x0a\x02mr\x38\x01", 8, false, 0},                    /* fields out of order */
        {"\x40\x07\x38\x01", 4, false, 0},                              /* it has none: a later field comes first */
        {"\x3a\x01\x01", 3, false, 0},                                  /* no number */
        {"\x0d\x00\x00\x00\x00\x38\x01", 7, false, 0},                  /* a kind of field that it does not have */
    };
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        uint64_t applied = 0;
        const bool tells = mr_gc_applied(mr_bytes_of(cases[i].bytes, cases[i].size), &applied);
        ck_assert_msg(tells == cases[i].tells, "case %zu", i);
        ck_assert(!tells || applied == cases[i].applied);
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, a_checkpoint_tells_its_records_only_in_its_own_shape);
    tcase_add_test(tcase, keeps_what_is_named_and_removes_the_rest);
    tcase_add_test(tcase, fewer_than_three_are_topped_up);
    tcase_add_test(tcase, protected_and_pinned_versions_stay);
    tcase_add_test(tcase, a_protected_version_that_is_none_ends_it);
    tcase_add_test(tcase, damage_ends_it);
    tcase_add_test(tcase, refuses_versions_above_head);
    tcase_add_test(tcase, refuses_a_collected_or_pinned_version_above_head);
    tcase_add_test(tcase, refuses_a_chain_beside_the_chain);
    tcase_add_test(tcase, refuses_what_was_collected_or_pinned_beside_the_chain);
    tcase_add_test(tcase, a_head_that_goes_back_meanwhile);
    tcase_add_test(tcase, killed_anywhere_it_is_finished_by_the_next);
    tcase_add_test(tcase, lost_replies_are_looked_up);
    tcase_add_test(tcase, a_pin_that_was_granted_holds);
    tcase_add_test(tcase, writers_and_a_second_gc_at_any_step);
    tcase_add_test(tcase, a_reader_of_a_collected_version_is_told);
    tcase_add_test(tcase, a_reader_of_head_that_slept_asks_again);
    tcase_add_test(tcase, what_an_open_run_restarts_from_stays_until_head_is_past_its_start);
    tcase_add_test(tcase, a_restart_is_decided_once);
    tcase_add_test(tcase, trains_of_one_start_agree);
    tcase_add_test(tcase, pins_are_listed_and_named_by_ids);
}

int main(void)
{
    return check_main("gc", add);
}
