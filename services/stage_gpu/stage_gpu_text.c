#include "stage_gpu.h"

const char *stage_gpu_start_text(enum stage_gpu_start start)
{
    switch (start) {
    case STAGE_GPU_START_READY: return "ready";
    case STAGE_GPU_START_BAD_DEVICE: return "bad_device";
    case STAGE_GPU_START_DEVICE_UNAVAILABLE: return "device_unavailable";
    case STAGE_GPU_START_ARENA_TOO_SMALL: return "arena_too_small";
    }
    mr_unreachable(__func__);
}

const char *stage_gpu_placement_text(enum stage_gpu_placement_kind kind)
{
    switch (kind) {
    case STAGE_GPU_PLACEMENT_ON_GPU: return "OnGpu";
    case STAGE_GPU_PLACEMENT_ON_CPU: return "OnCpu";
    case STAGE_GPU_PLACEMENT_PINNED_HOST: return "PinnedHost";
    case STAGE_GPU_PLACEMENT_REMOTE_SHARD: return "RemoteShard";
    case STAGE_GPU_PLACEMENT_DEVICE_UNKNOWN: return "DeviceUnknown";
    case STAGE_GPU_PLACEMENT_LOOKUP_FAILED: return "PlacementLookupFailed";
    }
    mr_unreachable(__func__);
}

const char *stage_gpu_transfer_text(enum stage_gpu_transfer_kind kind)
{
    switch (kind) {
    case STAGE_GPU_TRANSFER_STAY: return "Stay";
    case STAGE_GPU_TRANSFER_MOVE_TO_GPU: return "MoveToGpu";
    case STAGE_GPU_TRANSFER_MOVE_TO_CPU: return "MoveToCpu";
    case STAGE_GPU_TRANSFER_REJECT: return "RejectTransfer";
    }
    mr_unreachable(__func__);
}

const char *stage_gpu_reason_text(enum stage_gpu_reason reason)
{
    switch (reason) {
    case STAGE_GPU_REASON_OVERSIZED_HOST_TRANSFER: return "oversized_host_transfer";
    case STAGE_GPU_REASON_UNPINNED_HOST_MEMORY: return "unpinned_host_memory";
    case STAGE_GPU_REASON_DEVICE_UNKNOWN: return "device_unknown";
    case STAGE_GPU_REASON_POOL_EXHAUSTED: return "pool_exhausted";
    case STAGE_GPU_REASON_REMOTE_PAYLOAD: return "remote_payload";
    case STAGE_GPU_REASON_OTHER_DEVICE: return "other_device";
    case STAGE_GPU_REASON_PLACEMENT_LOOKUP_FAILED: return "placement_lookup_failed";
    case STAGE_GPU_REASON_UNREADABLE: return "unreadable";
    case STAGE_GPU_REASON_PAYLOAD_MISSING: return "payload_missing";
    case STAGE_GPU_REASON_PAYLOAD_DIFFERS: return "payload_differs";
    }
    mr_unreachable(__func__);
}

const char *stage_gpu_state_text(enum stage_gpu_state_kind kind)
{
    switch (kind) {
    case STAGE_GPU_STATE_ARRIVED: return "arrived";
    case STAGE_GPU_STATE_ASKING: return "asking";
    case STAGE_GPU_STATE_WAITING: return "waiting";
    case STAGE_GPU_STATE_FILLING: return "filling";
    case STAGE_GPU_STATE_UNREACHABLE: return "unreachable";
    case STAGE_GPU_STATE_DONE: return "done";
    }
    mr_unreachable(__func__);
}

const char *stage_gpu_event_text(enum stage_gpu_event_kind kind)
{
    switch (kind) {
    case STAGE_GPU_EVENT_READ: return "read";
    case STAGE_GPU_EVENT_GRANTED: return "granted";
    case STAGE_GPU_EVENT_EXHAUSTED: return "exhausted";
    case STAGE_GPU_EVENT_NEVER_FITS: return "never_fits";
    case STAGE_GPU_EVENT_FREED: return "freed";
    case STAGE_GPU_EVENT_FILLED: return "filled";
    case STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE: return "payload_unreachable";
    case STAGE_GPU_EVENT_PAYLOAD_MISSING: return "payload_missing";
    case STAGE_GPU_EVENT_PAYLOAD_DIFFERS: return "payload_differs";
    }
    mr_unreachable(__func__);
}

const char *stage_gpu_decision_text(enum stage_gpu_decision_kind kind)
{
    switch (kind) {
    case STAGE_GPU_DECISION_ALLOCATE: return "Allocate";
    case STAGE_GPU_DECISION_AWAIT_ROOM: return "AwaitRoom";
    case STAGE_GPU_DECISION_FILL: return "Fill";
    case STAGE_GPU_DECISION_AWAIT_PAYLOAD: return "PlacementLookupFailed";
    case STAGE_GPU_DECISION_STAGE_INLINE: return "StagedInline";
    case STAGE_GPU_DECISION_STAGE_LEASED: return "Staged";
    case STAGE_GPU_DECISION_STAGE_UNLEASED: return "StagedUnleased";
    case STAGE_GPU_DECISION_STOP_MODEL: return "StoppedModel";
    case STAGE_GPU_DECISION_FAULT: return "Fault";
    }
    mr_unreachable(__func__);
}
