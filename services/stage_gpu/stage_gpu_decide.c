#include "stage_gpu.h"

#include <string.h>

/* ---- Devices ----------------------------------------------------------------------------------------- */

/* A decimal number without sign or leading zeros. */
static bool parse_ordinal(struct mr_bytes text, uint32_t *ret_ordinal)
{
    uint32_t ordinal = 0;
    if (text.size == 0 || (text.size > 1 && text.data[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        ordinal = 10 * ordinal + (uint32_t)(text.data[i] - '0');
        if (ordinal > STAGE_GPU_ORDINAL_MAX) {
            return false;
        }
    }
    *ret_ordinal = ordinal;
    return true;
}

bool stage_gpu_device_parse(struct mr_bytes text, struct stage_gpu_device *ret_device)
{
    static const char cpu[] = "cpu", cuda[] = "cuda:";
    uint32_t ordinal = 0;
    if (text.size == sizeof cpu - 1 && memcmp(text.data, cpu, text.size) == 0) {
        *ret_device = (struct stage_gpu_device){.kind = STAGE_GPU_DEVICE_CPU};
        return true;
    }
    const size_t prefix = sizeof cuda - 1;
    if (text.size < prefix || memcmp(text.data, cuda, prefix) != 0 ||
        !parse_ordinal((struct mr_bytes){text.data + prefix, text.size - prefix}, &ordinal)) {
        return false;
    }
    *ret_device = (struct stage_gpu_device){.kind = STAGE_GPU_DEVICE_CUDA, .ordinal = ordinal};
    return true;
}

enum stage_gpu_start stage_gpu_start_decide(struct mr_bytes device, bool cuda_plugin, uint64_t arena_bytes,
                                            uint64_t cap_bytes)
{
    struct stage_gpu_device parsed;
    if (!stage_gpu_device_parse(device, &parsed)) {
        return STAGE_GPU_START_BAD_DEVICE;
    }
    if (parsed.kind == STAGE_GPU_DEVICE_CUDA && !cuda_plugin) {
        return STAGE_GPU_START_DEVICE_UNAVAILABLE;
    }
    return arena_bytes < cap_bytes ? STAGE_GPU_START_ARENA_TOO_SMALL : STAGE_GPU_START_READY;
}

/* ---- Placement ----------------------------------------------------------------------------------------- */

struct stage_gpu_placement stage_gpu_placement_decide(const struct stage_gpu_whereabouts *where)
{
    if (!where->answered) {
        return (struct stage_gpu_placement){.kind = STAGE_GPU_PLACEMENT_LOOKUP_FAILED};
    }
    if (where->in_store) {
        return (struct stage_gpu_placement){.kind = STAGE_GPU_PLACEMENT_REMOTE_SHARD,
                                            .of = {.node = STAGE_GPU_NODE_STORE}};
    }
    if (where->on_device) {
        return where->device < where->devices
                   ? (struct stage_gpu_placement){.kind = STAGE_GPU_PLACEMENT_ON_GPU, .of = {.device = where->device}}
                   : (struct stage_gpu_placement){.kind = STAGE_GPU_PLACEMENT_DEVICE_UNKNOWN};
    }
    return (struct stage_gpu_placement){.kind = where->pinned ? STAGE_GPU_PLACEMENT_PINNED_HOST
                                                              : STAGE_GPU_PLACEMENT_ON_CPU};
}

/* ---- Transfer ------------------------------------------------------------------------------------------ */

static struct stage_gpu_transfer reject(enum stage_gpu_reason reason)
{
    return (struct stage_gpu_transfer){.kind = STAGE_GPU_TRANSFER_REJECT, .of = {.reason = reason}};
}

/* Whatever comes into host memory is capped. */
static struct stage_gpu_transfer to_host(uint64_t bytes, struct stage_gpu_cap cap, enum stage_gpu_reason reason)
{
    switch (cap.kind) {
    case STAGE_GPU_CAP_CPU_TRANSFER_CAPPED:
        return bytes > cap.max_bytes
                   ? reject(STAGE_GPU_REASON_OVERSIZED_HOST_TRANSFER)
                   : (struct stage_gpu_transfer){.kind = STAGE_GPU_TRANSFER_MOVE_TO_CPU, .of = {.reason = reason}};
    }
    mr_unreachable(__func__);
}

static struct stage_gpu_transfer stay(void)
{
    return (struct stage_gpu_transfer){.kind = STAGE_GPU_TRANSFER_STAY};
}

static struct stage_gpu_transfer for_cpu(const struct stage_gpu_placement *from, uint64_t bytes,
                                         struct stage_gpu_cap cap)
{
    switch (from->kind) {
    case STAGE_GPU_PLACEMENT_ON_CPU:
    case STAGE_GPU_PLACEMENT_PINNED_HOST: return stay();
    case STAGE_GPU_PLACEMENT_ON_GPU: return to_host(bytes, cap, STAGE_GPU_REASON_OTHER_DEVICE);
    case STAGE_GPU_PLACEMENT_REMOTE_SHARD: return to_host(bytes, cap, STAGE_GPU_REASON_REMOTE_PAYLOAD);
    case STAGE_GPU_PLACEMENT_DEVICE_UNKNOWN: return reject(STAGE_GPU_REASON_DEVICE_UNKNOWN);
    case STAGE_GPU_PLACEMENT_LOOKUP_FAILED: return reject(STAGE_GPU_REASON_PLACEMENT_LOOKUP_FAILED);
    }
    mr_unreachable(__func__);
}

static struct stage_gpu_transfer for_cuda(const struct stage_gpu_placement *from, uint64_t bytes,
                                          const struct stage_gpu_rules *rules)
{
    switch (from->kind) {
    case STAGE_GPU_PLACEMENT_ON_GPU:
        return from->of.device == rules->device.ordinal ? stay()
                                                        : to_host(bytes, rules->cap, STAGE_GPU_REASON_OTHER_DEVICE);
    case STAGE_GPU_PLACEMENT_PINNED_HOST:
        return (struct stage_gpu_transfer){.kind = STAGE_GPU_TRANSFER_MOVE_TO_GPU,
                                           .of = {.device = rules->device.ordinal}};
    case STAGE_GPU_PLACEMENT_ON_CPU: return to_host(bytes, rules->cap, STAGE_GPU_REASON_UNPINNED_HOST_MEMORY);
    case STAGE_GPU_PLACEMENT_REMOTE_SHARD: return to_host(bytes, rules->cap, STAGE_GPU_REASON_REMOTE_PAYLOAD);
    case STAGE_GPU_PLACEMENT_DEVICE_UNKNOWN: return reject(STAGE_GPU_REASON_DEVICE_UNKNOWN);
    case STAGE_GPU_PLACEMENT_LOOKUP_FAILED: return reject(STAGE_GPU_REASON_PLACEMENT_LOOKUP_FAILED);
    }
    mr_unreachable(__func__);
}

struct stage_gpu_transfer stage_gpu_transfer_decide(const struct stage_gpu_placement *from, uint64_t bytes,
                                                    const struct stage_gpu_rules *rules)
{
    switch (rules->device.kind) {
    case STAGE_GPU_DEVICE_CPU: return for_cpu(from, bytes, rules->cap);
    case STAGE_GPU_DEVICE_CUDA: return for_cuda(from, bytes, rules);
    }
    mr_unreachable(__func__);
}

/* ---- A record on its way ------------------------------------------------------------------------------- */

static struct stage_gpu_step plain(const struct stage_gpu_state *state, enum stage_gpu_state_kind next,
                                   enum stage_gpu_decision_kind kind)
{
    struct stage_gpu_step step = {.next = *state, .decision = {.kind = kind}};
    step.next.kind = next;
    return step;
}

static struct stage_gpu_step because(const struct stage_gpu_state *state, enum stage_gpu_state_kind next,
                                     enum stage_gpu_decision_kind kind, enum stage_gpu_reason reason)
{
    struct stage_gpu_step step = plain(state, next, kind);
    step.decision.of.reason = reason;
    return step;
}

static struct stage_gpu_step fault(const struct stage_gpu_state *state)
{
    return plain(state, state->kind, STAGE_GPU_DECISION_FAULT);
}

/* Behind batches.validated a rejected transfer is no rejected record: it waits, or goes on without a lease. */
static struct stage_gpu_step not_moved(const struct stage_gpu_state *state, enum stage_gpu_reason reason)
{
    if (reason == STAGE_GPU_REASON_PLACEMENT_LOOKUP_FAILED) {
        return because(state, STAGE_GPU_STATE_UNREACHABLE, STAGE_GPU_DECISION_AWAIT_PAYLOAD, reason);
    }
    return because(state, STAGE_GPU_STATE_DONE, STAGE_GPU_DECISION_STAGE_UNLEASED, reason);
}

static struct stage_gpu_step on_tensors(const struct stage_gpu_state *state, const struct stage_gpu_event *event)
{
    const struct stage_gpu_transfer transfer =
        stage_gpu_transfer_decide(&event->read.placement, event->read.bytes, &state->rules);
    if (transfer.kind == STAGE_GPU_TRANSFER_REJECT) {
        return not_moved(state, transfer.of.reason);
    }
    struct stage_gpu_step step = plain(state, STAGE_GPU_STATE_ASKING, STAGE_GPU_DECISION_ALLOCATE);
    step.next.transfer = transfer;
    return step;
}

static struct stage_gpu_step on_read(const struct stage_gpu_state *state, const struct stage_gpu_event *event)
{
    switch (event->read.body) {
    case STAGE_GPU_BODY_BARE: return plain(state, STAGE_GPU_STATE_DONE, STAGE_GPU_DECISION_STAGE_INLINE);
    case STAGE_GPU_BODY_TENSORS: return on_tensors(state, event);
    case STAGE_GPU_BODY_UNREADABLE:
        return because(state, STAGE_GPU_STATE_DONE, STAGE_GPU_DECISION_STOP_MODEL, STAGE_GPU_REASON_UNREADABLE);
    }
    mr_unreachable(__func__);
}

/* An unreachable payload's record is looked at anew: where the payload is may have changed. */
static struct stage_gpu_step when_unread(const struct stage_gpu_state *state, const struct stage_gpu_event *event)
{
    switch (event->kind) {
    case STAGE_GPU_EVENT_READ: return on_read(state, event);
    case STAGE_GPU_EVENT_GRANTED:
    case STAGE_GPU_EVENT_EXHAUSTED:
    case STAGE_GPU_EVENT_NEVER_FITS:
    case STAGE_GPU_EVENT_FREED:
    case STAGE_GPU_EVENT_FILLED:
    case STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE:
    case STAGE_GPU_EVENT_PAYLOAD_MISSING:
    case STAGE_GPU_EVENT_PAYLOAD_DIFFERS: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct stage_gpu_step when_asking(const struct stage_gpu_state *state, const struct stage_gpu_event *event)
{
    switch (event->kind) {
    case STAGE_GPU_EVENT_GRANTED: {
        struct stage_gpu_step step = plain(state, STAGE_GPU_STATE_FILLING, STAGE_GPU_DECISION_FILL);
        step.decision.of.transfer = state->transfer;
        return step;
    }
    case STAGE_GPU_EVENT_EXHAUSTED:
        return because(state, STAGE_GPU_STATE_WAITING, STAGE_GPU_DECISION_AWAIT_ROOM, STAGE_GPU_REASON_POOL_EXHAUSTED);
    case STAGE_GPU_EVENT_NEVER_FITS: return not_moved(state, STAGE_GPU_REASON_OVERSIZED_HOST_TRANSFER);
    case STAGE_GPU_EVENT_READ:
    case STAGE_GPU_EVENT_FREED:
    case STAGE_GPU_EVENT_FILLED:
    case STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE:
    case STAGE_GPU_EVENT_PAYLOAD_MISSING:
    case STAGE_GPU_EVENT_PAYLOAD_DIFFERS: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct stage_gpu_step when_waiting(const struct stage_gpu_state *state, const struct stage_gpu_event *event)
{
    switch (event->kind) {
    case STAGE_GPU_EVENT_FREED: return plain(state, STAGE_GPU_STATE_ASKING, STAGE_GPU_DECISION_ALLOCATE);
    case STAGE_GPU_EVENT_READ:
    case STAGE_GPU_EVENT_GRANTED:
    case STAGE_GPU_EVENT_EXHAUSTED:
    case STAGE_GPU_EVENT_NEVER_FITS:
    case STAGE_GPU_EVENT_FILLED:
    case STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE:
    case STAGE_GPU_EVENT_PAYLOAD_MISSING:
    case STAGE_GPU_EVENT_PAYLOAD_DIFFERS: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct stage_gpu_step when_filling(const struct stage_gpu_state *state, const struct stage_gpu_event *event)
{
    switch (event->kind) {
    case STAGE_GPU_EVENT_FILLED: return plain(state, STAGE_GPU_STATE_DONE, STAGE_GPU_DECISION_STAGE_LEASED);
    case STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE: return not_moved(state, STAGE_GPU_REASON_PLACEMENT_LOOKUP_FAILED);
    case STAGE_GPU_EVENT_PAYLOAD_MISSING:
        return because(state, STAGE_GPU_STATE_DONE, STAGE_GPU_DECISION_STOP_MODEL, STAGE_GPU_REASON_PAYLOAD_MISSING);
    case STAGE_GPU_EVENT_PAYLOAD_DIFFERS:
        return because(state, STAGE_GPU_STATE_DONE, STAGE_GPU_DECISION_STOP_MODEL, STAGE_GPU_REASON_PAYLOAD_DIFFERS);
    case STAGE_GPU_EVENT_READ:
    case STAGE_GPU_EVENT_GRANTED:
    case STAGE_GPU_EVENT_EXHAUSTED:
    case STAGE_GPU_EVENT_NEVER_FITS:
    case STAGE_GPU_EVENT_FREED: return fault(state);
    }
    mr_unreachable(__func__);
}

struct stage_gpu_step stage_gpu_decide(const struct stage_gpu_state *state, const struct stage_gpu_event *event)
{
    switch (state->kind) {
    case STAGE_GPU_STATE_ARRIVED:
    case STAGE_GPU_STATE_UNREACHABLE: return when_unread(state, event);
    case STAGE_GPU_STATE_ASKING: return when_asking(state, event);
    case STAGE_GPU_STATE_WAITING: return when_waiting(state, event);
    case STAGE_GPU_STATE_FILLING: return when_filling(state, event);
    case STAGE_GPU_STATE_DONE: return fault(state);
    }
    mr_unreachable(__func__);
}
