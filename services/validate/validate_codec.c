#include "validate_codec.h"

#include "millrace/sobol.h"
#include "millrace/store.h"
#include "millrace/wire.h"

#include <stdio.h>
#include <string.h>

/* ---- Reading --------------------------------------------------------------------------------------------------- */

static struct mr_error corrupt(const struct mr_log_record *record, const char *why)
{
    return mr_error_make(MR_ERROR_FATAL, "corrupt_record", 0, "%s partition %u offset %llu: %s", record->topic,
                         (unsigned)record->partition, (unsigned long long)record->offset, why);
}

static struct mr_error no_room(const struct mr_log_record *record)
{
    return mr_error_make(MR_ERROR_TRANSIENT, "out_of_memory", 0, "a record of %zu bytes", record->value.size);
}

static struct mr_error read_submitted(const struct mr_log_record *record, struct mr_bytes submitted,
                                      struct mr_wire_memory *memory, struct validate_record *ret_record)
{
    ProtobufCAllocator allocator = mr_wire_allocator(memory);
    const Millrace__Batch__V1__Submitted *wire =
        millrace__batch__v1__submitted__unpack(&allocator, submitted.size, submitted.data);
    struct validate_record out = {.submitted = submitted};
    if (wire == NULL) {
        return memory->out ? no_room(record) : corrupt(record, "its submitted bytes are no Submitted");
    }
    if (wire->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED) {
        out.body = VALIDATE_BODY_RUN_STARTED;
        out.start = wire->run_started;
        out.model_id = out.start->model_id;
        out.run_id = out.start->run_id;
    } else if (wire->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH) {
        out.body = VALIDATE_BODY_BATCH;
        out.batch = wire->batch;
        out.model_id = out.batch->model_id;
        out.run_id = out.batch->run_id;
    } else if (wire->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED) {
        out.body = VALIDATE_BODY_RUN_STOPPED;
        out.stop = wire->run_stopped;
        out.model_id = out.stop->model_id;
        out.run_id = out.stop->run_id;
    } else {
        return corrupt(record, "its submitted bytes hold no event");
    }
    if (out.body == VALIDATE_BODY_RUN_STARTED && out.start->spec == NULL) {
        return corrupt(record, "its start has no spec");
    }
    if (!mr_id_valid(mr_bytes_of_text(out.model_id)) || !mr_id_valid(mr_bytes_of_text(out.run_id))) {
        return corrupt(record, "its model or run has no valid id");
    }
    *ret_record = out;
    return mr_ok();
}

struct mr_error validate_codec_read(const struct mr_log_record *record, struct mr_arena *arena,
                                    struct validate_record *ret_record)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Batch__V1__Ingested *wire =
        millrace__batch__v1__ingested__unpack(&allocator, record->value.size, record->value.data);
    if (wire == NULL) {
        return memory.out ? no_room(record) : corrupt(record, "its value is no Ingested");
    }
    return read_submitted(record, mr_wire_view(wire->submitted), &memory, ret_record);
}

struct mr_error validate_codec_fold(const struct mr_log_record *output, struct mr_arena *arena,
                                    struct validate_record *ret_record)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Batch__V1__Validated *wire =
        millrace__batch__v1__validated__unpack(&allocator, output->value.size, output->value.data);
    if (wire == NULL) {
        return memory.out ? no_room(output) : corrupt(output, "its value is no Validated");
    }
    return read_submitted(output, mr_wire_view(wire->submitted), &memory, ret_record);
}

/* ---- Inspecting -------------------------------------------------------------------------------------------------- */

enum validate_policy validate_codec_policy(const struct mr_run_spec *spec)
{
    switch (spec->dtype_policy) {
    case MR_DTYPE_KEEP: return VALIDATE_POLICY_KEEP;
    case MR_DTYPE_CAST_TO_BFLOAT16: return VALIDATE_POLICY_CAST_TO_BFLOAT16;
    }
    mr_unreachable(__func__);
}

static enum validate_dtype dtype_of(const struct mr_batch_tensors *tensors)
{
    enum validate_dtype worst = tensors->count == 0 ? VALIDATE_DTYPE_NONE : VALIDATE_DTYPE_FLOAT32;
    for (uint32_t i = 0; i < tensors->count; i++) {
        const Millrace__Common__V1__Dtype dtype = tensors->tensor[i]->dtype;
        const bool known =
            dtype != MILLRACE__COMMON__V1__DTYPE__DTYPE_UNSPECIFIED &&
            protobuf_c_enum_descriptor_get_value(&millrace__common__v1__dtype__descriptor, (int)dtype) != NULL;
        const enum validate_dtype here = dtype == MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32 ? VALIDATE_DTYPE_FLOAT32
                                         : known                                             ? VALIDATE_DTYPE_OTHER
                                                                                             : VALIDATE_DTYPE_UNKNOWN;
        worst = here > worst ? here : worst;
    }
    return worst;
}

static bool is_claim(const Millrace__Common__V1__Tensor *tensor)
{
    return tensor->content_case == MILLRACE__COMMON__V1__TENSOR__CONTENT_CLAIM;
}

static const char *role_name(Millrace__Batch__V1__TensorRole role)
{
    return role == MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_CONTRACTS  ? "contracts.rows"
           : role == MILLRACE__BATCH__V1__TENSOR_ROLE__TENSOR_ROLE_FEATURES ? "labelled.features"
                                                                            : "labelled.targets";
}

static void describe(struct validate_inspection *out, uint32_t tensor, const char *what)
{
    (void)snprintf(out->finding.detail, sizeof out->finding.detail, "batch.%s.%s", role_name(out->tensors.role[tensor]),
                   what);
}

/* file:/// only: the first of another kind is the one that is described. */
static enum validate_claims claims_of(struct validate_inspection *out)
{
    char path[MR_FILE_PATH_SIZE];
    enum validate_claims claims = VALIDATE_CLAIMS_NONE;
    for (uint32_t i = 0; i < out->tensors.count; i++) {
        const Millrace__Common__V1__Tensor *tensor = out->tensors.tensor[i];
        if (!is_claim(tensor)) {
            continue;
        }
        if (!mr_file_uri_path(tensor->claim->uri, path)) {
            describe(out, i, "claim.uri: expected file:///absolute/path (%XX for a special byte)");
            return VALIDATE_CLAIMS_UNSUPPORTED;
        }
        claims = VALIDATE_CLAIMS_FETCHABLE;
    }
    return claims;
}

/* Of inline data that comes with a checksum; of claims only that theirs is one, for it is checked when they are read.
 */
static bool checksums_match(struct validate_inspection *out)
{
    for (uint32_t i = 0; i < out->tensors.count; i++) {
        const Millrace__Common__V1__Tensor *tensor = out->tensors.tensor[i];
        const struct mr_bytes named = mr_wire_view(is_claim(tensor) ? tensor->claim->sha256 : tensor->sha256);
        if (named.size != MR_SHA256_SIZE) {
            if (named.size != 0 || is_claim(tensor)) {
                describe(out, i, is_claim(tensor) ? "claim.sha256: expected 32 bytes" : "sha256: expected 32 bytes");
                return false;
            }
            continue;
        }
        if (!is_claim(tensor)) {
            const struct mr_sha256 actual = mr_sha256_of(mr_wire_view(tensor->data));
            if (!mr_bytes_equal(named, mr_bytes_of(actual.bytes, sizeof actual.bytes))) {
                describe(out, i, "data: its SHA-256 is not the one in sha256");
                return false;
            }
        }
    }
    return true;
}

static enum validate_shape shape_of(enum mr_batch_verdict verdict)
{
    switch (verdict) {
    case MR_BATCH_GOOD: return VALIDATE_SHAPE_FITS;
    case MR_BATCH_WRONG_KIND: return VALIDATE_SHAPE_OTHER_JOB;
    case MR_BATCH_EMPTY: /* ingest drops empty batches; what is left has no rows, but bytes */
    case MR_BATCH_SHAPE_MISMATCH: return VALIDATE_SHAPE_MISMATCH;
    case MR_BATCH_DTYPE_INCOMPATIBLE: return VALIDATE_SHAPE_DTYPE;
    case MR_BATCH_OVER_LIMIT: return VALIDATE_SHAPE_OVER_LIMIT;
    case MR_BATCH_NON_FINITE:
    case MR_BATCH_OUT_OF_DOMAIN: break; /* of values alone */
    }
    mr_unreachable(__func__);
}

static bool beyond_sequence(const Millrace__Batch__V1__Batch *batch)
{
    if (batch->payload_case != MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE) {
        return false;
    }
    const Millrace__Batch__V1__SobolRange *range = batch->sobol_range;
    return range->start >= MR_SOBOL_INDEX_END || range->count > MR_SOBOL_INDEX_END - range->start;
}

enum validate_values validate_codec_values(const struct mr_run_spec *spec, const struct mr_batch_shape *shape,
                                           struct validate_precision precision,
                                           const struct mr_bytes payloads[MR_BATCH_TENSORS_MAX],
                                           struct mr_batch_finding *ret_finding)
{
    const Millrace__Batch__V1__Precision wire = precision.kind == VALIDATE_PRECISION_CAST_TO_BFLOAT16
                                                    ? MILLRACE__BATCH__V1__PRECISION__PRECISION_CAST_TO_BFLOAT16
                                                    : MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP;
    *ret_finding = mr_batch_check_values(spec, shape, wire, payloads);
    switch (ret_finding->verdict) {
    case MR_BATCH_GOOD: return VALIDATE_VALUES_GOOD;
    case MR_BATCH_NON_FINITE: return VALIDATE_VALUES_NON_FINITE;
    case MR_BATCH_OUT_OF_DOMAIN: return VALIDATE_VALUES_OUT_OF_DOMAIN;
    case MR_BATCH_EMPTY:
    case MR_BATCH_WRONG_KIND:
    case MR_BATCH_SHAPE_MISMATCH:
    case MR_BATCH_DTYPE_INCOMPATIBLE:
    case MR_BATCH_OVER_LIMIT: break; /* the shape was checked before */
    }
    mr_unreachable(__func__);
}

struct validate_place validate_codec_place(const struct mr_batch_finding *finding)
{
    struct validate_place place = {.row = finding->row};
    (void)snprintf(place.field, sizeof place.field, "%s", finding->field);
    return place;
}

/* Inline values are few enough to be judged at once. */
static void inspect_inline(struct validate_inspection *out, const struct mr_run_spec *spec)
{
    struct validate_facts *facts = &out->facts;
    struct mr_bytes payloads[MR_BATCH_TENSORS_MAX] = {{NULL, 0}, {NULL, 0}};
    for (uint32_t i = 0; i < out->tensors.count; i++) {
        payloads[i] = mr_wire_view(out->tensors.tensor[i]->data);
    }
    const struct validate_precision precision =
        validate_precision_decide(facts->of.batch.policy, facts->of.batch.dtype);
    facts->of.batch.values = validate_codec_values(spec, &out->shape, precision, payloads, &out->finding);
    facts->of.batch.place = validate_codec_place(&out->finding);
}

void validate_codec_inspect(const struct validate_record *record, const struct mr_run_spec *spec,
                            const struct mr_batch_limits *limits, struct validate_inspection *ret_inspection)
{
    struct validate_inspection out;
    memset(&out, 0, sizeof out);
    mr_batch_tensors_of(record->batch, &out.tensors);
    out.finding = mr_batch_check_shape(spec, limits, record->batch, &out.shape);
    out.facts = (struct validate_facts){
        .body = VALIDATE_BODY_BATCH,
        .run = VALIDATE_RUN_OPEN,
        .of = {.batch = {.shape = shape_of(out.finding.verdict),
                         .policy = validate_codec_policy(spec),
                         .dtype = dtype_of(&out.tensors),
                         .claims = VALIDATE_CLAIMS_NONE,
                         .values = VALIDATE_VALUES_GOOD}},
    };
    if (out.facts.of.batch.shape == VALIDATE_SHAPE_OVER_LIMIT && beyond_sequence(record->batch)) {
        out.facts.of.batch.shape = VALIDATE_SHAPE_BEYOND_SEQUENCE;
        (void)snprintf(out.finding.detail, sizeof out.finding.detail, "%s",
                       "expected start + count of at most 4294967296");
    }
    if (out.facts.of.batch.shape == VALIDATE_SHAPE_FITS) {
        out.facts.of.batch.claims = claims_of(&out);
        out.facts.of.batch.checksums_match =
            out.facts.of.batch.claims == VALIDATE_CLAIMS_UNSUPPORTED || checksums_match(&out);
        if (out.facts.of.batch.claims == VALIDATE_CLAIMS_NONE && out.facts.of.batch.checksums_match) {
            inspect_inline(&out, spec);
        }
    }
    *ret_inspection = out;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------
 */

void validate_codec_payload_key(const char *model_id, const struct mr_sha256 *hash, char ret_key[VALIDATE_KEY_SIZE])
{
    char text[MR_SHA256_TEXT_SIZE];
    mr_sha256_text(hash, text);
    (void)snprintf(ret_key, VALIDATE_KEY_SIZE, "%s/payloads/%s", model_id, text);
}

struct wire_copy {
    Millrace__Batch__V1__PayloadCopy message;
    char key[VALIDATE_KEY_SIZE];
};

static size_t write_copies(const struct validate_record *record, struct wire_copy copies[MR_BATCH_TENSORS_MAX])
{
    struct mr_batch_tensors tensors;
    size_t count = 0;
    mr_batch_tensors_of(record->batch, &tensors);
    for (uint32_t i = 0; i < tensors.count; i++) {
        if (!is_claim(tensors.tensor[i])) {
            continue;
        }
        const Millrace__Common__V1__ClaimCheck *claim = tensors.tensor[i]->claim;
        struct wire_copy *copy = &copies[count++];
        struct mr_sha256 hash;
        memcpy(hash.bytes, claim->sha256.data, sizeof hash.bytes);
        validate_codec_payload_key(record->model_id, &hash, copy->key);
        millrace__batch__v1__payload_copy__init(&copy->message);
        copy->message.role = tensors.role[i];
        copy->message.key = copy->key;
        copy->message.size = claim->size;
        copy->message.sha256 = claim->sha256;
    }
    return count;
}

static Millrace__Batch__V1__Precision precision_to_wire(const struct validate_record *record,
                                                        struct validate_precision precision)
{
    if (record->body != VALIDATE_BODY_BATCH) {
        return MILLRACE__BATCH__V1__PRECISION__PRECISION_UNSPECIFIED;
    }
    switch (precision.kind) {
    case VALIDATE_PRECISION_KEEP: return MILLRACE__BATCH__V1__PRECISION__PRECISION_KEEP;
    case VALIDATE_PRECISION_CAST_TO_BFLOAT16: return MILLRACE__BATCH__V1__PRECISION__PRECISION_CAST_TO_BFLOAT16;
    case VALIDATE_PRECISION_REJECT_DTYPE: break; /* never written */
    }
    mr_unreachable(__func__);
}

struct mr_error validate_codec_write(const struct mr_stage_stamp *stamp, const struct validate_record *record,
                                     struct validate_precision precision, struct mr_arena *arena,
                                     struct mr_bytes *ret_value)
{
    struct wire_copy copies[MR_BATCH_TENSORS_MAX];
    Millrace__Batch__V1__PayloadCopy *pointers[MR_BATCH_TENSORS_MAX];
    struct mr_wire_stamp wire_stamp;
    Millrace__Batch__V1__Validated wire;
    millrace__batch__v1__validated__init(&wire);
    mr_wire_stamp_init(&wire_stamp, stamp);
    wire.stamp = &wire_stamp.message;
    wire.submitted = mr_wire_lend(record->submitted);
    wire.precision = precision_to_wire(record, precision);
    wire.n_copies = record->body == VALIDATE_BODY_BATCH ? write_copies(record, copies) : 0;
    for (size_t i = 0; i < wire.n_copies; i++) {
        pointers[i] = &copies[i].message;
    }
    wire.copies = pointers;
    return mr_wire_pack(&wire.base, arena, ret_value);
}
