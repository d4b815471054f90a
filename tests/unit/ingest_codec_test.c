/* From bytes to facts: what a user can get wrong in an envelope, and where the record says that it is. */
#include "check_main.h"
#include "ingest_codec.h"
#include "millrace/batch/v1/batch.pb-c.h"
#include "submitted.h"

#include <string.h>

static const struct ingest_limits limits = {.max_record_bytes = 4096, .max_inline_bytes = 64, .partitions = 4};

static struct ingest_record read_value(struct mr_bytes value, const char *key, const struct mr_log_header *header)
{
    static struct mr_arena arena;
    struct ingest_record record;
    const struct mr_bytes key_bytes = mr_bytes_of_text(key);
    const struct mr_log_record input = {.topic = "t",
                                        .partition = mr_partition_of(key_bytes, limits.partitions),
                                        .has_key = true,
                                        .key = key_bytes,
                                        .has_value = true,
                                        .value = value,
                                        .headers = header,
                                        .header_count = header == NULL ? 0 : 1};
    mr_arena_reset(&arena);
    ck_assert(!mr_failed(ingest_codec_read(&input, &limits, &arena, &record)));
    return record;
}

static struct ingest_record read_owned(struct mr_buffer value)
{
    const struct ingest_record record = read_value(mr_buffer_view(&value), "m", NULL);
    mr_buffer_deinit(&value);
    return record;
}

START_TEST(reads_a_good_batch)
{
    const struct ingest_record record =
        read_owned(submitted_batch("r", "m", "\"producer\":{\"producer_id\":\"P 1\",\"epoch\":2,\"sequence\":3},",
                                   "\"sobol_range\":{\"start\":0,\"count\":8}"));
    ck_assert_int_eq(record.facts.body, INGEST_BODY_BATCH);
    ck_assert(record.facts.ids_valid && record.facts.key_matches && record.facts.partition_matches);
    ck_assert_int_eq(record.facts.replay, INGEST_REPLAY_NONE);
    ck_assert_int_eq(record.facts.of.batch.payload, INGEST_PAYLOAD_SOBOL_RANGE);
    ck_assert(record.facts.of.batch.inline_fits && !record.facts.of.batch.empty && record.facts.of.batch.has_producer);
    ck_assert_uint_eq(record.facts.of.batch.epoch, 2);
    ck_assert_uint_eq(record.facts.of.batch.sequence, 3);
    ck_assert_str_eq(record.model_id, "m");
    ck_assert_str_eq(record.run_id, "r");
    ck_assert_str_eq(record.producer_id, "P 1");
}
END_TEST

START_TEST(reads_starts_and_stops)
{
    const struct ingest_record pricing = read_owned(submitted_start("r", "m", SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)));
    const struct ingest_record labelled =
        read_owned(submitted_start("r", "m", SUBMITTED_LABELLED_SPEC(SUBMITTED_CAST)));
    const struct ingest_record stop = read_owned(submitted_stop("r", "m"));
    ck_assert_msg(pricing.facts.of.run_started.spec_valid, "%s: %s", pricing.fault.path, pricing.fault.expected);
    ck_assert_int_eq(pricing.facts.of.run_started.job, INGEST_JOB_PRICING);
    ck_assert(labelled.facts.of.run_started.spec_valid);
    ck_assert_int_eq(labelled.facts.of.run_started.job, INGEST_JOB_LABELLED);
    ck_assert_int_eq(stop.facts.body, INGEST_BODY_RUN_STOPPED);
    ck_assert(stop.facts.of.run_stopped.outcome_valid);
}
END_TEST

START_TEST(names_the_field_of_a_bad_spec)
{
    const struct ingest_record record = read_owned(
        submitted_start("r", "m", SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP ",\"message_template\":\"{nonsense}\"")));
    ck_assert(!record.facts.of.run_started.spec_valid);
    ck_assert_str_eq(record.fault.path, "run_started.spec.message_template");
    const struct ingest_record none =
        read_owned(submitted_bytes("{\"run_started\":{\"run_id\":\"r\",\"model_id\":\"m\"}}"));
    ck_assert(!none.facts.of.run_started.spec_valid);
    ck_assert_str_eq(none.fault.path, "run_started.spec");
}
END_TEST

struct bad_bytes {
    const char *hex;
    enum ingest_body body;
    const char *path;
};

/* Fields of Submitted: 1 run_started, 2 batch, 3 run_stopped. Of Batch: 1 run_id, 2 model_id, 4 producer, 6
 * sobol_range. */
static const struct bad_bytes bad_bytes[] = {
    {"", INGEST_BODY_NONE, ""},
    {"ff", INGEST_BODY_UNDECODABLE, ""},
    {"676172626167652c20726561642061732061207265636f7264", INGEST_BODY_UNDECODABLE, ""}, /* text */
    {"12ff", INGEST_BODY_UNDECODABLE, ""},                                               /* a length that never ends */
    {"120a0a0161", INGEST_BODY_UNDECODABLE, ""},                                         /* cut short */
    {"12030a0261", INGEST_BODY_UNDECODABLE, "batch"},                                    /* cut short inside */
    {"12040a02ff61", INGEST_BODY_UNDECODABLE, "batch.run_id"},                           /* not UTF-8 */
    {"12050a03610062", INGEST_BODY_UNDECODABLE, "batch.run_id"}, /* NUL: "a" to C, "a\0b" to others */
    {"1206220409010203", INGEST_BODY_UNDECODABLE, "batch.producer"},
    {"0b0c", INGEST_BODY_UNDECODABLE, ""}, /* a group */
    {"1000", INGEST_BODY_UNDECODABLE, ""}, /* batch as a number */
    {"7a0161", INGEST_BODY_UNKNOWN_FIELD, "field 15"},
    {"12037a0161", INGEST_BODY_UNKNOWN_FIELD, "batch.field 15"},
    {"120532037a0161", INGEST_BODY_UNKNOWN_FIELD, "batch.sobol_range.field 15"},
};

START_TEST(bad_bytes_are_facts)
{
    const struct bad_bytes *row = &bad_bytes[_i];
    uint8_t bytes[64];
    const size_t size = strlen(row->hex) / 2;
    ck_assert(size == 0 || mr_unhex(row->hex, bytes, size));
    const struct ingest_record record = read_value(mr_bytes_of(bytes, size), "m", NULL);
    ck_assert_msg(record.facts.body == row->body, "%s is body %d", row->hex, (int)record.facts.body);
    ck_assert_str_eq(record.fault.path, row->path);
}
END_TEST

START_TEST(a_value_over_the_limit_is_not_unpacked)
{
    uint8_t bytes[5000] = {0};
    ck_assert_int_eq(read_value(mr_bytes_of(bytes, sizeof bytes), "m", NULL).facts.body, INGEST_BODY_TOO_LARGE);
}
END_TEST

/* What is accepted must fit into the record that it is written in: many small headers grow in a message. */
START_TEST(headers_count_with_what_is_around_them)
{
    enum { HEADERS = 1000 };
    static struct mr_log_header headers[HEADERS];
    for (size_t i = 0; i < HEADERS; i++) {
        headers[i] = (struct mr_log_header){"h", mr_bytes_of(NULL, 0)};
    }
    const struct ingest_limits small = {.max_record_bytes = 4096, .max_inline_bytes = 4096, .partitions = 1};
    const struct mr_log_record record = {.topic = MR_TOPIC_SUBMITTED,
                                         .has_value = true,
                                         .value = mr_bytes_of_text("any"),
                                         .headers = headers,
                                         .header_count = HEADERS};
    struct mr_arena arena = {0};
    struct ingest_record read;
    struct mr_bytes written;
    ck_assert(!mr_failed(ingest_codec_read(&record, &small, &arena, &read)));
    ck_assert_int_eq(read.facts.body, INGEST_BODY_TOO_LARGE);
    const struct mr_stage_stamp stamp = {.model_id = "m"};
    ck_assert(!mr_failed(ingest_codec_write(&stamp, &record, "", &arena, &written)));
    ck_assert_uint_gt(written.size, small.max_record_bytes);
    ck_assert_uint_ge(read.record_bytes, written.size - 100); /* the stamp */
    mr_arena_deinit(&arena);
}
END_TEST

/* A network of residuals in residuals would take protobuf-c down the stack without an end. */
START_TEST(deep_nesting_is_refused_before_unpacking)
{
    enum { LEVELS = 20000 };
    static uint8_t bytes[LEVELS * 8];
    struct mr_field_fault fault;
    size_t size = 0;
    for (int i = 0; i < LEVELS; i++) {
        /* From inside out: Residual.body (1) in Layer.residual (4), each with its length. */
        const uint8_t tag = i % 2 == 0 ? 0x0a : 0x22;
        uint8_t head[8] = {tag};
        size_t used = 1;
        for (size_t rest = size; used < sizeof head; rest >>= 7) {
            head[used++] = (uint8_t)((rest & 0x7f) | (rest >= 0x80 ? 0x80 : 0));
            if (rest < 0x80) {
                break;
            }
        }
        if (size + used > sizeof bytes) {
            break;
        }
        memmove(bytes + used, bytes, size);
        memcpy(bytes, head, used);
        size += used;
    }
    ck_assert(!mr_message_wire_check(bytes[0] == 0x22 ? &millrace__run__v1__layer__descriptor
                                                      : &millrace__run__v1__residual__descriptor,
                                     mr_bytes_of(bytes, size), &fault));
    ck_assert_str_eq(fault.expected, "at most 32 levels of messages");
}
END_TEST

struct bad_id {
    const char *json, *path;
};

static const struct bad_id bad_ids[] = {
    {"{\"batch\":{\"run_id\":\"r\",\"model_id\":\"M\",\"batch_id\":\"b\"}}", "batch.model_id"},
    {"{\"batch\":{\"run_id\":\"../r\",\"model_id\":\"m\",\"batch_id\":\"b\"}}", "batch.run_id"},
    {"{\"batch\":{\"run_id\":\"r\",\"model_id\":\"m\"}}", "batch.batch_id"},
    {"{\"batch\":{\"run_id\":\"r\",\"model_id\":\"m\",\"batch_id\":\"b\",\"producer\":{}}}",
     "batch.producer.producer_id"},
    {"{\"run_started\":{\"run_id\":\"r\"}}", "run_started.model_id"},
    {"{\"run_stopped\":{\"model_id\":\"m\"}}", "run_stopped.run_id"},
};

START_TEST(bad_ids_are_named)
{
    const struct ingest_record record = read_owned(submitted_bytes("%s", bad_ids[_i].json));
    ck_assert(!record.facts.ids_valid);
    ck_assert_str_eq(record.fault.path, bad_ids[_i].path);
}
END_TEST

START_TEST(payloads_are_counted)
{
    const char *eight = submitted_floats((const float[]){1, 2, 3, 4, 5, 6, 7, 8}, 8);
    struct mr_buffer fits, over;
    fits = submitted_bytes("{\"batch\":{\"run_id\":\"r\",\"model_id\":\"m\",\"batch_id\":\"b\",\"labelled\":{"
                           "\"features\":{\"shape\":[4,2],\"data\":\"%s\"},"
                           "\"targets\":{\"shape\":[4,1,2],\"data\":\"%s\"}}}}",
                           eight, eight);
    over = submitted_bytes("{\"batch\":{\"run_id\":\"r\",\"model_id\":\"m\",\"batch_id\":\"b\",\"labelled\":{"
                           "\"features\":{\"shape\":[4,2],\"data\":\"%s\"},"
                           "\"targets\":{\"shape\":[4,1,2],\"data\":\"%s00\"}}}}",
                           eight, eight);
    const struct ingest_record good = read_owned(fits);
    const struct ingest_record bad = read_owned(over);
    ck_assert(good.facts.of.batch.inline_fits);
    ck_assert_uint_eq(good.inline_bytes, 64);
    ck_assert(!bad.facts.of.batch.inline_fits);
}
END_TEST

START_TEST(empty_batches_have_neither_rows_nor_bytes)
{
    const struct ingest_record range = read_owned(submitted_batch("r", "m", "", "\"sobol_range\":{\"start\":3}"));
    const struct ingest_record rows =
        read_owned(submitted_batch("r", "m", "", "\"contracts\":{\"rows\":{\"shape\":[0,6]}}"));
    const struct ingest_record bytes =
        read_owned(submitted_batch("r", "m", "", "\"contracts\":{\"rows\":{\"shape\":[0,6],\"data\":\"00\"}}"));
    const struct ingest_record missing = read_owned(submitted_batch("r", "m", "", "\"contracts\":{}"));
    ck_assert(range.facts.of.batch.empty);
    ck_assert(rows.facts.of.batch.empty);
    ck_assert(!bytes.facts.of.batch.empty);
    ck_assert_int_eq(missing.facts.of.batch.payload, INGEST_PAYLOAD_NONE);
    ck_assert_str_eq(missing.fault.path, "batch.contracts.rows");
}
END_TEST

START_TEST(key_and_partition_are_checked)
{
    struct mr_buffer value = submitted_stop("r", "m");
    const struct mr_bytes view = mr_buffer_view(&value);
    ck_assert(!read_value(view, "other", NULL).facts.key_matches);
    static struct mr_arena arena;
    struct ingest_record record;
    struct mr_log_record input = {.topic = "t", .has_value = true, .value = view};
    ck_assert(!mr_failed(ingest_codec_read(&input, &limits, &arena, &record)));
    ck_assert_msg(!record.facts.key_matches, "a record without a key");
    input.has_key = true;
    input.key = mr_bytes_of_text("m");
    input.partition = (mr_partition_of(input.key, limits.partitions) + 1) % limits.partitions;
    ck_assert(!mr_failed(ingest_codec_read(&input, &limits, &arena, &record)));
    ck_assert(record.facts.key_matches && !record.facts.partition_matches);
    mr_buffer_deinit(&value);
    mr_arena_deinit(&arena);
}
END_TEST

START_TEST(replays_are_named_by_a_token)
{
    struct mr_buffer value = submitted_stop("r", "m");
    const struct mr_bytes view = mr_buffer_view(&value);
    const struct mr_log_header good = {"mr_replay_of", mr_bytes_of_text("0123456789abcdef")};
    const struct mr_log_header empty = {"mr_replay_of", mr_bytes_of_text("")};
    const struct mr_log_header spaced = {"mr_replay_of", mr_bytes_of_text("a b")};
    ck_assert_int_eq(read_value(view, "m", &good).facts.replay, INGEST_REPLAY_NAMED);
    ck_assert_str_eq(read_value(view, "m", &good).replay_of, "0123456789abcdef");
    ck_assert_int_eq(read_value(view, "m", &empty).facts.replay, INGEST_REPLAY_MALFORMED);
    ck_assert_int_eq(read_value(view, "m", &spaced).facts.replay, INGEST_REPLAY_MALFORMED);
    mr_buffer_deinit(&value);
}
END_TEST

START_TEST(what_is_written_is_folded_alike_and_holds_the_bytes)
{
    struct mr_buffer value = submitted_batch("r", "m", "\"producer\":{\"producer_id\":\"p\",\"sequence\":3},",
                                             "\"sobol_range\":{\"count\":8}");
    struct mr_arena arena = {0};
    struct mr_stage_stamp stamp = {.model_id = "m", .origin = 7, .has_prev = true, .prev = 5};
    const struct mr_log_header headers[] = {{"ce_id", mr_bytes_of_text("mine")}, {"\xff", mr_bytes_of("\0x", 2)}};
    const struct mr_log_record submitted = {.topic = "s",
                                            .has_value = true,
                                            .value = mr_buffer_view(&value),
                                            .headers = headers,
                                            .header_count = MR_COUNT_OF(headers)};
    struct mr_log_record output = {.topic = "t", .has_value = true};
    struct ingest_record folded;
    ck_assert(!mr_failed(ingest_codec_write(&stamp, &submitted, "id", &arena, &output.value)));
    ck_assert(!mr_failed(ingest_codec_fold(&output, &arena, &folded)));
    ck_assert_str_eq(folded.replay_of, "id");
    ck_assert_str_eq(folded.producer_id, "p");
    ck_assert_uint_eq(folded.facts.of.batch.sequence, 3);
    Millrace__Batch__V1__Ingested *wire =
        millrace__batch__v1__ingested__unpack(NULL, output.value.size, output.value.data);
    ck_assert_ptr_nonnull(wire);
    ck_assert(mr_bytes_equal(mr_bytes_of(wire->submitted.data, wire->submitted.len), mr_buffer_view(&value)));
    ck_assert_uint_eq(wire->stamp->origin->offset, 7);
    ck_assert_uint_eq(wire->stamp->prev->value, 5);
    ck_assert_uint_eq(wire->n_headers, 2);
    for (size_t i = 0; i < wire->n_headers; i++) {
        const Millrace__Batch__V1__SubmittedHeader *header = wire->headers[i];
        ck_assert(mr_bytes_equal(mr_bytes_of(header->name.data, header->name.len), mr_bytes_of_text(headers[i].name)));
        ck_assert(mr_bytes_equal(mr_bytes_of(header->value.data, header->value.len), headers[i].value));
    }
    millrace__batch__v1__ingested__free_unpacked(wire, NULL);
    output.value = mr_bytes_of_text("no record of ours");
    const struct mr_error error = ingest_codec_fold(&output, &arena, &folded);
    ck_assert_str_eq(error.code, "corrupt_output");
    mr_arena_deinit(&arena);
    mr_buffer_deinit(&value);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, reads_a_good_batch);
    tcase_add_test(tcase, reads_starts_and_stops);
    tcase_add_test(tcase, names_the_field_of_a_bad_spec);
    tcase_add_loop_test(tcase, bad_bytes_are_facts, 0, (int)MR_COUNT_OF(bad_bytes));
    tcase_add_test(tcase, a_value_over_the_limit_is_not_unpacked);
    tcase_add_test(tcase, headers_count_with_what_is_around_them);
    tcase_add_test(tcase, deep_nesting_is_refused_before_unpacking);
    tcase_add_loop_test(tcase, bad_ids_are_named, 0, (int)MR_COUNT_OF(bad_ids));
    tcase_add_test(tcase, payloads_are_counted);
    tcase_add_test(tcase, empty_batches_have_neither_rows_nor_bytes);
    tcase_add_test(tcase, key_and_partition_are_checked);
    tcase_add_test(tcase, replays_are_named_by_a_token);
    tcase_add_test(tcase, what_is_written_is_folded_alike_and_holds_the_bytes);
}

int main(void)
{
    return check_main("ingest_codec", add);
}
