/* Any bytes are facts: reading never fails for them, and what is accepted can be written and folded again. */
#include "ingest_codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_arena arena;
    const struct ingest_limits limits = {.max_record_bytes = 655360, .max_inline_bytes = 524288, .partitions = 4};
    const struct mr_stage_stamp stamp = {.model_id = "m"};
    struct mr_log_record record = {.topic = "t", .has_value = true, .value = mr_bytes_of(data, size)};
    struct ingest_record read, folded;
    mr_arena_reset(&arena);
    MR_ASSERT(!mr_failed(ingest_codec_read(&record, &limits, &arena, &read)));
    MR_ASSERT(read.facts.body >= 1 && read.facts.body <= INGEST_BODY_LAST);
    if (read.facts.body >= INGEST_BODY_RUN_STARTED && read.facts.ids_valid) {
        MR_ASSERT(!mr_failed(ingest_codec_write(&stamp, &record, "", &arena, &record.value)));
        MR_ASSERT(!mr_failed(ingest_codec_fold(&record, &arena, &folded)));
        MR_ASSERT(strcmp(read.run_id, folded.run_id) == 0 && read.facts.body == folded.facts.body);
    }
    return 0;
}
