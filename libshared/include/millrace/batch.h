/*
 * A batch's tensors, from wire to engine. What the arena holds and what train re-reads are packed by one function, so
 * they have the same bits: contiguous little-endian float32, contracts (rows, 6), or features (rows, F) and then
 * targets (rows, T, 2), nothing between them.
 */
#ifndef MR_BATCH_H
#define MR_BATCH_H

#include "millrace/base.h"
#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/spec.h"

enum mr_batch_kind { MR_BATCH_CONTRACTS = 1, MR_BATCH_SOBOL, MR_BATCH_LABELLED };
enum { MR_BATCH_TENSORS_MAX = 2, MR_BATCH_FIELD_SIZE = 32, MR_BATCH_DETAIL_SIZE = 128 };

/* The tensors of a batch in their order (contracts; or features, targets); none for a Sobol range. */
struct mr_batch_tensors {
    uint32_t count;
    const Millrace__Common__V1__Tensor *tensor[MR_BATCH_TENSORS_MAX]; /* live as long as the wire batch */
    Millrace__Batch__V1__TensorRole role[MR_BATCH_TENSORS_MAX];
};
void mr_batch_tensors_of(const Millrace__Batch__V1__Batch *wire, struct mr_batch_tensors *ret_tensors);

/* What a batch claims to be, once its claims fit the spec. */
struct mr_batch_shape {
    enum mr_batch_kind kind;
    uint64_t rows;
    uint32_t tensors;
    uint64_t row_width[MR_BATCH_TENSORS_MAX];    /* floats per row */
    uint64_t tensor_bytes[MR_BATCH_TENSORS_MAX]; /* of the payload and of its packed form: they are equal */
    uint64_t packed_bytes;                       /* of all tensors; 0 for a Sobol range */
    uint64_t sobol_start;
};

enum mr_batch_verdict {
    MR_BATCH_GOOD = 1,
    MR_BATCH_EMPTY,              /* no rows: not a failure */
    MR_BATCH_WRONG_KIND,         /* not a payload of this run's job, or none at all */
    MR_BATCH_SHAPE_MISMATCH,     /* dimensions, or bytes that do not fill them */
    MR_BATCH_DTYPE_INCOMPATIBLE, /* not float32 */
    MR_BATCH_OVER_LIMIT,         /* rows or bytes over the run's limit or the service's */
    MR_BATCH_NON_FINITE,
    MR_BATCH_OUT_OF_DOMAIN,
    MR_BATCH_VERDICT_LAST = MR_BATCH_OUT_OF_DOMAIN,
};
const char *mr_batch_verdict_text(enum mr_batch_verdict verdict);

/* Which, where and why. `row` and `field` are set for values; `detail` always says what was expected and found. */
struct mr_batch_finding {
    enum mr_batch_verdict verdict;
    uint64_t row;
    char field[MR_BATCH_FIELD_SIZE]; /* "K", "features[3]", "targets[0].re", "contracts.shape" */
    char detail[MR_BATCH_DETAIL_SIZE];
};

/* The service's own limits; where the spec has one too, the smaller holds. */
struct mr_batch_limits {
    uint64_t max_rows, max_payload_bytes;
};

/* Judges kind, dtype, shape, declared sizes (of inline data and of claim checks) and limits, without payload bytes.
 * `ret_shape` is set when the verdict is GOOD. */
struct mr_batch_finding mr_batch_check_shape(const struct mr_run_spec *spec, const struct mr_batch_limits *limits,
                                             const Millrace__Batch__V1__Batch *wire, struct mr_batch_shape *ret_shape);

/* Judges every value: finite (also after the cast, if there is one), and contracts inside the domain, row by row, as
 * float32 against float32. `payloads` holds the bytes of each tensor, inline or fetched, of the sizes in `shape`. */
struct mr_batch_finding mr_batch_check_values(const struct mr_run_spec *spec, const struct mr_batch_shape *shape,
                                              Millrace__Batch__V1__Precision precision,
                                              const struct mr_bytes payloads[MR_BATCH_TENSORS_MAX]);

/* Writes exactly shape->packed_bytes. With PRECISION_CAST_TO_BFLOAT16 contracts and features are rounded to bfloat16,
 * to nearest even, and kept as float32; targets never are. REJECT "payload_size" if a payload's size is not as in
 * `shape`; nothing is then written. */
MR_MUST_USE struct mr_error mr_batch_pack(const struct mr_batch_shape *shape, Millrace__Batch__V1__Precision precision,
                                          const struct mr_bytes payloads[MR_BATCH_TENSORS_MAX], void *ret_packed);

/* What an engine takes: a view of packed rows, or a range. */
struct mr_batch {
    enum mr_batch_kind kind;
    uint64_t rows;
    const float *contracts; /* (rows, 6) */
    const float *features;  /* (rows, F) */
    const float *targets;   /* (rows, T, 2) */
    uint64_t sobol_start;
};

/* A view of packed bytes; they must outlive it and be aligned to 4. The kind follows from the spec's job. REJECT
 * "payload_size" when `packed` does not hold exactly `rows` rows. */
MR_MUST_USE struct mr_error mr_batch_of_packed(const struct mr_run_spec *spec, uint64_t rows, struct mr_bytes packed,
                                               struct mr_batch *ret_batch);
struct mr_batch mr_batch_of_sobol(uint64_t start, uint64_t count);

/* x to bfloat16, nearest even, as float32. NaN stays NaN. */
float mr_bfloat16_round(float x);

#endif
