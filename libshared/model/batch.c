/* Batches from wire to packed float32 rows, and every check of their content. */
#include "millrace/batch.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "millrace/profile.h"
#include "millrace/sobol.h"

const char *mr_batch_verdict_text(enum mr_batch_verdict verdict)
{
    switch (verdict) {
    case MR_BATCH_GOOD: return "good";
    case MR_BATCH_EMPTY: return "empty";
    case MR_BATCH_WRONG_KIND: return "wrong_kind";
    case MR_BATCH_SHAPE_MISMATCH: return "shape_mismatch";
    case MR_BATCH_DTYPE_INCOMPATIBLE: return "dtype_incompatible";
    case MR_BATCH_OVER_LIMIT: return "over_limit";
    case MR_BATCH_NON_FINITE: return "non_finite";
    case MR_BATCH_OUT_OF_DOMAIN: return "out_of_domain";
    }
    mr_unreachable(__func__);
}

static struct mr_batch_finding found(enum mr_batch_verdict verdict, const char *field, const char *format, ...)
    MR_PRINTF(3, 4);
static struct mr_batch_finding found(enum mr_batch_verdict verdict, const char *field, const char *format, ...)
{
    struct mr_batch_finding finding;
    va_list arguments;
    memset(&finding, 0, sizeof finding);
    finding.verdict = verdict;
    snprintf(finding.field, sizeof finding.field, "%s", field);
    va_start(arguments, format);
    vsnprintf(finding.detail, sizeof finding.detail, format, arguments);
    va_end(arguments);
    return finding;
}

static struct mr_batch_finding good(void)
{
    return found(MR_BATCH_GOOD, "", "%s", "");
}

/* ---- Tensors --------------------------------------------------------------------------------------------- */

static void add_tensor(struct mr_batch_tensors *tensors, const Millrace__Common__V1__Tensor *tensor,
                       Millrace__Batch__V1__TensorRole role)
{
    if (tensor != NULL) {
        tensors->tensor[tensors->count] = tensor;
        tensors->role[tensors->count++] = role;
    }
}

void mr_batch_tensors_of(const Millrace__Batch__V1__Batch *wire, struct mr_batch_tensors *ret_tensors)
{
    memset(ret_tensors, 0, sizeof *ret_tensors);
    switch (wire->payload_case) {
    case MILLRACE__BATCH__V1__BATCH__PAYLOAD_CONTRACTS:
        add_tensor(ret_tensors, wire->contracts->rows, MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_CONTRACTS);
        return;
    case MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED:
        add_tensor(ret_tensors, wire->labelled->features, MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_FEATURES);
        add_tensor(ret_tensors, wire->labelled->targets, MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_TARGETS);
        return;
    case MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE:
    case MILLRACE__BATCH__V1__BATCH__PAYLOAD__NOT_SET:
    case _MILLRACE__BATCH__V1__BATCH__PAYLOAD__CASE_IS_INT_SIZE: return;
    }
    mr_unreachable(__func__);
}

static const char *role_text(Millrace__Batch__V1__TensorRole role)
{
    switch (role) {
    case MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_CONTRACTS: return "contracts";
    case MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_FEATURES: return "features";
    case MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_TARGETS: return "targets";
    case MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_UNSPECIFIED:
    case _MILLRACE__BATCH__V1__TENSOR_ROLE_IS_INT_SIZE: break;
    }
    mr_unreachable(__func__);
}

/* What a tensor of a role must be: (rows, last) or (rows, last, 2). */
struct wanted {
    const char *role;
    size_t dimensions;
    uint64_t second;
};

static struct wanted wanted_of(const struct mr_run_spec *spec, Millrace__Batch__V1__TensorRole role)
{
    switch (role) {
    case MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_CONTRACTS:
        return (struct wanted){role_text(role), 2, MR_CONTRACT_FIELDS};
    case MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_FEATURES:
        return (struct wanted){role_text(role), 2, spec->labelled.features};
    case MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_TARGETS:
        return (struct wanted){role_text(role), 3, spec->labelled.targets};
    case MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_UNSPECIFIED:
    case _MILLRACE__BATCH__V1__TENSOR_ROLE_IS_INT_SIZE: break;
    }
    mr_unreachable(__func__);
}

static uint64_t row_width(const struct wanted *wanted)
{
    return wanted->dimensions == 3 ? wanted->second * 2 : wanted->second;
}

static uint64_t smaller_limit(uint64_t a, uint64_t b)
{
    return a != 0 && (b == 0 || a < b) ? a : b;
}

static struct mr_batch_finding check_rows(const struct mr_run_spec *spec, const struct mr_batch_limits *limits,
                                          uint64_t rows, const char *field)
{
    const uint64_t limit = smaller_limit(spec->max_rows, limits->max_rows);
    if (rows == 0) {
        return found(MR_BATCH_EMPTY, field, "no rows");
    }
    if (limit != 0 && rows > limit) {
        return found(MR_BATCH_OVER_LIMIT, field, "%llu rows, at most %llu are allowed", (unsigned long long)rows,
                     (unsigned long long)limit);
    }
    return good();
}

static const char *dtype_text(Millrace__Common__V1__Dtype dtype)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&millrace__common__v1__dtype__descriptor, (int)dtype);
    return value == NULL ? "an unknown dtype" : value->name;
}

/* The bytes that a tensor says it has, inline or claimed; false when it has neither. */
static bool content_size(const Millrace__Common__V1__Tensor *tensor, uint64_t *ret_size)
{
    switch (tensor->content_case) {
    case MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA: *ret_size = tensor->data.len; return true;
    case MILLRACE__COMMON__V1__TENSOR__CONTENT_CLAIM: *ret_size = tensor->claim->size; return true;
    case MILLRACE__COMMON__V1__TENSOR__CONTENT__NOT_SET:
    case _MILLRACE__COMMON__V1__TENSOR__CONTENT__CASE_IS_INT_SIZE: break;
    }
    return false;
}

static struct mr_batch_finding check_content(const struct mr_run_spec *spec, const struct mr_batch_limits *limits,
                                             const Millrace__Common__V1__Tensor *tensor, const struct wanted *wanted)
{
    const uint64_t limit = smaller_limit(spec->max_payload_bytes, limits->max_payload_bytes);
    const uint64_t width = row_width(wanted) * sizeof(float);
    uint64_t size = 0;
    /* An empty tensor may have no content at all. */
    if (!content_size(tensor, &size) && tensor->shape[0] != 0) {
        return found(MR_BATCH_SHAPE_MISMATCH, wanted->role, "neither data nor a claim check");
    }
    if (limit != 0 && size > limit) {
        return found(MR_BATCH_OVER_LIMIT, wanted->role, "%llu bytes, at most %llu are allowed",
                     (unsigned long long)size, (unsigned long long)limit);
    }
    if (tensor->shape[0] > UINT64_MAX / width || tensor->shape[0] * width != size) {
        return found(MR_BATCH_SHAPE_MISMATCH, wanted->role, "%llu bytes do not make %llu rows of %llu",
                     (unsigned long long)size, (unsigned long long)tensor->shape[0], (unsigned long long)width);
    }
    return good();
}

static struct mr_batch_finding check_tensor(const struct mr_run_spec *spec, const struct mr_batch_limits *limits,
                                            const Millrace__Common__V1__Tensor *tensor, const struct wanted *wanted)
{
    char field[MR_BATCH_FIELD_SIZE];
    if (tensor->dtype != MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32) {
        snprintf(field, sizeof field, "%s.dtype", wanted->role);
        return found(MR_BATCH_DTYPE_INCOMPATIBLE, field, "%s, expected DTYPE_FLOAT32", dtype_text(tensor->dtype));
    }
    snprintf(field, sizeof field, "%s.shape", wanted->role);
    if (tensor->n_shape != wanted->dimensions) {
        return found(MR_BATCH_SHAPE_MISMATCH, field, "%zu dimensions, expected %zu", tensor->n_shape,
                     wanted->dimensions);
    }
    if (tensor->shape[1] != wanted->second || (wanted->dimensions == 3 && tensor->shape[2] != 2)) {
        return found(MR_BATCH_SHAPE_MISMATCH, field, "expected (rows, %llu%s)", (unsigned long long)wanted->second,
                     wanted->dimensions == 3 ? ", 2" : "");
    }
    return check_content(spec, limits, tensor, wanted);
}

/* ---- Shape ----------------------------------------------------------------------------------------------- */

static struct mr_batch_finding check_sobol(const struct mr_run_spec *spec, const struct mr_batch_limits *limits,
                                           const Millrace__Batch__V1__SobolRange *range,
                                           struct mr_batch_shape *ret_shape)
{
    const struct mr_batch_finding rows = check_rows(spec, limits, range->count, "sobol_range.count");
    if (rows.verdict != MR_BATCH_GOOD) {
        return rows;
    }
    if (range->start >= MR_SOBOL_INDEX_END || range->count > MR_SOBOL_INDEX_END - range->start) {
        return found(MR_BATCH_OVER_LIMIT, "sobol_range", "the sequence ends at index 4294967295");
    }
    memset(ret_shape, 0, sizeof *ret_shape);
    ret_shape->kind = MR_BATCH_SOBOL;
    ret_shape->rows = range->count;
    ret_shape->sobol_start = range->start;
    return good();
}

static struct mr_batch_finding check_tensors(const struct mr_run_spec *spec, const struct mr_batch_limits *limits,
                                             const Millrace__Batch__V1__Batch *wire, enum mr_batch_kind kind,
                                             struct mr_batch_shape *ret_shape)
{
    struct mr_batch_tensors tensors;
    struct mr_batch_shape shape;
    mr_batch_tensors_of(wire, &tensors);
    memset(&shape, 0, sizeof shape);
    if (tensors.count != (kind == MR_BATCH_LABELLED ? 2u : 1u)) {
        return found(MR_BATCH_SHAPE_MISMATCH, "payload", "a tensor is missing");
    }
    for (uint32_t i = 0; i < tensors.count; i++) {
        const struct wanted wanted = wanted_of(spec, tensors.role[i]);
        const struct mr_batch_finding finding = check_tensor(spec, limits, tensors.tensor[i], &wanted);
        if (finding.verdict != MR_BATCH_GOOD) {
            return finding;
        }
        shape.row_width[i] = row_width(&wanted);
        shape.tensor_bytes[i] = tensors.tensor[i]->shape[0] * shape.row_width[i] * sizeof(float);
        shape.packed_bytes += shape.tensor_bytes[i];
    }
    shape.kind = kind;
    shape.tensors = tensors.count;
    shape.rows = tensors.tensor[0]->shape[0];
    if (tensors.count == 2 && tensors.tensor[1]->shape[0] != shape.rows) {
        return found(MR_BATCH_SHAPE_MISMATCH, "targets.shape", "%llu rows, but features have %llu",
                     (unsigned long long)tensors.tensor[1]->shape[0], (unsigned long long)shape.rows);
    }
    const struct mr_batch_finding rows = check_rows(spec, limits, shape.rows, "rows");
    if (rows.verdict == MR_BATCH_GOOD) {
        *ret_shape = shape;
    }
    return rows;
}

struct mr_batch_finding mr_batch_check_shape(const struct mr_run_spec *spec, const struct mr_batch_limits *limits,
                                             const Millrace__Batch__V1__Batch *wire, struct mr_batch_shape *ret_shape)
{
    const bool pricing = spec->job == MR_JOB_PRICING;
    switch (wire->payload_case) {
    case MILLRACE__BATCH__V1__BATCH__PAYLOAD_CONTRACTS:
        return pricing ? check_tensors(spec, limits, wire, MR_BATCH_CONTRACTS, ret_shape)
                       : found(MR_BATCH_WRONG_KIND, "contracts", "this run's job is labelled");
    case MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE:
        return pricing ? check_sobol(spec, limits, wire->sobol_range, ret_shape)
                       : found(MR_BATCH_WRONG_KIND, "sobol_range", "this run's job is labelled");
    case MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED:
        return pricing ? found(MR_BATCH_WRONG_KIND, "labelled", "this run's job is pricing")
                       : check_tensors(spec, limits, wire, MR_BATCH_LABELLED, ret_shape);
    case MILLRACE__BATCH__V1__BATCH__PAYLOAD__NOT_SET:
    case _MILLRACE__BATCH__V1__BATCH__PAYLOAD__CASE_IS_INT_SIZE: break;
    }
    return found(MR_BATCH_WRONG_KIND, "payload", "a batch needs a payload that this schema knows");
}

/* ---- Values ---------------------------------------------------------------------------------------------- */

float mr_bfloat16_round(float x)
{
    const uint32_t bits = mr_bits_of(x);
    if (x != x) {
        return x;
    }
    return mr_float_of((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

static float value_at(const uint8_t *data, uint64_t index)
{
    const uint8_t *at = data + index * 4;
    return mr_float_of((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
}

/* Targets are never cast. */
static bool is_cast(uint32_t tensor, Millrace__Batch__V1__Precision precision)
{
    return tensor == 0 && precision == MILLRACE__BATCH__V1__PRECISION__PRECISION_CAST_TO_BFLOAT16;
}

static void name_value(const struct mr_batch_shape *shape, uint32_t tensor, uint64_t column,
                       char ret_field[MR_BATCH_FIELD_SIZE])
{
    if (shape->kind == MR_BATCH_CONTRACTS) {
        snprintf(ret_field, MR_BATCH_FIELD_SIZE, "%s", mr_contract_field_text((enum mr_contract_field)column));
    } else if (tensor == 0) {
        snprintf(ret_field, MR_BATCH_FIELD_SIZE, "features[%u]", (unsigned)column);
    } else {
        snprintf(ret_field, MR_BATCH_FIELD_SIZE, "targets[%u].%s", (unsigned)(column / 2),
                 column % 2 == 0 ? "re" : "im");
    }
}

static struct mr_batch_finding at_value(enum mr_batch_verdict verdict, const struct mr_batch_shape *shape,
                                        uint32_t tensor, uint64_t index, const char *why, float value)
{
    const uint64_t column = index % shape->row_width[tensor];
    char field[MR_BATCH_FIELD_SIZE];
    name_value(shape, tensor, column, field);
    struct mr_batch_finding finding = found(verdict, field, "%.9g %s", (double)value, why);
    finding.row = index / shape->row_width[tensor];
    return finding;
}

static struct mr_batch_finding check_domain(const struct mr_run_spec *spec, const struct mr_batch_shape *shape,
                                            uint64_t index, float value)
{
    const struct mr_bound bound = spec->pricing.domain[index % MR_CONTRACT_FIELDS];
    if (value >= bound.lower && value <= bound.upper) {
        return good();
    }
    char why[64];
    snprintf(why, sizeof why, "is not in [%.9g, %.9g]", (double)bound.lower, (double)bound.upper);
    return at_value(MR_BATCH_OUT_OF_DOMAIN, shape, 0, index, why, value);
}

static struct mr_batch_finding check_payload(const struct mr_run_spec *spec, const struct mr_batch_shape *shape,
                                             uint32_t tensor, bool cast, struct mr_bytes payload)
{
    if (payload.size != shape->tensor_bytes[tensor]) {
        return found(MR_BATCH_SHAPE_MISMATCH, "payload", "%zu bytes, expected %llu", payload.size,
                     (unsigned long long)shape->tensor_bytes[tensor]);
    }
    for (uint64_t i = 0; i < payload.size / sizeof(float); i++) {
        const float value = value_at(payload.data, i);
        if (!isfinite(value)) {
            return at_value(MR_BATCH_NON_FINITE, shape, tensor, i, "is not finite", value);
        }
        if (cast && !isfinite(mr_bfloat16_round(value))) {
            return at_value(MR_BATCH_NON_FINITE, shape, tensor, i, "is not finite as bfloat16", value);
        }
        if (shape->kind == MR_BATCH_CONTRACTS) {
            const struct mr_batch_finding finding = check_domain(spec, shape, i, value);
            if (finding.verdict != MR_BATCH_GOOD) {
                return finding;
            }
        }
    }
    return good();
}

struct mr_batch_finding mr_batch_check_values(const struct mr_run_spec *spec, const struct mr_batch_shape *shape,
                                              Millrace__Batch__V1__Precision precision,
                                              const struct mr_bytes payloads[MR_BATCH_TENSORS_MAX])
{
    for (uint32_t i = 0; i < shape->tensors; i++) {
        const struct mr_batch_finding finding = check_payload(spec, shape, i, is_cast(i, precision), payloads[i]);
        if (finding.verdict != MR_BATCH_GOOD) {
            return finding;
        }
    }
    return good();
}

/* ---- Packing --------------------------------------------------------------------------------------------- */

struct mr_error mr_batch_pack(const struct mr_batch_shape *shape, Millrace__Batch__V1__Precision precision,
                              const struct mr_bytes payloads[MR_BATCH_TENSORS_MAX], void *ret_packed)
{
    uint8_t *to = ret_packed;
    for (uint32_t i = 0; i < shape->tensors; i++) {
        if (payloads[i].size != shape->tensor_bytes[i]) {
            return mr_error_make(MR_ERROR_REJECT, "payload_size", 0, "tensor %u has %zu bytes, its shape needs %llu",
                                 (unsigned)i, payloads[i].size, (unsigned long long)shape->tensor_bytes[i]);
        }
    }
    for (uint32_t i = 0; i < shape->tensors; i++) {
        memcpy(to, payloads[i].data, payloads[i].size);
        if (is_cast(i, precision)) {
            for (size_t at = 0; at < payloads[i].size; at += sizeof(float)) {
                const float rounded = mr_bfloat16_round(value_at(to + at, 0));
                memcpy(to + at, &rounded, sizeof rounded);
            }
        }
        to += payloads[i].size;
    }
    return mr_ok();
}

struct mr_error mr_batch_of_packed(const struct mr_run_spec *spec, uint64_t rows, struct mr_bytes packed,
                                   struct mr_batch *ret_batch)
{
    const bool pricing = spec->job == MR_JOB_PRICING;
    const uint64_t width =
        pricing ? MR_CONTRACT_FIELDS : spec->labelled.features + 2 * (uint64_t)spec->labelled.targets;
    const float *floats = (const float *)(const void *)packed.data;
    if (rows == 0 || rows > UINT64_MAX / (width * sizeof(float)) || packed.size != rows * width * sizeof(float)) {
        return mr_error_make(MR_ERROR_REJECT, "payload_size", 0, "%zu bytes do not hold %llu rows of %llu floats",
                             packed.size, (unsigned long long)rows, (unsigned long long)width);
    }
    memset(ret_batch, 0, sizeof *ret_batch);
    ret_batch->rows = rows;
    if (pricing) {
        ret_batch->kind = MR_BATCH_CONTRACTS;
        ret_batch->contracts = floats;
    } else {
        ret_batch->kind = MR_BATCH_LABELLED;
        ret_batch->features = floats;
        ret_batch->targets = floats + rows * spec->labelled.features;
    }
    return mr_ok();
}

struct mr_batch mr_batch_of_sobol(uint64_t start, uint64_t count)
{
    struct mr_batch batch;
    memset(&batch, 0, sizeof batch);
    batch.kind = MR_BATCH_SOBOL;
    batch.rows = count;
    batch.sobol_start = start;
    return batch;
}
