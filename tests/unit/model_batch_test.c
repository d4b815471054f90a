/* Batches: what is refused and where, and that packing has one result. */
#include <math.h>
#include <string.h>

#include "check_main.h"
#include "millrace/batch.h"
#include "millrace/sobol.h"
#include "sample_spec.h"

#define ROWS ((size_t)3)

/* A good batch of each kind, to be spoiled by a test. */
struct sample {
    Millrace__Batch__V1__Batch batch;
    Millrace__Batch__V1__Contracts contracts;
    Millrace__Batch__V1__Labelled labelled;
    Millrace__Batch__V1__SobolRange range;
    Millrace__Common__V1__Tensor first, second;
    Millrace__Common__V1__ClaimCheck claim;
    uint64_t first_shape[3], second_shape[3];
    float first_data[ROWS * MR_CONTRACT_FIELDS], second_data[ROWS * 6];
};

static const float good_contract[MR_CONTRACT_FIELDS] = {100, 90, 1, 0.03f, 0.01f, 0.2f};
static const struct mr_batch_limits no_limits = {0, 0};

static void set_tensor(Millrace__Common__V1__Tensor *tensor, uint64_t *shape, size_t dimensions, float *data,
                       size_t bytes)
{
    millrace__common__v1__tensor__init(tensor);
    tensor->dtype = MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32;
    tensor->n_shape = dimensions;
    tensor->shape = shape;
    tensor->content_case = MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA;
    tensor->data.data = (uint8_t *)data;
    tensor->data.len = bytes;
}

static void set_contracts(struct sample *s)
{
    memset(s, 0, sizeof *s);
    for (size_t row = 0; row < ROWS; row++) {
        memcpy(s->first_data + row * MR_CONTRACT_FIELDS, good_contract, sizeof good_contract);
    }
    s->first_shape[0] = ROWS;
    s->first_shape[1] = MR_CONTRACT_FIELDS;
    set_tensor(&s->first, s->first_shape, 2, s->first_data, sizeof s->first_data);
    millrace__batch__v1__contracts__init(&s->contracts);
    s->contracts.rows = &s->first;
    millrace__batch__v1__batch__init(&s->batch);
    s->batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_CONTRACTS;
    s->batch.contracts = &s->contracts;
}

/* Five features and three complex targets, as the labelled sample spec wants. */
static void set_labelled(struct sample *s)
{
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < ROWS * 6; i++) {
        s->first_data[i] = 1.0f + (float)i / 7.0f;
        s->second_data[i] = 2.0f + (float)i / 7.0f;
    }
    s->first_shape[0] = s->second_shape[0] = ROWS;
    s->first_shape[1] = 5;
    s->second_shape[1] = 3;
    s->second_shape[2] = 2;
    set_tensor(&s->first, s->first_shape, 2, s->first_data, ROWS * 5 * sizeof(float));
    set_tensor(&s->second, s->second_shape, 3, s->second_data, sizeof s->second_data);
    millrace__batch__v1__labelled__init(&s->labelled);
    s->labelled.features = &s->first;
    s->labelled.targets = &s->second;
    millrace__batch__v1__batch__init(&s->batch);
    s->batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED;
    s->batch.labelled = &s->labelled;
}

static void set_range(struct sample *s, uint64_t start, uint64_t count)
{
    memset(s, 0, sizeof *s);
    millrace__batch__v1__sobol_range__init(&s->range);
    s->range.start = start;
    s->range.count = count;
    millrace__batch__v1__batch__init(&s->batch);
    s->batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE;
    s->batch.sobol_range = &s->range;
}

static void payloads_of(const struct sample *s, struct mr_bytes ret_payloads[MR_BATCH_TENSORS_MAX])
{
    ret_payloads[0] = mr_bytes_of(s->first.data.data, s->first.data.len);
    ret_payloads[1] = mr_bytes_of(s->second.data.data, s->second.data.len);
}

static void expect_shape(const struct mr_run_spec *spec, const struct sample *s, enum mr_batch_verdict verdict,
                         const char *field)
{
    struct mr_batch_shape shape;
    const struct mr_batch_finding finding = mr_batch_check_shape(spec, &no_limits, &s->batch, &shape);
    ck_assert_msg(finding.verdict == verdict, "%s, expected %s: %s", mr_batch_verdict_text(finding.verdict),
                  mr_batch_verdict_text(verdict), finding.detail);
    ck_assert_str_eq(finding.field, field);
}

START_TEST(good_batches_say_their_size)
{
    const struct mr_run_spec pricing = sample_spec(sample_pricing_json);
    const struct mr_run_spec labelled = sample_spec(sample_labelled_json);
    struct sample s;
    struct mr_batch_shape shape;
    set_contracts(&s);
    ck_assert_int_eq(mr_batch_check_shape(&pricing, &no_limits, &s.batch, &shape).verdict, MR_BATCH_GOOD);
    ck_assert_int_eq(shape.kind, MR_BATCH_CONTRACTS);
    ck_assert_uint_eq(shape.rows, ROWS);
    ck_assert_uint_eq(shape.packed_bytes, ROWS * 24);
    set_labelled(&s);
    ck_assert_int_eq(mr_batch_check_shape(&labelled, &no_limits, &s.batch, &shape).verdict, MR_BATCH_GOOD);
    ck_assert_uint_eq(shape.tensors, 2);
    ck_assert_uint_eq(shape.row_width[0], 5);
    ck_assert_uint_eq(shape.row_width[1], 6);
    ck_assert_uint_eq(shape.packed_bytes, ROWS * 44);
    set_range(&s, 9, 4);
    ck_assert_int_eq(mr_batch_check_shape(&pricing, &no_limits, &s.batch, &shape).verdict, MR_BATCH_GOOD);
    ck_assert_uint_eq(shape.packed_bytes, 0);
    ck_assert_uint_eq(shape.sobol_start, 9);
}
END_TEST

START_TEST(claimed_sizes_are_checked_before_they_are_fetched)
{
    const struct mr_run_spec spec = sample_spec(sample_pricing_json);
    struct sample s;
    set_contracts(&s);
    millrace__common__v1__claim_check__init(&s.claim);
    s.claim.size = ROWS * 24;
    s.first.content_case = MILLRACE__COMMON__V1__TENSOR__CONTENT_CLAIM;
    s.first.claim = &s.claim;
    expect_shape(&spec, &s, MR_BATCH_GOOD, "");
    s.claim.size = ROWS * 24 - 1;
    expect_shape(&spec, &s, MR_BATCH_SHAPE_MISMATCH, "contracts");
}
END_TEST

START_TEST(wrong_shapes_are_refused)
{
    const struct mr_run_spec pricing = sample_spec(sample_pricing_json);
    const struct mr_run_spec labelled = sample_spec(sample_labelled_json);
    struct sample s;
    set_contracts(&s);
    s.first.n_shape = 1;
    expect_shape(&pricing, &s, MR_BATCH_SHAPE_MISMATCH, "contracts.shape");
    set_contracts(&s);
    s.first_shape[1] = 7;
    expect_shape(&pricing, &s, MR_BATCH_SHAPE_MISMATCH, "contracts.shape");
    set_contracts(&s);
    s.first_shape[0] = UINT64_MAX / 8;
    expect_shape(&pricing, &s, MR_BATCH_SHAPE_MISMATCH, "contracts");
    set_contracts(&s);
    s.first_shape[0] = 4;
    expect_shape(&pricing, &s, MR_BATCH_SHAPE_MISMATCH, "contracts");
    set_contracts(&s);
    s.first.content_case = MILLRACE__COMMON__V1__TENSOR__CONTENT__NOT_SET;
    expect_shape(&pricing, &s, MR_BATCH_SHAPE_MISMATCH, "contracts");
    set_contracts(&s);
    s.contracts.rows = NULL;
    expect_shape(&pricing, &s, MR_BATCH_SHAPE_MISMATCH, "payload");
    set_contracts(&s);
    s.first.dtype = MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT64;
    expect_shape(&pricing, &s, MR_BATCH_DTYPE_INCOMPATIBLE, "contracts.dtype");
    set_labelled(&s);
    s.second_shape[2] = 1;
    expect_shape(&labelled, &s, MR_BATCH_SHAPE_MISMATCH, "targets.shape");
    set_labelled(&s);
    s.second_shape[0] = 2;
    s.second.data.len = (size_t)2 * 24;
    expect_shape(&labelled, &s, MR_BATCH_SHAPE_MISMATCH, "targets.shape");
}
END_TEST

START_TEST(payloads_of_another_job_are_refused)
{
    const struct mr_run_spec pricing = sample_spec(sample_pricing_json);
    const struct mr_run_spec labelled = sample_spec(sample_labelled_json);
    struct sample s;
    set_contracts(&s);
    expect_shape(&labelled, &s, MR_BATCH_WRONG_KIND, "contracts");
    set_range(&s, 0, 1);
    expect_shape(&labelled, &s, MR_BATCH_WRONG_KIND, "sobol_range");
    set_labelled(&s);
    expect_shape(&pricing, &s, MR_BATCH_WRONG_KIND, "labelled");
    s.batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD__NOT_SET;
    expect_shape(&pricing, &s, MR_BATCH_WRONG_KIND, "payload");
}
END_TEST

START_TEST(empty_batches_and_limits)
{
    const struct mr_run_spec spec = sample_spec(sample_pricing_json); /* at most 100 rows */
    const struct mr_batch_limits tight = {2, 0};
    const struct mr_batch_limits small = {0, ROWS * 24 - 1};
    struct sample s;
    struct mr_batch_shape shape;
    set_contracts(&s);
    s.first_shape[0] = 0;
    s.first.data.len = 0;
    expect_shape(&spec, &s, MR_BATCH_EMPTY, "rows");
    set_range(&s, 0, 0);
    expect_shape(&spec, &s, MR_BATCH_EMPTY, "sobol_range.count");
    set_range(&s, 0, 101);
    expect_shape(&spec, &s, MR_BATCH_OVER_LIMIT, "sobol_range.count");
    set_range(&s, MR_SOBOL_INDEX_END - 5, 5);
    expect_shape(&spec, &s, MR_BATCH_GOOD, "");
    set_range(&s, MR_SOBOL_INDEX_END - 5, 6);
    expect_shape(&spec, &s, MR_BATCH_OVER_LIMIT, "sobol_range");
    set_range(&s, UINT64_MAX, 6);
    expect_shape(&spec, &s, MR_BATCH_OVER_LIMIT, "sobol_range");
    set_contracts(&s);
    ck_assert_int_eq(mr_batch_check_shape(&spec, &tight, &s.batch, &shape).verdict, MR_BATCH_OVER_LIMIT);
    ck_assert_int_eq(mr_batch_check_shape(&spec, &small, &s.batch, &shape).verdict, MR_BATCH_OVER_LIMIT);
}
END_TEST

static struct mr_batch_finding values_of(const struct mr_run_spec *spec, const struct sample *s,
                                         Millrace__Batch__V1__Precision precision)
{
    struct mr_batch_shape shape;
    struct mr_bytes payloads[MR_BATCH_TENSORS_MAX];
    ck_assert_int_eq(mr_batch_check_shape(spec, &no_limits, &s->batch, &shape).verdict, MR_BATCH_GOOD);
    payloads_of(s, payloads);
    return mr_batch_check_values(spec, &shape, precision, payloads);
}

START_TEST(bounds_are_inclusive_and_float32)
{
    static const struct {
        size_t field;
        float inside, outside;
    } ends[] = {{MR_CONTRACT_X0, 80, 79.99999f}, {MR_CONTRACT_K, 120, 120.00001f},
                {MR_CONTRACT_T, 0.25f, -0.25f},  {MR_CONTRACT_R, 0.06f, 0.060000006f},
                {MR_CONTRACT_D, 0, -1e-45f},     {MR_CONTRACT_V, 0.1f, 0.09999999f}};
    const struct mr_run_spec spec = sample_spec(sample_pricing_json);
    for (size_t i = 0; i < MR_COUNT_OF(ends); i++) {
        struct sample s;
        set_contracts(&s);
        s.first_data[MR_CONTRACT_FIELDS + ends[i].field] = ends[i].inside;
        ck_assert_int_eq(values_of(&spec, &s, MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP).verdict, MR_BATCH_GOOD);
        s.first_data[MR_CONTRACT_FIELDS + ends[i].field] = ends[i].outside;
        const struct mr_batch_finding finding = values_of(&spec, &s, MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP);
        ck_assert_int_eq(finding.verdict, MR_BATCH_OUT_OF_DOMAIN);
        ck_assert_uint_eq(finding.row, 1);
        ck_assert_str_eq(finding.field, mr_contract_field_text((enum mr_contract_field)ends[i].field));
    }
}
END_TEST

START_TEST(values_that_are_not_finite_are_found)
{
    const struct mr_run_spec pricing = sample_spec(sample_pricing_json);
    const struct mr_run_spec labelled = sample_spec(sample_labelled_json);
    struct sample s;
    set_contracts(&s);
    s.first_data[2 * MR_CONTRACT_FIELDS + MR_CONTRACT_D] = (float)NAN;
    struct mr_batch_finding finding = values_of(&pricing, &s, MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP);
    ck_assert_int_eq(finding.verdict, MR_BATCH_NON_FINITE);
    ck_assert_uint_eq(finding.row, 2);
    ck_assert_str_eq(finding.field, "d");
    set_labelled(&s);
    s.second_data[6 + 3] = -(float)INFINITY;
    finding = values_of(&labelled, &s, MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP);
    ck_assert_int_eq(finding.verdict, MR_BATCH_NON_FINITE);
    ck_assert_uint_eq(finding.row, 1);
    ck_assert_str_eq(finding.field, "targets[1].im");
    /* Finite as float32, infinite as bfloat16. */
    set_labelled(&s);
    s.first_data[7] = 3.4e38f;
    ck_assert_int_eq(values_of(&labelled, &s, MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP).verdict, MR_BATCH_GOOD);
    finding = values_of(&labelled, &s, MILLRACE__BATCH__V1__PRECISION__PRECISION_CAST_TO_BFLOAT16);
    ck_assert_int_eq(finding.verdict, MR_BATCH_NON_FINITE);
    ck_assert_str_eq(finding.field, "features[2]");
}
END_TEST

START_TEST(packing_casts_features_alone)
{
    const struct mr_run_spec spec = sample_spec(sample_labelled_json);
    struct sample s;
    struct mr_batch_shape shape;
    struct mr_bytes payloads[MR_BATCH_TENSORS_MAX];
    float packed[ROWS * 11];
    struct mr_batch batch;
    set_labelled(&s);
    payloads_of(&s, payloads);
    ck_assert_int_eq(mr_batch_check_shape(&spec, &no_limits, &s.batch, &shape).verdict, MR_BATCH_GOOD);
    ck_assert_uint_eq(shape.packed_bytes, sizeof packed);
    ck_assert(!mr_failed(mr_batch_pack(&shape, MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP, payloads, packed)));
    ck_assert_mem_eq(packed, s.first_data, ROWS * 5 * sizeof(float));
    ck_assert_mem_eq(packed + ROWS * 5, s.second_data, sizeof s.second_data);
    ck_assert(!mr_failed(
        mr_batch_pack(&shape, MILLRACE__BATCH__V1__PRECISION__PRECISION_CAST_TO_BFLOAT16, payloads, packed)));
    ck_assert(packed[1] == mr_bfloat16_round(s.first_data[1]) && packed[1] != s.first_data[1]);
    ck_assert_mem_eq(packed + ROWS * 5, s.second_data, sizeof s.second_data);
    ck_assert(!mr_failed(mr_batch_of_packed(&spec, ROWS, mr_bytes_of(packed, sizeof packed), &batch)));
    ck_assert_int_eq(batch.kind, MR_BATCH_LABELLED);
    ck_assert_ptr_eq(batch.targets, packed + ROWS * 5);
}
END_TEST

START_TEST(sizes_that_do_not_fit_are_refused)
{
    const struct mr_run_spec spec = sample_spec(sample_pricing_json);
    struct sample s;
    struct mr_batch_shape shape;
    struct mr_bytes payloads[MR_BATCH_TENSORS_MAX];
    struct mr_batch batch;
    uint8_t packed[ROWS * 24];
    set_contracts(&s);
    payloads_of(&s, payloads);
    ck_assert_int_eq(mr_batch_check_shape(&spec, &no_limits, &s.batch, &shape).verdict, MR_BATCH_GOOD);
    payloads[0].size -= 1;
    ck_assert_str_eq(mr_batch_pack(&shape, MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP, payloads, packed).code,
                     "payload_size");
    ck_assert_str_eq(mr_batch_of_packed(&spec, ROWS + 1, mr_bytes_of(packed, sizeof packed), &batch).code,
                     "payload_size");
    ck_assert_str_eq(mr_batch_of_packed(&spec, UINT64_MAX / 8, mr_bytes_of(packed, sizeof packed), &batch).code,
                     "payload_size");
    ck_assert_str_eq(mr_batch_of_packed(&spec, 0, mr_bytes_of(packed, 0), &batch).code, "payload_size");
}
END_TEST

START_TEST(bfloat16_rounds_to_nearest_even)
{
    ck_assert(mr_bfloat16_round(1.0f) == 1.0f);
    ck_assert(mr_bfloat16_round(1.00390625f) == 1.0f);       /* half a unit above 1: to even */
    ck_assert(mr_bfloat16_round(1.01171875f) == 1.015625f);  /* half a unit above the next: to even, up */
    ck_assert(mr_bfloat16_round(1.00390637f) == 1.0078125f); /* just above half */
    ck_assert(mr_bfloat16_round(-1.00390637f) == -1.0078125f);
    ck_assert(isinf(mr_bfloat16_round(3.4e38f)));
    ck_assert(isnan(mr_bfloat16_round((float)NAN)));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, good_batches_say_their_size);
    tcase_add_test(tests, claimed_sizes_are_checked_before_they_are_fetched);
    tcase_add_test(tests, wrong_shapes_are_refused);
    tcase_add_test(tests, payloads_of_another_job_are_refused);
    tcase_add_test(tests, empty_batches_and_limits);
    tcase_add_test(tests, bounds_are_inclusive_and_float32);
    tcase_add_test(tests, values_that_are_not_finite_are_found);
    tcase_add_test(tests, packing_casts_features_alone);
    tcase_add_test(tests, sizes_that_do_not_fit_are_refused);
    tcase_add_test(tests, bfloat16_rounds_to_nearest_even);
}

int main(void)
{
    return check_main("model_batch", add);
}
