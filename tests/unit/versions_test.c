/* Versions in a store: their bytes, their chain, and what verification says of every way to damage it. */
#include "check_main.h"
#include "memory_store.h"
#include "millrace/versions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VERSIONS = 4 };
static const char model[] = "m-1";
static const int64_t first_ms = 1777982400123;

static struct mr_store *store;
static struct mr_version_entry chain[VERSIONS];

/* ---- A good chain -------------------------------------------------------------------------------------------- */

static void put_buffer(const char *key, struct mr_buffer *json)
{
    ck_assert(!mr_failed(mr_buffer_append(json, "", 1)));
    memory_store_set(store, key, (const char *)json->data);
    mr_buffer_deinit(json);
}

static void put_file(const char *version_id, const char *file, const char *text)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_version(model, version_id, file, key);
    memory_store_set(store, key, text);
}

static void put_head(const struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    const struct mr_head head = mr_head_of(&entry->version, &entry->record_hash);
    ck_assert(!mr_failed(mr_head_encode(&head, &json)));
    mr_key_head(model, key);
    put_buffer(key, &json);
}

static void put_audit(const struct mr_version_entry *entry, int64_t observed_ms)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    struct mr_audit audit = {
        .counter = entry->version.counter,
        .content_hash = entry->version.content_hash,
        .record_hash = entry->record_hash,
        .commit_id = entry->version.commit_id,
        .observed_ms = observed_ms,
        .writer = "persist host:1",
        .build = "millrace 0.1.0",
    };
    (void)snprintf(audit.model_id, sizeof audit.model_id, "%s", model);
    (void)snprintf(audit.version_id, sizeof audit.version_id, "%s", entry->version.version_id);
    ck_assert(!mr_failed(mr_audit_encode(&audit, &json)));
    mr_key_audit(&audit, key);
    put_buffer(key, &json);
}

static void audit_key(const struct mr_version_entry *entry, char ret_key[MR_VERSION_KEY_SIZE])
{
    struct mr_audit audit = {.observed_ms = first_ms + (int64_t)entry->version.counter * 1000,
                             .commit_id = entry->version.commit_id};
    memcpy(audit.model_id, model, sizeof model);
    mr_key_audit(&audit, ret_key);
}

/* In place of the version's first audit entry; NULL removes it. */
static void put_audit_text(const struct mr_version_entry *entry, const char *text)
{
    char key[MR_VERSION_KEY_SIZE];
    audit_key(entry, key);
    ck_assert_uint_gt(memory_store_peek(store, key).size, 0);
    memory_store_set(store, key, text);
}

static struct mr_bytes audit_bytes(const struct mr_version_entry *entry)
{
    char key[MR_VERSION_KEY_SIZE];
    audit_key(entry, key);
    return memory_store_peek(store, key);
}

/* Gives it its ids, writes it, and fills its record hash. */
static void put_version(struct mr_version_entry *entry, const char *payload)
{
    char key[MR_VERSION_KEY_SIZE], text[MR_SHA256_TEXT_SIZE];
    struct mr_buffer json = {0};
    struct mr_version *version = &entry->version;
    version->content_hash = mr_sha256_of(mr_bytes_of_text(payload));
    version->size = strlen(payload);
    mr_version_id(version->counter, &version->content_hash, version->version_id);
    ck_assert(!mr_failed(mr_commit_id(version, &version->commit_id)));
    ck_assert(!mr_failed(mr_version_encode(version, &json)));
    entry->record_hash = mr_sha256_of(mr_buffer_view(&json));
    mr_key_version(model, version->version_id, "metadata.json", key);
    put_buffer(key, &json);
    mr_sha256_text(&version->content_hash, text);
    put_file(version->version_id, "checkpoint.pb", payload);
    put_file(version->version_id, "content_hash.txt", text);
    put_audit(entry, first_ms + (int64_t)version->counter * 1000);
}

static struct mr_version_entry make(uint64_t counter, const struct mr_version_entry *parent)
{
    struct mr_version_entry entry = {.version = {
                                         .counter = counter,
                                         .semantic_version = {1, 0, counter},
                                         .model_id = "m-1",
                                         .run_id = "run",
                                         .step = 10 * counter,
                                         .samples = 320 * counter,
                                         .applied = 11 * counter,
                                         .position = {.partition = 2, .offset = 100 + counter},
                                         .event_time_ms = 1777982400123,
                                         .message = "Checkpoint",
                                         .loss = 0.1f,
                                         .gradient_norm = 2.0f,
                                         .arithmetic_profile = "mr-f32-v1",
                                         .has_parent = parent != NULL,
                                     }};
    memset(entry.version.position.log_id, 0xab, sizeof entry.version.position.log_id);
    if (parent != NULL) {
        memcpy(entry.version.parent_version_id, parent->version.version_id, sizeof parent->version.version_id);
        entry.version.parent_record_hash = parent->record_hash;
    }
    return entry;
}

static void payload_of(uint64_t counter, char ret_text[32])
{
    (void)snprintf(ret_text, 32, "payload %d", (int)counter);
}

static void setup(void)
{
    store = memory_store_new(1);
    for (uint64_t i = 0; i < VERSIONS; i++) {
        char payload[32];
        payload_of(i, payload);
        chain[i] = make(i, i == 0 ? NULL : &chain[i - 1]);
        put_version(&chain[i], payload);
    }
    put_head(&chain[VERSIONS - 1]);
}

static void teardown(void)
{
    mr_store_close(store);
}

/* ---- Bytes ---------------------------------------------------------------------------------------------------- */

START_TEST(golden_bytes)
{
    static const char metadata[] =
        "{\"applied\":11,\"arithmetic_profile\":\"mr-f32-v1\","
        "\"commit_id\":\"%s\",\"content_hash\":\"%s\",\"counter\":1,\"event_time_ms\":1777982400123,"
        "\"message\":\"Checkpoint\",\"metrics\":{\"gradient_norm\":2.0,\"loss\":0.100000001},\"model_id\":\"m-1\","
        "\"parent_record_hash\":\"%s\",\"parent_version_id\":\"%s\","
        "\"position\":{\"log_id\":\"abababababababababababababababab\",\"offset\":101,\"partition\":2},"
        "\"restarted_from\":null,\"run_id\":\"run\",\"samples\":320,\"semantic_version\":\"1.0.1\",\"size\":9,"
        "\"step\":10,\"version_id\":\"%s\"}";
    char commit[MR_SHA256_TEXT_SIZE], content[MR_SHA256_TEXT_SIZE], parent[MR_SHA256_TEXT_SIZE], wanted[2048];
    struct mr_buffer json = {0};
    mr_sha256_text(&chain[1].version.commit_id, commit);
    mr_sha256_text(&chain[1].version.content_hash, content);
    mr_sha256_text(&chain[0].record_hash, parent);
    (void)snprintf(wanted, sizeof wanted, metadata, commit, content, parent, chain[0].version.version_id,
                   chain[1].version.version_id);
    ck_assert(!mr_failed(mr_version_encode(&chain[1].version, &json)));
    ck_assert(!mr_failed(mr_buffer_append(&json, "", 1)));
    ck_assert_str_eq((const char *)json.data, wanted);
    mr_buffer_deinit(&json);
}
END_TEST

/* Hashes of stored versions must never move: they are in every chain. */
START_TEST(golden_hashes)
{
    char text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&chain[1].version.commit_id, text);
    ck_assert_str_eq(text, "7f26255bbc55399d517437c5fc84b55c700a29f088d9a9c3d4ac9c623d2c32ba");
    mr_sha256_text(&chain[1].record_hash, text);
    ck_assert_str_eq(text, "04093d028b1a5c02d09f60c20612bf858492c2564d262b5f075c06fd2ee66be3");
    ck_assert_str_eq(chain[1].version.version_id, "v0000000001_6eea669b");
}
END_TEST

START_TEST(round_trips)
{
    struct mr_buffer json = {0};
    struct mr_version version = chain[2].version, back;
    version.has_restarted_from = true;
    memcpy(version.restarted_version_id, chain[0].version.version_id, sizeof version.restarted_version_id);
    version.restarted_content_hash = chain[0].version.content_hash;
    version.loss = nextafterf(1.0f, 2.0f);
    version.gradient_norm = 1.17549435e-38f;
    version.event_time_ms = -5;
    (void)snprintf(version.message, sizeof version.message, "a \"b\" \\ \n \xc3\xa4 \x01");
    ck_assert(!mr_failed(mr_version_encode(&version, &json)));
    ck_assert(!mr_failed(mr_version_decode(mr_buffer_view(&json), &back)));
    struct mr_buffer again = {0};
    ck_assert(!mr_failed(mr_version_encode(&back, &again)));
    ck_assert(mr_bytes_equal(mr_buffer_view(&json), mr_buffer_view(&again)));
    ck_assert(back.loss == version.loss && back.gradient_norm == version.gradient_norm);
    ck_assert_str_eq(back.message, version.message);
    ck_assert_int_eq(back.event_time_ms, -5);
    ck_assert_str_eq(back.restarted_version_id, version.restarted_version_id);
    mr_buffer_deinit(&again);

    json.size = 0;
    version.loss = (float)NAN;
    version.gradient_norm = (float)INFINITY;
    ck_assert(!mr_failed(mr_version_encode(&version, &json)));
    ck_assert(!mr_failed(mr_version_decode(mr_buffer_view(&json), &back)));
    ck_assert(isnan(back.loss) && isnan(back.gradient_norm));
    version.step = (uint64_t)INT64_MAX + 1;
    ck_assert_str_eq(mr_version_encode(&version, &json).code, "out_of_range");
    mr_buffer_deinit(&json);
}
END_TEST

START_TEST(malformed)
{
    static const char *const bad[] = {
        "", "[]", "{}", "{\"counter\":1,\"counter\":1}", "not json", "{\"model_id\":\"../x\"}",
    };
    struct mr_version version;
    struct mr_head head;
    struct mr_audit audit;
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_str_eq(mr_version_decode(mr_bytes_of_text(bad[i]), &version).code, "corrupt");
        ck_assert_str_eq(mr_head_decode(mr_bytes_of_text(bad[i]), &head).code, "corrupt");
        ck_assert_str_eq(mr_audit_decode(mr_bytes_of_text(bad[i]), &audit).code, "corrupt");
    }
}
END_TEST

START_TEST(clean_text)
{
    char text[16];
    mr_text_clean("a\xff"
                  "b\xc3",
                  text, sizeof text);
    ck_assert_str_eq(text, "a\xef\xbf\xbd"
                           "b\xef\xbf\xbd");
    mr_text_clean("\xc0\x80\xed\xa0\x80", text, 4);
    ck_assert_str_eq(text, "\xef\xbf\xbd");
    mr_text_clean("abc\xe2\x82\xac", text, 6); /* the euro sign does not fit whole */
    ck_assert_str_eq(text, "abc");
    mr_text_clean("abc\xe2\x82\xac", text, 7);
    ck_assert_str_eq(text, "abc\xe2\x82\xac");
}
END_TEST

START_TEST(identities_and_keys)
{
    static const char *const bad[] = {"",
                                      "v1_00000000",
                                      "v0000000001_0000000",
                                      "v0000000001_000000000",
                                      "v0000000001_0000000G",
                                      "w0000000001_00000000",
                                      "v00000000001_00000000",
                                      "v0000000001-00000000"};
    struct mr_version_choice choice;
    uint64_t counter = 0;
    char key[MR_VERSION_KEY_SIZE];
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        ck_assert_msg(!mr_version_id_parse(bad[i], &counter), "%s", bad[i]);
    }
    ck_assert(mr_version_id_parse("v0000000042_0a1b2c3d", &counter) && counter == 42);
    ck_assert(mr_version_id_parse("v12345678901_0a1b2c3d", &counter) && counter == 12345678901);
    ck_assert(mr_version_choice_parse("head", &choice) && choice.kind == MR_VERSION_HEAD);
    ck_assert(mr_version_choice_parse("42", &choice) && choice.kind == MR_VERSION_COUNTER && choice.counter == 42);
    ck_assert(mr_version_choice_parse("v0000000042_0a1b2c3d", &choice) && choice.kind == MR_VERSION_ID);
    ck_assert(!mr_version_choice_parse("042", &choice) && !mr_version_choice_parse("-1", &choice));
    struct mr_audit audit = {.model_id = "m", .observed_ms = 1777982400123};
    audit.commit_id.bytes[0] = 0xfe;
    mr_key_audit(&audit, key);
    ck_assert_str_eq(key, "m/audit/2026/05/05T12:00:00.123000Z_fe000000.json");
}
END_TEST

START_TEST(semantic_versions)
{
    struct mr_semver version = {1, 2, 3};
    char text[MR_SEMVER_SIZE];
    mr_semver_text(mr_semver_bump(version, MR_BUMP_PATCH), text);
    ck_assert_str_eq(text, "1.2.4");
    mr_semver_text(mr_semver_bump(version, MR_BUMP_MINOR), text);
    ck_assert_str_eq(text, "1.3.0");
    mr_semver_text(mr_semver_bump(version, MR_BUMP_MAJOR), text);
    ck_assert_str_eq(text, "2.0.0");
    ck_assert(!mr_semver_follows(version, version));
    ck_assert(!mr_semver_follows(version, (struct mr_semver){1, 2, 5}));
    ck_assert(!mr_semver_follows(version, (struct mr_semver){1, 3, 1}));
    ck_assert(mr_semver_parse("10.0.7", &version) && version.major == 10 && version.patch == 7);
    ck_assert(!mr_semver_parse("1.0", &version) && !mr_semver_parse("1.00.0", &version) &&
              !mr_semver_parse("1.0.0-x", &version) && !mr_semver_parse("99999999999999999999.0.0", &version));
}
END_TEST

/* ---- Reading -------------------------------------------------------------------------------------------------- */

START_TEST(reading)
{
    struct mr_version_list list;
    struct mr_version_entry entry;
    struct mr_buffer body = {0};
    ck_assert(!mr_failed(mr_versions_list(store, model, &list)));
    ck_assert_uint_eq(list.count, VERSIONS);
    for (size_t i = 0; i < list.count; i++) {
        ck_assert_uint_eq(list.entries[i].version.counter, i);
        ck_assert(mr_sha256_equal(&list.entries[i].record_hash, &chain[i].record_hash));
    }
    mr_version_list_deinit(&list);

    ck_assert(!mr_failed(mr_version_load(
        store, model, (struct mr_version_choice){.kind = MR_VERSION_COUNTER, .counter = 1}, &body, &entry)));
    ck_assert(mr_bytes_equal(mr_buffer_view(&body), mr_bytes_of_text("payload 1")));
    mr_buffer_deinit(&body);
    ck_assert(!mr_failed(mr_version_find(store, model, (struct mr_version_choice){.kind = MR_VERSION_HEAD}, &entry)));
    ck_assert_uint_eq(entry.version.counter, VERSIONS - 1);

    /* An orphan at a counter of the chain is not found under its name, nor does it hide the one in the chain. */
    struct mr_version_entry orphan = make(2, &chain[1]);
    put_version(&orphan, "another payload");
    struct mr_version_choice choice;
    ck_assert(mr_version_choice_parse(orphan.version.version_id, &choice));
    ck_assert_str_eq(mr_version_find(store, model, choice, &entry).code, "not_found");
    ck_assert(mr_version_choice_parse("2", &choice));
    ck_assert(!mr_failed(mr_version_find(store, model, choice, &entry)));
    ck_assert_str_eq(entry.version.version_id, chain[2].version.version_id);
    ck_assert(mr_version_choice_parse("99", &choice));
    ck_assert_str_eq(mr_version_find(store, model, choice, &entry).code, "not_found");
    ck_assert_str_eq(mr_version_find(store, "nobody", choice, &entry).code, "not_found");
    ck_assert_str_eq(mr_version_find(store, "../m", choice, &entry).code, "not_found");
}
END_TEST

START_TEST(loading_checks_the_hash)
{
    struct mr_version_entry entry;
    struct mr_buffer body = {0};
    const struct mr_version_choice head = {.kind = MR_VERSION_HEAD};
    put_file(chain[VERSIONS - 1].version.version_id, "checkpoint.pb", "payload X");
    const struct mr_error error = mr_version_load(store, model, head, &body, &entry);
    ck_assert_int_eq(error.kind, MR_ERROR_REJECT);
    ck_assert_str_eq(error.code, "corrupt");
    memory_store_answer_next(store, "checkpoint.pb", MR_STORE_UNAVAILABLE, false);
    ck_assert_int_eq(mr_version_load(store, model, head, &body, &entry).kind, MR_ERROR_TRANSIENT);
    memory_store_answer_next(store, "head.json", MR_STORE_DENIED, false);
    ck_assert_str_eq(mr_version_load(store, model, head, &body, &entry).code, "denied");
    ck_assert_uint_eq(body.size, 0);
}
END_TEST

START_TEST(inspecting)
{
    struct mr_version_inspection seen;
    const struct mr_version_choice one = {.kind = MR_VERSION_COUNTER, .counter = 1};
    put_audit(&chain[1], 5);
    ck_assert(!mr_failed(mr_versions_inspect(store, model, one, &seen)));
    ck_assert(!seen.is_head && seen.has_payload && seen.payload_good && !seen.collected);
    ck_assert_uint_eq(seen.audit_count, 2);
    put_file(chain[1].version.version_id, "checkpoint.pb", "x");
    ck_assert(!mr_failed(mr_versions_inspect(store, model, one, &seen)));
    ck_assert(seen.has_payload && !seen.payload_good);
    put_file(chain[1].version.version_id, "checkpoint.pb", NULL);
    put_file(chain[1].version.version_id, "collected.json", "{}");
    ck_assert(!mr_failed(mr_versions_inspect(store, model, one, &seen)));
    ck_assert(!seen.has_payload && seen.collected);
}
END_TEST

/* ---- Verification --------------------------------------------------------------------------------------------- */

static void expect_corrupt(enum mr_corruption corruption, int counter)
{
    const struct mr_verify_result result = mr_versions_verify(store, model);
    ck_assert_str_eq(mr_verify_verdict_text(result.verdict), "corrupt");
    ck_assert_str_eq(mr_corruption_text(result.corruption), mr_corruption_text(corruption));
    ck_assert_int_eq(result.has_version, counter >= 0);
    ck_assert(counter < 0 || result.counter == (uint64_t)counter);
    ck_assert(result.detail[0] != '\0');
}

START_TEST(good)
{
    const struct mr_verify_result result = mr_versions_verify(store, model);
    ck_assert_msg(result.verdict == MR_VERIFY_GOOD, "%s", result.detail);
    ck_assert_uint_eq(result.versions, VERSIONS);
    ck_assert_uint_eq(result.head.counter, VERSIONS - 1);
    ck_assert_int_eq(mr_versions_verify(store, "nobody").verdict, MR_VERIFY_NO_MODEL);
    ck_assert_int_eq(mr_versions_verify(store, "No Model").verdict, MR_VERIFY_NO_MODEL);
}
END_TEST

START_TEST(damaged_payloads)
{
    put_file(chain[2].version.version_id, "checkpoint.pb", "payload X");
    expect_corrupt(MR_CORRUPTION_PAYLOAD_HASH, 2);
    put_file(chain[1].version.version_id, "checkpoint.pb", NULL); /* the first bad one is named */
    expect_corrupt(MR_CORRUPTION_PAYLOAD_MISSING, 1);
    put_file(chain[1].version.version_id, "collected.json", "{}");
    expect_corrupt(MR_CORRUPTION_PAYLOAD_HASH, 2);
    put_file(chain[2].version.version_id, "checkpoint.pb", "payload 2");
    const struct mr_verify_result result = mr_versions_verify(store, model);
    ck_assert_int_eq(result.verdict, MR_VERIFY_GOOD);
    ck_assert_uint_eq(result.collected, 1);
    put_file(chain[3].version.version_id, "content_hash.txt", "00");
    expect_corrupt(MR_CORRUPTION_HASH_FILE, 3);
    put_file(chain[0].version.version_id, "content_hash.txt", NULL);
    expect_corrupt(MR_CORRUPTION_HASH_FILE, 0);
}
END_TEST

static void edit_metadata(size_t index, const char *from, const char *to)
{
    char key[MR_VERSION_KEY_SIZE], text[4096];
    mr_key_version(model, chain[index].version.version_id, "metadata.json", key);
    const struct mr_bytes old = memory_store_peek(store, key);
    char *copy = strndup((const char *)old.data, old.size);
    char *at = strstr(copy, from);
    ck_assert_ptr_nonnull(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - copy), copy, to, at + strlen(from));
    memory_store_set(store, key, text);
    free(copy);
}

START_TEST(damaged_metadata)
{
    edit_metadata(2, "\"message\":\"Checkpoint\"", "\"message\":\"checkpoint\"");
    expect_corrupt(MR_CORRUPTION_RECORD_HASH, 2);
    edit_metadata(2, "\"message\":\"checkpoint\"", "\"message\":\"Checkpoint\"");
    put_file(chain[1].version.version_id, "metadata.json", NULL);
    expect_corrupt(MR_CORRUPTION_METADATA_MISSING, 1);
    put_file(chain[3].version.version_id, "metadata.json", "{}");
    expect_corrupt(MR_CORRUPTION_METADATA_MISSING, 1); /* the first, though nothing leads to it any more */
    memory_store_set(store, "m-1/head.json", NULL);
    put_head(&chain[1]);
    expect_corrupt(MR_CORRUPTION_METADATA_MISSING, 1);
}
END_TEST

START_TEST(damaged_head)
{
    memory_store_set(store, "m-1/head.json", "{");
    expect_corrupt(MR_CORRUPTION_HEAD_MALFORMED, -1);
    memory_store_set(store, "m-1/head.json", NULL);
    expect_corrupt(MR_CORRUPTION_HEAD_MISSING, -1);
    struct mr_version_entry other = chain[3];
    other.version.step = 77;
    put_head(&other);
    expect_corrupt(MR_CORRUPTION_HEAD_MISMATCH, 3);
    other = chain[3];
    other.record_hash.bytes[0] ^= 1;
    put_head(&other);
    expect_corrupt(MR_CORRUPTION_HEAD_MISMATCH, 3); /* the audit entry says that the metadata is what was committed */
    put_audit_text(&chain[3], NULL);
    expect_corrupt(MR_CORRUPTION_RECORD_HASH, 3);
    put_head(&chain[1]); /* a head that went back is a shorter chain, which is good in itself */
    ck_assert_int_eq(mr_versions_verify(store, model).verdict, MR_VERIFY_GOOD);
}
END_TEST

START_TEST(damaged_audit)
{
    put_audit_text(&chain[1], "{}"); /* a name alone proves nothing */
    expect_corrupt(MR_CORRUPTION_AUDIT_CORRUPT, 1);
    put_audit(&chain[1], 42); /* another attempt does not make it good */
    expect_corrupt(MR_CORRUPTION_AUDIT_CORRUPT, 1);
    put_audit_text(&chain[1], NULL);
    ck_assert_int_eq(mr_versions_verify(store, model).verdict, MR_VERIFY_GOOD);
    put_audit_text(&chain[2], NULL);
    expect_corrupt(MR_CORRUPTION_AUDIT_MISSING, 2);
    put_audit(&chain[2], 43);
    memory_store_set(store, "m-1/audit/2026/05/05T12:00:00.123000Z_fe000000.json", "{}"); /* of no version */
    expect_corrupt(MR_CORRUPTION_AUDIT_CORRUPT, -1);
}
END_TEST

/* From the time before there was entry_hash. */
START_TEST(old_audit)
{
    char text[2048];
    struct mr_audit audit;
    const struct mr_bytes now = audit_bytes(&chain[1]);
    char *copy = strndup((const char *)now.data, now.size);
    char *at = strstr(copy, ",\"entry_hash\""), *end = strstr(at + 1, ",\"");
    (void)snprintf(text, sizeof text, "%.*s%s", (int)(at - copy), copy, end);
    free(copy);
    put_audit_text(&chain[1], text);
    ck_assert_int_eq(mr_versions_verify(store, model).verdict, MR_VERIFY_GOOD);
    ck_assert(!mr_failed(mr_audit_decode(mr_bytes_of_text(text), &audit)));
    ck_assert_str_eq(audit.writer, "persist host:1");
    /* With one more field it is no old one. */
    (void)snprintf(text + strlen(text) - 1, sizeof text - strlen(text), ",\"x\":1}");
    ck_assert_str_eq(mr_audit_decode(mr_bytes_of_text(text), &audit).code, "corrupt");
}
END_TEST

/* A chain whose hashes are all right, but whose story is not: version 4 on version 3. */
static struct mr_version_entry forged;
static void expect_forged(struct mr_version_entry entry, enum mr_corruption corruption, int counter)
{
    forged = entry;
    put_version(&forged, "forged");
    put_head(&forged);
    expect_corrupt(corruption, counter);
}

START_TEST(forged_versions)
{
    struct mr_version_entry next = make(4, &chain[3]);
    next.version.counter = 5;
    expect_forged(next, MR_CORRUPTION_COUNTER, 5);
    next = make(4, &chain[3]);
    next.version.semantic_version.patch = 9;
    expect_forged(next, MR_CORRUPTION_SEMANTIC_VERSION, 4);
    next = make(4, &chain[3]);
    next.version.position.offset = chain[3].version.position.offset;
    expect_forged(next, MR_CORRUPTION_POSITION, 4);
    next = make(4, NULL);
    expect_forged(next, MR_CORRUPTION_GENESIS, 4);
    next = make(0, &chain[3]);
    expect_forged(next, MR_CORRUPTION_GENESIS, 0);
    next = make(0, NULL);
    next.version.semantic_version.minor = 1;
    expect_forged(next, MR_CORRUPTION_GENESIS, 0);
}
END_TEST

/* Its hashes are right, its commit id is not what its fields give. */
START_TEST(forged_identity)
{
    char key[MR_VERSION_KEY_SIZE];
    struct mr_buffer json = {0};
    struct mr_version_entry next = make(4, &chain[3]);
    put_version(&next, "forged");
    next.version.commit_id.bytes[3] ^= 1;
    ck_assert(!mr_failed(mr_version_encode(&next.version, &json)));
    next.record_hash = mr_sha256_of(mr_buffer_view(&json));
    mr_key_version(model, next.version.version_id, "metadata.json", key);
    put_buffer(key, &json);
    put_head(&next);
    expect_corrupt(MR_CORRUPTION_IDENTITY, 4);
}
END_TEST

START_TEST(undecided)
{
    static const char *const suffixes[] = {"head.json",        "metadata.json", "checkpoint.pb",
                                           "content_hash.txt", "audit/",        ".json"};
    static const enum mr_store_outcome outcomes[] = {MR_STORE_UNAVAILABLE, MR_STORE_THROTTLED, MR_STORE_DENIED};
    for (size_t i = 0; i < MR_COUNT_OF(suffixes); i++) {
        for (size_t n = 0; n < MR_COUNT_OF(outcomes); n++) {
            memory_store_answer_next(store, suffixes[i], outcomes[n], false);
            const struct mr_verify_result result = mr_versions_verify(store, model);
            ck_assert_str_eq(mr_verify_verdict_text(result.verdict), "undecided");
            ck_assert(result.detail[0] != '\0');
        }
    }
    /* A corruption that was seen is one, whatever else could not be read. */
    put_file(chain[2].version.version_id, "checkpoint.pb", "payload X");
    memory_store_answer_next(store, "content_hash.txt", MR_STORE_UNAVAILABLE, false);
    expect_corrupt(MR_CORRUPTION_PAYLOAD_HASH, 2);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, golden_bytes);
    tcase_add_test(tcase, golden_hashes);
    tcase_add_test(tcase, round_trips);
    tcase_add_test(tcase, malformed);
    tcase_add_test(tcase, clean_text);
    tcase_add_test(tcase, identities_and_keys);
    tcase_add_test(tcase, semantic_versions);
    tcase_add_test(tcase, reading);
    tcase_add_test(tcase, loading_checks_the_hash);
    tcase_add_test(tcase, inspecting);
    tcase_add_test(tcase, good);
    tcase_add_test(tcase, damaged_payloads);
    tcase_add_test(tcase, damaged_metadata);
    tcase_add_test(tcase, damaged_head);
    tcase_add_test(tcase, damaged_audit);
    tcase_add_test(tcase, old_audit);
    tcase_add_test(tcase, forged_versions);
    tcase_add_test(tcase, forged_identity);
    tcase_add_test(tcase, undecided);
}

int main(void)
{
    return check_main("versions", add);
}
