/* From an ingested record and its run's spec to facts: what can be wrong with a batch's content, and where. */
#include "check_main.h"
#include "millrace/wire.h"
#include "submitted.h"
#include "validate_codec.h"
#include "validate_memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct mr_arena arena;
static const struct mr_batch_limits limits = {.max_rows = 100, .max_payload_bytes = 4096};

static struct mr_log_record ingested(struct mr_buffer submitted)
{
    Millrace__Batch__V1__Ingested wire;
    struct mr_log_record record = {.topic = "ingested", .has_value = true};
    millrace__batch__v1__ingested__init(&wire);
    wire.submitted = mr_wire_lend(mr_buffer_view(&submitted));
    ck_assert(!mr_failed(mr_wire_pack(&wire.base, &arena, &record.value)));
    mr_buffer_deinit(&submitted);
    return record;
}

static struct validate_record read_good(struct mr_buffer submitted)
{
    const struct mr_log_record record = ingested(submitted);
    struct validate_record read;
    ck_assert(!mr_failed(validate_codec_read(&record, &arena, &read)));
    return read;
}

static struct mr_run_spec spec_of(const char *json)
{
    const struct validate_record start = read_good(submitted_start("r", "m", json));
    struct mr_run_spec spec;
    struct mr_field_fault fault;
    ck_assert(!mr_failed(mr_run_spec_decode(start.start->spec, &spec, &fault)));
    return spec;
}

static struct validate_inspection inspect(const char *spec_json, const char *payload)
{
    const struct mr_run_spec spec = spec_of(spec_json);
    const struct validate_record batch = read_good(submitted_batch("r", "m", "", payload));
    struct validate_inspection inspection;
    validate_codec_inspect(&batch, &spec, &limits, &inspection);
    return inspection;
}

#define PRICING SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)
#define LABELLED SUBMITTED_LABELLED_SPEC(SUBMITTED_KEEP)

static const char *contracts(const char *dtype, const char *shape, const float *values, size_t count)
{
    static char text[4096];
    snprintf(text, sizeof text, "\"contracts\":{\"rows\":{\"dtype\":\"%s\",\"shape\":%s,\"data\":\"%s\"}}", dtype,
             shape, submitted_floats(values, count));
    return text;
}

static struct validate_inspection two_contracts(size_t index, float value)
{
    float rows[12] = {100, 100, 1, 0.01f, 0.01f, 0.2f, 100, 100, 1, 0.01f, 0.01f, 0.2f};
    rows[index] = value;
    return inspect(PRICING, contracts("float32", "[2,6]", rows, 12));
}

START_TEST(good_contracts_fit)
{
    const struct validate_inspection good = two_contracts(0, 100);
    ck_assert_int_eq(good.facts.of.batch.shape, VALIDATE_SHAPE_FITS);
    ck_assert_int_eq(good.facts.of.batch.dtype, VALIDATE_DTYPE_FLOAT32);
    ck_assert_int_eq(good.facts.of.batch.claims, VALIDATE_CLAIMS_NONE);
    ck_assert(good.facts.of.batch.checksums_match);
    ck_assert_int_eq(good.facts.of.batch.values, VALIDATE_VALUES_GOOD);
    ck_assert_uint_eq(good.shape.rows, 2);
}
END_TEST

struct bad_value {
    size_t index;
    float value;
    enum validate_values values;
    const char *field;
};

static const struct bad_value bad_values[] = {
    {6, NAN, VALIDATE_VALUES_NON_FINITE, "X0"},        {7, INFINITY, VALIDATE_VALUES_NON_FINITE, "K"},
    {11, -INFINITY, VALIDATE_VALUES_NON_FINITE, "v"},  {8, -1, VALIDATE_VALUES_OUT_OF_DOMAIN, "T"},
    {6, 79.99f, VALIDATE_VALUES_OUT_OF_DOMAIN, "X0"},  {7, 120.01f, VALIDATE_VALUES_OUT_OF_DOMAIN, "K"},
    {9, 0.0601f, VALIDATE_VALUES_OUT_OF_DOMAIN, "r"},  {10, -0.0001f, VALIDATE_VALUES_OUT_OF_DOMAIN, "d"},
    {11, 0.0999f, VALIDATE_VALUES_OUT_OF_DOMAIN, "v"},
};

START_TEST(bad_values_are_named_by_row_and_field)
{
    const struct bad_value *row = &bad_values[_i];
    const struct validate_inspection bad = two_contracts(row->index, row->value);
    ck_assert_int_eq(bad.facts.of.batch.values, row->values);
    ck_assert_uint_eq(bad.facts.of.batch.place.row, 1);
    ck_assert_str_eq(bad.facts.of.batch.place.field, row->field);
}
END_TEST

START_TEST(shapes_and_types_are_told_apart)
{
    const float values[12] = {0};
    ck_assert_int_eq(inspect(PRICING, contracts("float32", "[2,5]", values, 12)).facts.of.batch.shape,
                     VALIDATE_SHAPE_MISMATCH);
    ck_assert_int_eq(inspect(PRICING, contracts("float32", "[12]", values, 12)).facts.of.batch.shape,
                     VALIDATE_SHAPE_MISMATCH);
    ck_assert_int_eq(inspect(PRICING, contracts("float32", "[2,6]", values, 11)).facts.of.batch.shape,
                     VALIDATE_SHAPE_MISMATCH);
    ck_assert_int_eq(inspect(PRICING, contracts("float64", "[1,6]", values, 12)).facts.of.batch.dtype,
                     VALIDATE_DTYPE_OTHER);
    ck_assert_int_eq(inspect(PRICING, "\"contracts\":{\"rows\":{\"shape\":[2,6]}}").facts.of.batch.dtype,
                     VALIDATE_DTYPE_UNKNOWN);
    ck_assert_int_eq(inspect(LABELLED, contracts("float32", "[2,6]", values, 12)).facts.of.batch.shape,
                     VALIDATE_SHAPE_OTHER_JOB);
}
END_TEST

START_TEST(ranges_end_with_the_sequence_and_the_limit)
{
    const struct validate_inspection good = inspect(PRICING, "\"sobol_range\":{\"start\":4294967286,\"count\":10}");
    const struct validate_inspection over = inspect(PRICING, "\"sobol_range\":{\"start\":4294967287,\"count\":10}");
    const struct validate_inspection wraps =
        inspect(PRICING, "\"sobol_range\":{\"start\":\"18446744073709551615\",\"count\":10}");
    const struct validate_inspection many = inspect(PRICING, "\"sobol_range\":{\"start\":0,\"count\":101}");
    const struct validate_inspection spec_limit =
        inspect(SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP ",\"limits\":{\"max_rows\":5}"),
                "\"sobol_range\":{\"start\":0,\"count\":6}");
    ck_assert_int_eq(good.facts.of.batch.shape, VALIDATE_SHAPE_FITS);
    ck_assert_int_eq(good.facts.of.batch.dtype, VALIDATE_DTYPE_NONE);
    ck_assert_int_eq(over.facts.of.batch.shape, VALIDATE_SHAPE_BEYOND_SEQUENCE);
    ck_assert_int_eq(wraps.facts.of.batch.shape, VALIDATE_SHAPE_BEYOND_SEQUENCE);
    ck_assert_int_eq(many.facts.of.batch.shape, VALIDATE_SHAPE_OVER_LIMIT);
    ck_assert_int_eq(spec_limit.facts.of.batch.shape, VALIDATE_SHAPE_OVER_LIMIT);
}
END_TEST

static const char *labelled(const char *features_more, const char *targets)
{
    static char text[4096];
    const char *two = submitted_floats((const float[]){1, 2}, 2);
    snprintf(text, sizeof text,
             "\"labelled\":{\"features\":{\"dtype\":\"float32\",\"shape\":[1,2],\"data\":\"%s\"%s},"
             "\"targets\":{\"dtype\":\"float32\",\"shape\":[1,1,2],%s}}",
             two, features_more, targets);
    return text;
}

static const char *inline_targets(void)
{
    static char text[64];
    snprintf(text, sizeof text, "\"data\":\"%s\"", submitted_floats((const float[]){3, 4}, 2));
    return text;
}

START_TEST(inline_checksums_count_when_they_are_there)
{
    const float values[] = {1, 2};
    const struct mr_sha256 hash = mr_sha256_of(mr_bytes_of(values, sizeof values));
    char good[128], bad[128], text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(&hash, text);
    snprintf(good, sizeof good, ",\"sha256\":\"%s\"", text);
    text[0] = text[0] == '0' ? '1' : '0';
    snprintf(bad, sizeof bad, ",\"sha256\":\"%s\"", text);
    ck_assert(inspect(LABELLED, labelled("", inline_targets())).facts.of.batch.checksums_match);
    ck_assert(inspect(LABELLED, labelled(good, inline_targets())).facts.of.batch.checksums_match);
    ck_assert(!inspect(LABELLED, labelled(bad, inline_targets())).facts.of.batch.checksums_match);
    ck_assert(!inspect(LABELLED, labelled(",\"sha256\":\"00\"", inline_targets())).facts.of.batch.checksums_match);
}
END_TEST

static struct validate_inspection claimed(const char *uri, unsigned size, const char *sha256)
{
    char targets[512];
    snprintf(targets, sizeof targets, "\"claim\":{\"uri\":\"%s\",\"size\":%u,\"sha256\":\"%s\"}", uri, size, sha256);
    return inspect(LABELLED, labelled("", targets));
}

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

START_TEST(claims_are_files_with_a_size_and_a_hash)
{
    ck_assert_int_eq(claimed("file:///a/b", 8, HASH).facts.of.batch.claims, VALIDATE_CLAIMS_FETCHABLE);
    ck_assert_int_eq(claimed("s3://bucket/key", 8, HASH).facts.of.batch.claims, VALIDATE_CLAIMS_UNSUPPORTED);
    ck_assert_int_eq(claimed("file://host/a", 8, HASH).facts.of.batch.claims, VALIDATE_CLAIMS_UNSUPPORTED);
    ck_assert_int_eq(claimed("file:///a%zz", 8, HASH).facts.of.batch.claims, VALIDATE_CLAIMS_UNSUPPORTED);
    ck_assert_int_eq(claimed("/a/b", 8, HASH).facts.of.batch.claims, VALIDATE_CLAIMS_UNSUPPORTED);
    ck_assert_int_eq(claimed("", 8, HASH).facts.of.batch.claims, VALIDATE_CLAIMS_UNSUPPORTED);
    ck_assert_int_eq(claimed("file:///a/b", 7, HASH).facts.of.batch.shape, VALIDATE_SHAPE_MISMATCH);
    ck_assert(!claimed("file:///a/b", 8, "00").facts.of.batch.checksums_match);
    ck_assert_str_eq(claimed("s3://bucket/key", 8, HASH).finding.detail,
                     "batch.labelled.targets.claim.uri: expected file:///absolute/path (%XX for a special byte)");
}
END_TEST

START_TEST(what_ingest_cannot_have_written_is_fatal)
{
    struct validate_record read;
    struct mr_log_record record = {.topic = "t", .has_value = true, .value = mr_bytes_of_text("\xffgarbage")};
    ck_assert_int_eq(validate_codec_read(&record, &arena, &read).kind, MR_ERROR_FATAL);
    record = ingested((struct mr_buffer){0});
    ck_assert_str_eq(validate_codec_read(&record, &arena, &read).code, "corrupt_record");
    record = ingested(submitted_bytes("{\"run_started\":{\"run_id\":\"r\",\"model_id\":\"m\"}}"));
    ck_assert_str_eq(validate_codec_read(&record, &arena, &read).code, "corrupt_record");
    record = ingested(submitted_stop("R", "m"));
    ck_assert_str_eq(validate_codec_read(&record, &arena, &read).code, "corrupt_record");
}
END_TEST

START_TEST(what_is_written_names_its_copies_and_folds_alike)
{
    char targets[256];
    snprintf(targets, sizeof targets, "\"claim\":{\"uri\":\"file:///x\",\"size\":8,\"sha256\":\"%s\"}", HASH);
    const struct validate_record batch = read_good(submitted_batch("r", "m", "", labelled("", targets)));
    const struct validate_precision cast = {VALIDATE_PRECISION_CAST_TO_BFLOAT16,
                                            VALIDATE_PRECISION_REASON_DTYPE_POLICY};
    const struct mr_stage_stamp stamp = {.model_id = "m", .origin = 9};
    struct mr_log_record output = {.topic = "t", .has_value = true};
    struct validate_record folded;
    ck_assert(!mr_failed(validate_codec_write(&stamp, &batch, cast, &arena, &output.value)));
    Millrace__Batch__V1__Validated *wire =
        millrace__batch__v1__validated__unpack(NULL, output.value.size, output.value.data);
    ck_assert_ptr_nonnull(wire);
    ck_assert_uint_eq(wire->stamp->origin->offset, 9);
    ck_assert_ptr_null(wire->stamp->prev);
    ck_assert_int_eq(wire->precision, MILLRACE__BATCH__V1__PRECISION__PRECISION_CAST_TO_BFLOAT16);
    ck_assert_uint_eq(wire->n_copies, 1);
    ck_assert_int_eq(wire->copies[0]->role, MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_TARGETS);
    ck_assert_str_eq(wire->copies[0]->key, "m/payloads/" HASH);
    ck_assert_uint_eq(wire->copies[0]->size, 8);
    ck_assert(mr_bytes_equal(mr_wire_view(wire->submitted), batch.submitted));
    millrace__batch__v1__validated__free_unpacked(wire, NULL);
    ck_assert(!mr_failed(validate_codec_fold(&output, &arena, &folded)));
    ck_assert_int_eq(folded.body, VALIDATE_BODY_BATCH);
    ck_assert_str_eq(folded.run_id, "r");
}
END_TEST

START_TEST(memory_knows_the_open_run_of_each_model)
{
    struct validate_memory *memory = validate_memory_new();
    const struct mr_run_spec spec = spec_of(LABELLED);
    const struct mr_run_spec *found = NULL;
    const struct validate_record start = read_good(submitted_start("r1", "m", LABELLED));
    const struct validate_record stop = read_good(submitted_stop("r1", "m"));
    const struct validate_record other = read_good(submitted_stop("r1", "n"));
    ck_assert_int_eq(validate_memory_run(memory, &stop, &found), VALIDATE_RUN_UNKNOWN);
    ck_assert(!mr_failed(validate_memory_accept(memory, &start, &spec)));
    ck_assert_int_eq(validate_memory_run(memory, &stop, &found), VALIDATE_RUN_OPEN);
    ck_assert_int_eq(found->job, MR_JOB_LABELLED);
    ck_assert_int_eq(validate_memory_run(memory, &other, &found), VALIDATE_RUN_UNKNOWN);
    ck_assert(!mr_failed(validate_memory_accept(memory, &stop, NULL)));
    ck_assert_int_eq(validate_memory_run(memory, &stop, &found), VALIDATE_RUN_CLOSED);
    validate_memory_free(memory);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, good_contracts_fit);
    tcase_add_loop_test(tcase, bad_values_are_named_by_row_and_field, 0, (int)MR_COUNT_OF(bad_values));
    tcase_add_test(tcase, shapes_and_types_are_told_apart);
    tcase_add_test(tcase, ranges_end_with_the_sequence_and_the_limit);
    tcase_add_test(tcase, inline_checksums_count_when_they_are_there);
    tcase_add_test(tcase, claims_are_files_with_a_size_and_a_hash);
    tcase_add_test(tcase, what_ingest_cannot_have_written_is_fatal);
    tcase_add_test(tcase, what_is_written_names_its_copies_and_folds_alike);
    tcase_add_test(tcase, memory_knows_the_open_run_of_each_model);
}

int main(void)
{
    const int status = check_main("validate_codec", add);
    mr_arena_deinit(&arena);
    return status;
}
