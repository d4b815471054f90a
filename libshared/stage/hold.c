/* Verdicts that wait until what the lane has sent elsewhere is acknowledged. */
#include "stage_internal.h"

#include <string.h>

enum sending mr_verdict_sends(const struct mr_verdict *verdict)
{
    switch (verdict->kind) {
    case MR_VERDICT_EMIT: return verdict->output_count > 0 ? SENDING_OUTPUTS : SENDING_NOTHING;
    case MR_VERDICT_DEAD_LETTER: return SENDING_DEAD_LETTERS;
    case MR_VERDICT_RETRY: return SENDING_RETRIES;
    case MR_VERDICT_DROP:
    case MR_VERDICT_BUSY:
    case MR_VERDICT_DEPENDENCY_DOWN:
    case MR_VERDICT_STOP_MODEL:
    case MR_VERDICT_FATAL: return SENDING_NOTHING;
    }
    mr_unreachable(__func__);
}

bool mr_lane_may_send(const struct lane *lane, enum sending kind)
{
    return lane->unacked == 0 || kind == SENDING_NOTHING || lane->sending == kind;
}

static struct mr_bytes kept(struct mr_buffer *buffer, struct mr_bytes bytes)
{
    const size_t at = buffer->size;
    if (bytes.size > 0) {
        memcpy(buffer->data + at, bytes.data, bytes.size);
        buffer->size += bytes.size;
    }
    return mr_bytes_of(buffer->data + at, bytes.size);
}

struct mr_error mr_lane_hold(struct lane *lane, struct item *item, const struct mr_verdict *verdict)
{
    size_t size = 0, headers = 0;
    for (size_t i = 0; i < verdict->output_count; i++) {
        size += verdict->outputs[i].value.size + verdict->outputs[i].ce_id.size;
        headers += verdict->outputs[i].header_count;
        for (size_t j = 0; j < verdict->outputs[i].header_count; j++) {
            size += verdict->outputs[i].headers[j].value.size;
        }
    }
    const size_t table = headers * sizeof(struct mr_log_header);
    MR_TRY(mr_buffer_reserve(&lane->verdict_bytes, table + size));
    lane->held = item;
    lane->verdict = *verdict;
    lane->verdict_bytes.size = table;
    struct mr_log_header *next = (struct mr_log_header *)(void *)lane->verdict_bytes.data;
    for (size_t i = 0; i < verdict->output_count; i++) {
        struct mr_stage_output *output = &lane->verdict.outputs[i];
        output->value = kept(&lane->verdict_bytes, output->value);
        output->ce_id = kept(&lane->verdict_bytes, output->ce_id);
        const struct mr_log_header *from = output->headers;
        output->headers = next;
        for (size_t j = 0; j < output->header_count; j++) {
            *next++ = (struct mr_log_header){from[j].name, kept(&lane->verdict_bytes, from[j].value)};
        }
    }
    return mr_ok();
}
