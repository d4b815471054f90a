#include "stage_gpu_codec.h"

#include "millrace/wire.h"

#include <string.h>

static struct stage_gpu_record unreadable(const char *flaw)
{
    return (struct stage_gpu_record){.body = STAGE_GPU_BODY_UNREADABLE, .flaw = flaw};
}

/* Floats per row; false: no such tensor can be. */
static bool row_width_of(const Millrace__Common__V1__Tensor *tensor, uint64_t *ret_width)
{
    uint64_t width = 1;
    for (size_t i = 1; i < tensor->n_shape; i++) {
        if (__builtin_mul_overflow(width, tensor->shape[i], &width)) {
            return false;
        }
    }
    *ret_width = width;
    return true;
}

/* The shape as the record states it; that it fits the run's spec was validate's to judge. NULL: it is sound. */
static const char *read_shape(const struct mr_batch_tensors *tensors, struct mr_batch_shape *ret_shape)
{
    struct mr_batch_shape shape = {.tensors = tensors->count};
    for (uint32_t i = 0; i < tensors->count; i++) {
        const Millrace__Common__V1__Tensor *tensor = tensors->tensor[i];
        uint64_t bytes = 0;
        if (tensor->dtype != MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32 || tensor->n_shape == 0) {
            return "a tensor is not float32 rows";
        }
        if (!row_width_of(tensor, &shape.row_width[i]) ||
            __builtin_mul_overflow(shape.row_width[i], tensor->shape[0], &bytes) ||
            __builtin_mul_overflow(bytes, sizeof(float), &bytes) ||
            __builtin_add_overflow(shape.packed_bytes, bytes, &shape.packed_bytes)) {
            return "a tensor's shape overflows";
        }
        if (i > 0 && tensor->shape[0] != shape.rows) {
            return "features and targets differ in rows";
        }
        shape.rows = tensor->shape[0];
        shape.tensor_bytes[i] = bytes;
    }
    *ret_shape = shape;
    return NULL;
}

static const char *read_copy(const Millrace__Batch__V1__PayloadCopy *copy, Millrace__Batch__V1__TensorRole role,
                             uint64_t bytes, struct stage_gpu_source *ret_source)
{
    if (copy->role != role) {
        return "a payload copy has another tensor's role";
    }
    if (copy->size != bytes || copy->sha256.len != MR_SHA256_SIZE || copy->key[0] == '\0') {
        return "a payload copy does not fit its tensor";
    }
    *ret_source = (struct stage_gpu_source){.in_store = true, .key = copy->key, .size = copy->size};
    memcpy(ret_source->sha256.bytes, copy->sha256.data, MR_SHA256_SIZE);
    return NULL;
}

/* Copies stand in the order of the tensors that were claim-checked. */
static const char *read_sources(const Millrace__Batch__V1__Validated *validated, const struct mr_batch_tensors *tensors,
                                struct stage_gpu_record *record)
{
    size_t copies = 0;
    for (uint32_t i = 0; i < tensors->count; i++) {
        const Millrace__Common__V1__Tensor *tensor = tensors->tensor[i];
        const uint64_t bytes = record->shape.tensor_bytes[i];
        if (tensor->content_case == MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA) {
            record->source[i] =
                (struct stage_gpu_source){.inline_bytes = mr_wire_view(tensor->data), .size = tensor->data.len};
            if (tensor->data.len != bytes) {
                return "a tensor's bytes do not fill its shape";
            }
            continue;
        }
        if (tensor->content_case != MILLRACE__COMMON__V1__TENSOR__CONTENT_CLAIM || copies == validated->n_copies) {
            return "a tensor has neither bytes nor a payload copy";
        }
        const char *flaw = read_copy(validated->copies[copies++], tensors->role[i], bytes, &record->source[i]);
        if (flaw != NULL) {
            return flaw;
        }
        record->in_store = true;
    }
    return copies == validated->n_copies ? NULL : "there are more payload copies than tensors";
}

static struct stage_gpu_record read_batch(const Millrace__Batch__V1__Validated *validated,
                                          const Millrace__Batch__V1__Batch *batch)
{
    struct stage_gpu_record record = {.body = STAGE_GPU_BODY_BARE,
                                      .run_id = batch->run_id,
                                      .batch_id = batch->batch_id,
                                      .precision = validated->precision};
    struct mr_batch_tensors tensors;
    mr_batch_tensors_of(batch, &tensors);
    if (tensors.count == 0) {
        return batch->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE
                   ? record
                   : unreadable("a batch has no payload that this build knows");
    }
    if (batch->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED && tensors.count != MR_BATCH_TENSORS_MAX) {
        return unreadable("a labelled batch lacks features or targets");
    }
    if (validated->precision != MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP &&
        validated->precision != MILLRACE__BATCH__V1__PRECISION__PRECISION_CAST_TO_BFLOAT16) {
        return unreadable("the precision is none that this build knows");
    }
    record.body = STAGE_GPU_BODY_TENSORS;
    const char *flaw = read_shape(&tensors, &record.shape);
    flaw = flaw != NULL ? flaw : read_sources(validated, &tensors, &record);
    return flaw != NULL ? unreadable(flaw) : record;
}

static struct stage_gpu_record read_event(const Millrace__Batch__V1__Validated *validated,
                                          const Millrace__Batch__V1__Submitted *submitted)
{
    switch (submitted->event_case) {
    case MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH: return read_batch(validated, submitted->batch);
    case MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED:
    case MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED:
        return (struct stage_gpu_record){.body = STAGE_GPU_BODY_BARE};
    case MILLRACE__BATCH__V1__SUBMITTED__EVENT__NOT_SET:
    case _MILLRACE__BATCH__V1__SUBMITTED__EVENT__CASE_IS_INT_SIZE: break;
    }
    return unreadable("what it holds is no event that this build knows");
}

struct mr_error stage_gpu_codec_read(struct mr_bytes validated, struct mr_arena *memory,
                                     struct stage_gpu_record *ret_record)
{
    struct mr_wire_memory wire = {.arena = memory};
    ProtobufCAllocator allocator = mr_wire_allocator(&wire);
    const Millrace__Batch__V1__Validated *outer =
        millrace__batch__v1__validated__unpack(&allocator, validated.size, validated.data);
    const Millrace__Batch__V1__Submitted *inner =
        outer == NULL ? NULL
                      : millrace__batch__v1__submitted__unpack(&allocator, outer->submitted.len, outer->submitted.data);
    if (wire.out) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "reading a validated record of %zu bytes",
                             validated.size);
    }
    *ret_record = inner != NULL   ? read_event(outer, inner)
                  : outer != NULL ? unreadable("what it holds is no Submitted")
                                  : unreadable("it is no Validated");
    return mr_ok();
}

struct mr_error stage_gpu_codec_write_inline(const struct mr_stage_stamp *stamp, uint64_t validated_offset,
                                             struct mr_bytes validated, struct mr_arena *memory,
                                             struct mr_bytes *ret_value)
{
    struct mr_wire_stamp wire;
    Millrace__Batch__V1__Staged staged;
    millrace__batch__v1__staged__init(&staged);
    mr_wire_stamp_init(&wire, stamp);
    staged.stamp = &wire.message;
    staged.validated_offset = validated_offset;
    staged.body_case = MILLRACE__BATCH__V1__STAGED__BODY_VALIDATED;
    staged.validated = mr_wire_lend(validated);
    return mr_wire_pack(&staged.base, memory, ret_value);
}

struct mr_error stage_gpu_codec_write_leased(const struct mr_stage_stamp *stamp, uint64_t validated_offset,
                                             const struct stage_gpu_record *record, const struct mr_lease *lease,
                                             struct mr_arena *memory, struct mr_bytes *ret_value)
{
    struct mr_wire_stamp wire;
    Millrace__Batch__V1__Staged staged;
    Millrace__Batch__V1__Leased leased;
    Millrace__Batch__V1__Lease place;
    uint64_t widths[MR_BATCH_TENSORS_MAX];
    millrace__batch__v1__staged__init(&staged);
    millrace__batch__v1__leased__init(&leased);
    millrace__batch__v1__lease__init(&place);
    mr_wire_stamp_init(&wire, stamp);
    staged.stamp = &wire.message;
    staged.validated_offset = validated_offset;
    staged.body_case = MILLRACE__BATCH__V1__STAGED__BODY_LEASED;
    staged.leased = &leased;
    leased.run_id = mr_wire_text(record->run_id);
    leased.batch_id = mr_wire_text(record->batch_id);
    leased.rows = record->shape.rows;
    leased.n_row_widths = record->shape.tensors;
    leased.row_widths = widths;
    memcpy(widths, record->shape.row_width, sizeof widths);
    if (lease != NULL) {
        place.epoch = mr_wire_lend(mr_bytes_of(lease->epoch.bytes, MR_EPOCH_SIZE));
        place.block = lease->block;
        place.generation = lease->generation;
        place.offset = lease->offset;
        place.length = lease->length;
        place.checksum = lease->checksum;
        leased.lease = &place;
    }
    return mr_wire_pack(&staged.base, memory, ret_value);
}
