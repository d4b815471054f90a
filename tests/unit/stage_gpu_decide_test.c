/* The rows of stage_gpu's decisions that a reader of its vocabulary would expect. */
#include "check_main.h"
#include "stage_gpu.h"

struct row {
    enum stage_gpu_placement_kind from;
    enum stage_gpu_device_kind device;
    uint64_t bytes;
    enum stage_gpu_transfer_kind kind;
    enum stage_gpu_reason reason; /* 0: none */
};

#define CPU STAGE_GPU_DEVICE_CPU
#define CUDA STAGE_GPU_DEVICE_CUDA
static const struct row rows[] = {
    {STAGE_GPU_PLACEMENT_ON_CPU, CPU, 1 << 30, STAGE_GPU_TRANSFER_STAY, 0},
    {STAGE_GPU_PLACEMENT_PINNED_HOST, CPU, 1 << 30, STAGE_GPU_TRANSFER_STAY, 0},
    {STAGE_GPU_PLACEMENT_ON_GPU, CPU, 1024, STAGE_GPU_TRANSFER_MOVE_TO_CPU, STAGE_GPU_REASON_OTHER_DEVICE},
    {STAGE_GPU_PLACEMENT_ON_GPU, CPU, 1025, STAGE_GPU_TRANSFER_REJECT, STAGE_GPU_REASON_OVERSIZED_HOST_TRANSFER},
    {STAGE_GPU_PLACEMENT_REMOTE_SHARD, CPU, 1024, STAGE_GPU_TRANSFER_MOVE_TO_CPU, STAGE_GPU_REASON_REMOTE_PAYLOAD},
    {STAGE_GPU_PLACEMENT_REMOTE_SHARD, CPU, 1025, STAGE_GPU_TRANSFER_REJECT, STAGE_GPU_REASON_OVERSIZED_HOST_TRANSFER},
    {STAGE_GPU_PLACEMENT_DEVICE_UNKNOWN, CPU, 0, STAGE_GPU_TRANSFER_REJECT, STAGE_GPU_REASON_DEVICE_UNKNOWN},
    {STAGE_GPU_PLACEMENT_LOOKUP_FAILED, CPU, 0, STAGE_GPU_TRANSFER_REJECT, STAGE_GPU_REASON_PLACEMENT_LOOKUP_FAILED},
    {STAGE_GPU_PLACEMENT_ON_GPU, CUDA, 1 << 30, STAGE_GPU_TRANSFER_STAY, 0},
    {STAGE_GPU_PLACEMENT_PINNED_HOST, CUDA, 1 << 30, STAGE_GPU_TRANSFER_MOVE_TO_GPU, 0},
    {STAGE_GPU_PLACEMENT_ON_CPU, CUDA, 1024, STAGE_GPU_TRANSFER_MOVE_TO_CPU, STAGE_GPU_REASON_UNPINNED_HOST_MEMORY},
    {STAGE_GPU_PLACEMENT_ON_CPU, CUDA, 1025, STAGE_GPU_TRANSFER_REJECT, STAGE_GPU_REASON_OVERSIZED_HOST_TRANSFER},
    {STAGE_GPU_PLACEMENT_DEVICE_UNKNOWN, CUDA, 0, STAGE_GPU_TRANSFER_REJECT, STAGE_GPU_REASON_DEVICE_UNKNOWN},
};

static struct stage_gpu_rules rules_of(enum stage_gpu_device_kind device)
{
    return (struct stage_gpu_rules){.device = {.kind = device},
                                    .cap = {.kind = STAGE_GPU_CAP_CPU_TRANSFER_CAPPED, .max_bytes = 1024}};
}

START_TEST(transfers)
{
    const struct row *row = &rows[_i];
    const struct stage_gpu_placement from = {.kind = row->from};
    const struct stage_gpu_rules rules = rules_of(row->device);
    const struct stage_gpu_transfer transfer = stage_gpu_transfer_decide(&from, row->bytes, &rules);
    ck_assert_str_eq(stage_gpu_transfer_text(transfer.kind), stage_gpu_transfer_text(row->kind));
    if (row->reason != 0) {
        ck_assert_str_eq(stage_gpu_reason_text(transfer.of.reason), stage_gpu_reason_text(row->reason));
    }
}
END_TEST

/* Another device's memory goes by way of the host: devices do not copy to each other here. */
START_TEST(another_devices_memory_goes_by_the_host)
{
    const struct stage_gpu_rules rules = rules_of(CUDA);
    const struct stage_gpu_placement other = {.kind = STAGE_GPU_PLACEMENT_ON_GPU, .of = {.device = 1}};
    const struct stage_gpu_transfer transfer = stage_gpu_transfer_decide(&other, 8, &rules);
    ck_assert_int_eq(transfer.kind, STAGE_GPU_TRANSFER_MOVE_TO_CPU);
    ck_assert_int_eq(transfer.of.reason, STAGE_GPU_REASON_OTHER_DEVICE);
}
END_TEST

struct walk {
    enum stage_gpu_event_kind event;
    enum stage_gpu_decision_kind decision;
};

static void walk(const struct walk *steps, size_t count)
{
    struct stage_gpu_state state = {.kind = STAGE_GPU_STATE_ARRIVED, .rules = rules_of(CPU)};
    for (size_t i = 0; i < count; i++) {
        const struct stage_gpu_event event = {
            .kind = steps[i].event,
            .read = {.body = STAGE_GPU_BODY_TENSORS,
                     .placement = {.kind = STAGE_GPU_PLACEMENT_REMOTE_SHARD, .of = {.node = STAGE_GPU_NODE_STORE}},
                     .bytes = 64}};
        const struct stage_gpu_step step = stage_gpu_decide(&state, &event);
        ck_assert_msg(step.decision.kind == steps[i].decision, "step %zu: %s in %s gives %s", i,
                      stage_gpu_event_text(event.kind), stage_gpu_state_text(state.kind),
                      stage_gpu_decision_text(step.decision.kind));
        state = step.next;
    }
}

START_TEST(a_full_arena_and_a_store_that_is_down_are_waited_for)
{
    static const struct walk steps[] = {
        {STAGE_GPU_EVENT_READ, STAGE_GPU_DECISION_ALLOCATE},
        {STAGE_GPU_EVENT_EXHAUSTED, STAGE_GPU_DECISION_AWAIT_ROOM},
        {STAGE_GPU_EVENT_FREED, STAGE_GPU_DECISION_ALLOCATE},
        {STAGE_GPU_EVENT_EXHAUSTED, STAGE_GPU_DECISION_AWAIT_ROOM},
        {STAGE_GPU_EVENT_FREED, STAGE_GPU_DECISION_ALLOCATE},
        {STAGE_GPU_EVENT_GRANTED, STAGE_GPU_DECISION_FILL},
        {STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE, STAGE_GPU_DECISION_AWAIT_PAYLOAD},
        {STAGE_GPU_EVENT_READ, STAGE_GPU_DECISION_ALLOCATE},
        {STAGE_GPU_EVENT_GRANTED, STAGE_GPU_DECISION_FILL},
        {STAGE_GPU_EVENT_FILLED, STAGE_GPU_DECISION_STAGE_LEASED},
        {STAGE_GPU_EVENT_FILLED, STAGE_GPU_DECISION_FAULT},
    };
    walk(steps, MR_COUNT_OF(steps));
}
END_TEST

START_TEST(what_never_fits_goes_on_without_a_lease)
{
    static const struct walk steps[] = {
        {STAGE_GPU_EVENT_READ, STAGE_GPU_DECISION_ALLOCATE},
        {STAGE_GPU_EVENT_NEVER_FITS, STAGE_GPU_DECISION_STAGE_UNLEASED},
    };
    walk(steps, MR_COUNT_OF(steps));
}
END_TEST

START_TEST(a_damaged_log_stops_the_model)
{
    static const struct walk missing[] = {
        {STAGE_GPU_EVENT_READ, STAGE_GPU_DECISION_ALLOCATE},
        {STAGE_GPU_EVENT_GRANTED, STAGE_GPU_DECISION_FILL},
        {STAGE_GPU_EVENT_PAYLOAD_MISSING, STAGE_GPU_DECISION_STOP_MODEL},
    };
    static const struct walk differs[] = {
        {STAGE_GPU_EVENT_READ, STAGE_GPU_DECISION_ALLOCATE},
        {STAGE_GPU_EVENT_GRANTED, STAGE_GPU_DECISION_FILL},
        {STAGE_GPU_EVENT_PAYLOAD_DIFFERS, STAGE_GPU_DECISION_STOP_MODEL},
    };
    walk(missing, MR_COUNT_OF(missing));
    walk(differs, MR_COUNT_OF(differs));
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_loop_test(tcase, transfers, 0, (int)MR_COUNT_OF(rows));
    tcase_add_test(tcase, another_devices_memory_goes_by_the_host);
    tcase_add_test(tcase, a_full_arena_and_a_store_that_is_down_are_waited_for);
    tcase_add_test(tcase, what_never_fits_goes_on_without_a_lease);
    tcase_add_test(tcase, a_damaged_log_stops_the_model);
}

int main(void)
{
    return check_main("stage_gpu_decide", add);
}
