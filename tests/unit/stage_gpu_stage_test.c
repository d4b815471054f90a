/* stage_gpu with its real operations: over the in-memory log, a private arena and an in-memory store. */
#include "check_main.h"
#include "memory_store.h"
#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/hash.h"
#include "millrace/wire.h"
#include "service_rig.h"
#include "stage_gpu_effects.h"
#include "stamped.h"
#include "submitted.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_BYTES = 8192, CAP_BYTES = 8192, ROWS_FULL = 330 /* of 24 bytes: 7,920, so that one fills the arena */ };

static struct mr_arena_owner *owner;
static struct mr_arena_consumer *consumer;
static struct mr_store *store;
static struct service_rig *rig;
static struct stage_gpu_rules rules;

static struct mr_error open_stage(void *config, struct mr_service *service, struct mr_stage_spec *ret_spec)
{
    return stage_gpu_effects_open_with(config, owner, service, ret_spec);
}

static void connect_consumer(void)
{
    ck_assert(!mr_failed(mr_arena_private_connect(owner, &consumer)));
    ck_assert_int_eq(mr_arena_consumer_turn(consumer, 0).news, MR_ARENA_CONSUMER_CONNECTED);
}

static void set_up(void)
{
    const struct mr_arena_config config = {.bytes = ARENA_BYTES, .blocks = 16};
    ck_assert(!mr_failed(mr_arena_private_open(&config, &owner)));
    rules = (struct stage_gpu_rules){.device = {.kind = STAGE_GPU_DEVICE_CPU},
                                     .cap = {.kind = STAGE_GPU_CAP_CPU_TRANSFER_CAPPED, .max_bytes = CAP_BYTES}};
    store = memory_store_new(1);
    rig = service_rig_new(open_stage, stage_gpu_effects_close, &rules, store);
    connect_consumer();
}

static void tear_down(void)
{
    service_rig_free(rig);
    mr_store_close(store);
    mr_arena_consumer_close(consumer);
    mr_arena_owner_close(owner);
}

/* ---- Records ------------------------------------------------------------------------------------------- */

static float contract_rows[ROWS_FULL * 8 * 6];

/* Every element of the record is `value`. */
static struct mr_buffer contracts(const char *model, uint64_t rows, float value)
{
    for (size_t i = 0; i < MR_COUNT_OF(contract_rows); i++) {
        contract_rows[i] = value;
    }
    Millrace__Common__V1__Tensor tensor;
    Millrace__Batch__V1__Contracts payload;
    Millrace__Batch__V1__Batch batch;
    Millrace__Batch__V1__Submitted submitted;
    millrace__common__v1__tensor__init(&tensor);
    millrace__batch__v1__contracts__init(&payload);
    millrace__batch__v1__batch__init(&batch);
    millrace__batch__v1__submitted__init(&submitted);
    uint64_t shape[2] = {rows, 6};
    tensor.dtype = MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32;
    tensor.n_shape = 2;
    tensor.shape = shape;
    tensor.content_case = MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA;
    tensor.data = mr_wire_lend(mr_bytes_of(contract_rows, (size_t)rows * 6 * sizeof(float)));
    payload.rows = &tensor;
    batch.run_id = mr_wire_text("r");
    batch.batch_id = mr_wire_text("b");
    batch.model_id = mr_wire_text(model);
    batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_CONTRACTS;
    batch.contracts = &payload;
    submitted.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH;
    submitted.batch = &batch;
    struct mr_buffer buffer = {0};
    const size_t size = millrace__batch__v1__submitted__get_packed_size(&submitted);
    ck_assert(!mr_failed(mr_buffer_reserve(&buffer, size)));
    buffer.size = millrace__batch__v1__submitted__pack(&submitted, buffer.data);
    return buffer;
}

/* As validate writes it. `copy` may be NULL. Frees `submitted`. */
static void validated(const char *model, uint64_t origin, int64_t prev, struct mr_buffer submitted,
                      Millrace__Batch__V1__PayloadCopy *copy, Millrace__Batch__V1__Precision precision)
{
    const struct mr_stage_stamp stamp = stamped_by(model, service_rig_partition(model), origin, prev);
    struct mr_wire_stamp wire;
    Millrace__Batch__V1__Validated message;
    mr_wire_stamp_init(&wire, &stamp);
    millrace__batch__v1__validated__init(&message);
    message.stamp = &wire.message;
    message.submitted = mr_wire_lend(mr_buffer_view(&submitted));
    message.precision = precision;
    message.n_copies = copy == NULL ? 0 : 1;
    message.copies = &copy;
    (void)stamped_append(rig->broker, MR_TOPIC_VALIDATED, &stamp, &message.base);
    mr_buffer_deinit(&submitted);
}

#define KEEP MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP

static void batch_arrives(const char *model, uint64_t origin, int64_t prev, uint64_t rows, float value)
{
    validated(model, origin, prev, contracts(model, rows, value), NULL, KEEP);
    service_rig_run(rig);
}

/* One row of contracts, as a claim check whose copy is `text` (24 bytes) under the model. */
static void claim_arrives(const char *model, uint64_t origin, int64_t prev, const char *text)
{
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of_text(text));
    char hash_text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&hash, hash_text);
    Millrace__Batch__V1__PayloadCopy copy;
    millrace__batch__v1__payload_copy__init(&copy);
    copy.role = MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_CONTRACTS;
    copy.key = mr_wire_text("m/payloads/copy");
    copy.size = 24;
    copy.sha256 = mr_wire_lend_hash(&hash);
    char payload[512];
    (void)snprintf(payload, sizeof payload,
                   "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[1,6],\"claim\":{\"uri\":\"file:///x\","
                   "\"size\":24,\"sha256\":\"%s\"}}}",
                   hash_text);
    validated(model, origin, prev, submitted_batch("r", model, "", payload), &copy, KEEP);
    service_rig_run(rig);
}

static const char claim_text[] = "abcdefghijklmnopqrstuvwx";

/* The staged record at this place among the model's; the caller frees it. NULL: there are fewer. */
static Millrace__Batch__V1__Staged *staged(const char *model, size_t index)
{
    const uint32_t partition = service_rig_partition(model);
    for (uint64_t at = 0; at < memory_broker_high(rig->broker, MR_TOPIC_STAGED, partition); at++) {
        const struct mr_log_record *record = memory_broker_record(rig->broker, MR_TOPIC_STAGED, partition, at);
        if (mr_bytes_equal(record->key, mr_bytes_of_text(model)) && index-- == 0) {
            return millrace__batch__v1__staged__unpack(NULL, record->value.size, record->value.data);
        }
    }
    return NULL;
}

static enum mr_lease_loss take(const Millrace__Batch__V1__Staged *message, struct mr_leased *ret_leased)
{
    const Millrace__Batch__V1__Lease *wire = message->leased->lease;
    struct mr_lease lease = {.block = wire->block,
                             .generation = wire->generation,
                             .offset = wire->offset,
                             .length = wire->length,
                             .checksum = wire->checksum};
    ck_assert_uint_eq(wire->epoch.len, MR_EPOCH_SIZE);
    memcpy(lease.epoch.bytes, wire->epoch.data, MR_EPOCH_SIZE);
    return mr_arena_take(consumer, &lease, ret_leased);
}

/* Takes, checks that every float is `value`, and releases. */
static void consume(const char *model, size_t index, float value)
{
    Millrace__Batch__V1__Staged *message = staged(model, index);
    struct mr_leased leased;
    ck_assert_ptr_nonnull(message);
    ck_assert_int_eq(take(message, &leased), MR_LEASE_HELD);
    size_t wrong = 0;
    for (size_t at = 0; at < leased.bytes.size; at += sizeof value) {
        wrong += memcmp(leased.bytes.data + at, &value, sizeof value) != 0;
    }
    ck_assert_uint_eq(wrong, 0);
    mr_arena_release(consumer, &leased);
    millrace__batch__v1__staged__free_unpacked(message, NULL);
}

/* ---- What is staged, and how ---------------------------------------------------------------------------- */

START_TEST(records_without_tensors_are_staged_as_they_are)
{
    validated("m", 0, -1, submitted_start("r", "m", SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)), NULL, KEEP);
    validated("m", 1, 0, submitted_batch("r", "m", "", "\"sobol_range\":{\"start\":5,\"count\":32}"), NULL, KEEP);
    validated("m", 2, 1, submitted_stop("r", "m"), NULL, KEEP);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "0 1 2");
    for (uint64_t i = 0; i < 3; i++) {
        Millrace__Batch__V1__Staged *message = staged("m", i);
        const struct mr_log_record *record =
            memory_broker_record(rig->broker, MR_TOPIC_VALIDATED, service_rig_partition("m"), i);
        ck_assert_int_eq(message->body_case, MILLRACE__BATCH__V1__STAGED__BODY_VALIDATED);
        ck_assert(mr_bytes_equal(mr_wire_view(message->validated), record->value));
        ck_assert_uint_eq(message->validated_offset, i);
        ck_assert_int_eq(message->stamp->prev != NULL, i > 0);
        millrace__batch__v1__staged__free_unpacked(message, NULL);
    }
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, ARENA_BYTES);
}
END_TEST

START_TEST(tensors_lie_in_the_arena)
{
    batch_arrives("m", 4, -1, 3, 2.5F);
    Millrace__Batch__V1__Staged *message = staged("m", 0);
    ck_assert_ptr_nonnull(message);
    ck_assert_int_eq(message->body_case, MILLRACE__BATCH__V1__STAGED__BODY_LEASED);
    ck_assert_str_eq(message->leased->run_id, "r");
    ck_assert_str_eq(message->leased->batch_id, "b");
    ck_assert_uint_eq(message->leased->rows, 3);
    ck_assert_uint_eq(message->leased->n_row_widths, 1);
    ck_assert_uint_eq(message->leased->row_widths[0], 6);
    ck_assert_uint_eq(message->leased->lease->length, 3 * 6 * sizeof(float));
    millrace__batch__v1__staged__free_unpacked(message, NULL);
    consume("m", 0, 2.5F);
    ck_assert(service_rig_count(rig, "Staged") == 1);
}
END_TEST

START_TEST(contracts_are_rounded_where_the_record_says_so)
{
    validated("m", 0, -1, contracts("m", 2, 1.0039062F), NULL,
              MILLRACE__BATCH__V1__PRECISION__PRECISION_CAST_TO_BFLOAT16);
    service_rig_run(rig);
    consume("m", 0, 1.0F);
}
END_TEST

START_TEST(features_and_targets_lie_one_after_the_other)
{
    const float values[6] = {1, 2, 3, 4, 5, 6};
    char payload[1024];
    (void)snprintf(payload, sizeof payload,
                   "\"labelled\":{\"features\":{\"dtype\":\"float32\",\"shape\":[1,2],\"data\":\"%s\"},"
                   "\"targets\":{\"dtype\":\"float32\",\"shape\":[1,2,2],\"data\":\"%s\"}}",
                   submitted_floats(values, 2), submitted_floats(values + 2, 4));
    validated("m", 0, -1, submitted_batch("r", "m", "", payload), NULL, KEEP);
    service_rig_run(rig);
    Millrace__Batch__V1__Staged *message = staged("m", 0);
    struct mr_leased leased;
    ck_assert_ptr_nonnull(message);
    ck_assert_int_eq(take(message, &leased), MR_LEASE_HELD);
    ck_assert(mr_bytes_equal(leased.bytes, mr_bytes_of(values, sizeof values)));
    ck_assert_uint_eq(message->leased->n_row_widths, 2);
    ck_assert_uint_eq(message->leased->row_widths[1], 4);
    mr_arena_release(consumer, &leased);
    millrace__batch__v1__staged__free_unpacked(message, NULL);
}
END_TEST

/* ---- A full arena --------------------------------------------------------------------------------------- */

START_TEST(a_full_arena_is_waited_for_in_order)
{
    batch_arrives("m", 0, -1, ROWS_FULL, 1);
    batch_arrives("m", 1, 0, ROWS_FULL, 2);
    batch_arrives("m", 2, 1, ROWS_FULL, 3);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "0");
    consume("m", 0, 1);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "0 1");
    consume("m", 1, 2);
    service_rig_run(rig);
    consume("m", 2, 3);
    service_rig_run(rig);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, ARENA_BYTES);
    ck_assert(!rig->over);
}
END_TEST

START_TEST(a_large_batch_is_not_overtaken)
{
    batch_arrives("a", 0, -1, ROWS_FULL / 2, 1);
    batch_arrives("b", 1, -1, ROWS_FULL, 2);
    batch_arrives("c", 2, -1, 1, 3); /* there is room for it, but it came later */
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "b"), "");
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "c"), "");
    consume("a", 0, 1);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "b"), "1");
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "c"), "2");
    consume("b", 0, 2);
    consume("c", 0, 3);
}
END_TEST

START_TEST(records_without_tensors_do_not_wait_for_room_of_others)
{
    batch_arrives("a", 0, -1, ROWS_FULL, 1);
    batch_arrives("a", 1, 0, ROWS_FULL, 1);
    validated("b", 2, -1, submitted_stop("r", "b"), NULL, KEEP);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "b"), "2");
}
END_TEST

START_TEST(a_new_consumer_frees_the_arena)
{
    batch_arrives("m", 0, -1, ROWS_FULL, 1);
    batch_arrives("m", 1, 0, ROWS_FULL, 2);
    Millrace__Batch__V1__Staged *message = staged("m", 0);
    mr_arena_consumer_close(consumer);
    connect_consumer();
    service_rig_run(rig);
    struct mr_leased leased;
    ck_assert_int_eq(take(message, &leased), MR_LEASE_EPOCH_PASSED);
    millrace__batch__v1__staged__free_unpacked(message, NULL);
    consume("m", 1, 2);
}
END_TEST

START_TEST(a_batch_over_the_arena_goes_on_without_a_lease)
{
    batch_arrives("m", 0, -1, ROWS_FULL * 2, 1);
    batch_arrives("m", 1, 0, 1, 2);
    Millrace__Batch__V1__Staged *message = staged("m", 0);
    ck_assert_ptr_nonnull(message);
    ck_assert_int_eq(message->body_case, MILLRACE__BATCH__V1__STAGED__BODY_LEASED);
    ck_assert_ptr_null(message->leased->lease);
    ck_assert_uint_eq(message->leased->rows, ROWS_FULL * 2);
    millrace__batch__v1__staged__free_unpacked(message, NULL);
    ck_assert(service_rig_count(rig, "StagedUnleased") == 1);
    consume("m", 1, 2);
}
END_TEST

/* ---- Payloads in the store -------------------------------------------------------------------------------- */

START_TEST(a_payload_is_fetched_and_verified)
{
    memory_store_set(store, "m/payloads/copy", claim_text);
    claim_arrives("m", 0, -1, claim_text);
    Millrace__Batch__V1__Staged *message = staged("m", 0);
    struct mr_leased leased;
    ck_assert_ptr_nonnull(message);
    ck_assert_int_eq(take(message, &leased), MR_LEASE_HELD);
    ck_assert(mr_bytes_equal(leased.bytes, mr_bytes_of_text(claim_text)));
    mr_arena_release(consumer, &leased);
    millrace__batch__v1__staged__free_unpacked(message, NULL);
}
END_TEST

START_TEST(a_store_that_is_down_is_waited_for)
{
    memory_store_set(store, "m/payloads/copy", claim_text);
    memory_store_set_faults(store, (struct memory_store_faults){.unread = 1000});
    claim_arrives("m", 0, -1, claim_text);
    batch_arrives("m", 1, 0, 1, 2);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "");
    ck_assert(service_rig_count(rig, "PlacementLookupFailed") >= 1);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, ARENA_BYTES); /* it holds no block meanwhile */
    memory_store_set_faults(store, (struct memory_store_faults){.unread = 0});
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "0 1");
    ck_assert(!rig->over);
}
END_TEST

static void model_stops(const char *stored)
{
    memory_store_set(store, "m/payloads/copy", stored);
    claim_arrives("m", 0, -1, claim_text);
    batch_arrives("m", 1, 0, 1, 2);
    batch_arrives("other", 2, -1, 1, 3);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "");
    consume("other", 0, 3);
    ck_assert(service_rig_count(rig, "StoppedModel") > 0);
    ck_assert_uint_eq(memory_broker_high(rig->broker, MR_TOPIC_DEADLETTERS, service_rig_partition("m")), 0);
    /* Nothing was skipped: once the payload is back, a restart goes on where it stopped. */
    memory_store_set(store, "m/payloads/copy", claim_text);
    service_rig_restart(rig);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "0 1");
}

START_TEST(a_missing_payload_stops_its_model_alone)
{
    model_stops(NULL);
}
END_TEST

START_TEST(a_changed_payload_stops_its_model_alone)
{
    model_stops("abcdefghijklmnopqrstuvwX");
}
END_TEST

START_TEST(a_longer_payload_stops_its_model_alone)
{
    model_stops("abcdefghijklmnopqrstuvwxyz");
}
END_TEST

/* ---- Restarts ---------------------------------------------------------------------------------------------- */

START_TEST(what_is_staged_is_not_staged_again)
{
    batch_arrives("m", 0, -1, 1, 1);
    batch_arrives("m", 1, 0, 1, 2);
    service_rig_restart(rig);
    batch_arrives("m", 2, 1, 1, 3);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "0 1 2");
}
END_TEST

START_TEST(what_was_not_acknowledged_gives_its_block_back)
{
    memory_broker_hold_writes(rig->broker, true);
    batch_arrives("m", 0, -1, ROWS_FULL, 1);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).blocks_leased, 1);
    memory_broker_hold_writes(rig->broker, false);
    service_rig_restart(rig);
    ck_assert_uint_eq(mr_arena_owner_usage(owner).blocks_leased, 0);
    service_rig_run(rig);
    /* It got into the log all the same, and its lease is lost; or it is staged once more. */
    Millrace__Batch__V1__Staged *message = staged("m", 0);
    struct mr_leased leased;
    const enum mr_lease_loss loss = take(message, &leased);
    ck_assert(loss == MR_LEASE_HELD || loss == MR_LEASE_GENERATION_PASSED);
    if (loss == MR_LEASE_HELD) {
        mr_arena_release(consumer, &leased);
    }
    millrace__batch__v1__staged__free_unpacked(message, NULL);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "0");
    ck_assert_uint_eq(mr_arena_owner_usage(owner).free_bytes, ARENA_BYTES);
}
END_TEST

START_TEST(a_record_that_waits_at_the_end_of_the_stage_leaves_nothing_behind)
{
    batch_arrives("m", 0, -1, ROWS_FULL, 1);
    batch_arrives("m", 1, 0, ROWS_FULL, 2);
    service_rig_restart(rig);
    service_rig_run(rig);
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "m"), "0");
    consume("m", 0, 1);
    service_rig_run(rig);
    consume("m", 1, 2);
}
END_TEST

/* ---- Damaged records --------------------------------------------------------------------------------------- */

START_TEST(a_record_that_validate_never_writes_stops_its_model)
{
    static const char *const payloads[] = {
        "\"contracts\":{\"rows\":{\"dtype\":\"float64\",\"shape\":[1,6],\"data\":\"00000000\"}}",
        "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[1,6],\"data\":\"00000000\"}}",
        "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[],\"data\":\"00000000\"}}",
        "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[4294967296,4294967296],\"data\":\"00\"}}",
        "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[1,6],\"claim\":{\"size\":24}}}",
        "\"contracts\":{}",
        "\"labelled\":{\"features\":{\"dtype\":\"float32\",\"shape\":[1,1],\"data\":\"00000000\"}}",
        ("\"labelled\":{\"features\":{\"dtype\":\"float32\",\"shape\":[1,1],\"data\":\"00000000\"},"
         "\"targets\":{\"dtype\":\"float32\",\"shape\":[2,1],\"data\":\"0000000000000000\"}}"),
    };
    char model[8];
    for (uint64_t i = 0; i < MR_COUNT_OF(payloads); i++) {
        (void)snprintf(model, sizeof model, "m%d", (int)i);
        validated(model, i, -1, submitted_batch("r", model, "", payloads[i]), NULL, KEEP);
    }
    validated("none", 90, -1, (struct mr_buffer){0}, NULL, KEEP);
    validated("precision", 91, -1, contracts("precision", 1, 1), NULL,
              MILLRACE__BATCH__V1__PRECISION__PRECISION_UNSPECIFIED);
    service_rig_run(rig);
    for (uint64_t i = 0; i < MR_COUNT_OF(payloads); i++) {
        (void)snprintf(model, sizeof model, "m%d", (int)i);
        ck_assert_msg(service_rig_origins(rig, MR_TOPIC_STAGED, model)[0] == '\0', "%s", payloads[i]);
    }
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "none"), "");
    ck_assert_str_eq(service_rig_origins(rig, MR_TOPIC_STAGED, "precision"), "");
    ck_assert(!rig->over);
    batch_arrives("good", 99, -1, 1, 1);
    consume("good", 0, 1);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, records_without_tensors_are_staged_as_they_are);
    tcase_add_test(tcase, tensors_lie_in_the_arena);
    tcase_add_test(tcase, contracts_are_rounded_where_the_record_says_so);
    tcase_add_test(tcase, features_and_targets_lie_one_after_the_other);
    tcase_add_test(tcase, a_full_arena_is_waited_for_in_order);
    tcase_add_test(tcase, a_large_batch_is_not_overtaken);
    tcase_add_test(tcase, records_without_tensors_do_not_wait_for_room_of_others);
    tcase_add_test(tcase, a_new_consumer_frees_the_arena);
    tcase_add_test(tcase, a_batch_over_the_arena_goes_on_without_a_lease);
    tcase_add_test(tcase, a_payload_is_fetched_and_verified);
    tcase_add_test(tcase, a_store_that_is_down_is_waited_for);
    tcase_add_test(tcase, a_missing_payload_stops_its_model_alone);
    tcase_add_test(tcase, a_changed_payload_stops_its_model_alone);
    tcase_add_test(tcase, a_longer_payload_stops_its_model_alone);
    tcase_add_test(tcase, what_is_staged_is_not_staged_again);
    tcase_add_test(tcase, what_was_not_acknowledged_gives_its_block_back);
    tcase_add_test(tcase, a_record_that_waits_at_the_end_of_the_stage_leaves_nothing_behind);
    tcase_add_test(tcase, a_record_that_validate_never_writes_stops_its_model);
}

int main(void)
{
    return check_main("stage_gpu_stage", add);
}
