/* Any bytes that may stand in batches.ingested are read and inspected, or refused by name. Nesting is ingest's to
 * bound, so inputs stay small enough for the stack. */
#include "validate_codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inspect(const struct validate_record *record, enum mr_job_kind job)
{
    struct mr_run_spec spec;
    struct validate_inspection inspection;
    const struct mr_batch_limits limits = {.max_rows = 100000, .max_payload_bytes = 1 << 20};
    memset(&spec, 0, sizeof spec);
    spec.job = job;
    spec.dtype_policy = MR_DTYPE_CAST_TO_BFLOAT16;
    if (job == MR_JOB_LABELLED) {
        spec.labelled = (struct mr_labelled_job){2, 1};
    } else {
        for (int i = 0; i < MR_CONTRACT_FIELDS; i++) {
            spec.pricing.domain[i] = (struct mr_bound){0, 100};
        }
    }
    validate_codec_inspect(record, &spec, &limits, &inspection);
    MR_ASSERT(inspection.facts.of.batch.shape >= 1 && inspection.facts.of.batch.shape <= VALIDATE_SHAPE_LAST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_arena arena;
    const struct mr_log_record record = {.topic = "t", .has_value = true, .value = mr_bytes_of(data, size)};
    struct validate_record read;
    mr_arena_reset(&arena);
    if (size > 4096 || mr_failed(validate_codec_read(&record, &arena, &read))) {
        return 0;
    }
    if (read.body == VALIDATE_BODY_BATCH) {
        inspect(&read, MR_JOB_PRICING);
        inspect(&read, MR_JOB_LABELLED);
    }
    return 0;
}
