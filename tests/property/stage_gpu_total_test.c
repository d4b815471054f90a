/* Every state and event of stage_gpu, every placement on every device: answered, and within the rules. */
#include "check_main.h"
#include "exhaust.h"
#include "stage_gpu.h"

#include <stdio.h>
#include <string.h>

static const uint64_t sizes[] = {0, 1, 99, 100, 101, UINT64_MAX};
enum { CAP_BYTES = 100 };

static struct stage_gpu_rules any_rules(struct exhaust *e)
{
    struct stage_gpu_rules rules = {.cap = {.kind = STAGE_GPU_CAP_CPU_TRANSFER_CAPPED, .max_bytes = CAP_BYTES}};
    rules.device.kind = exhaust_pick(e, 1) == 0 ? STAGE_GPU_DEVICE_CPU : STAGE_GPU_DEVICE_CUDA;
    rules.device.ordinal = rules.device.kind == STAGE_GPU_DEVICE_CUDA ? exhaust_pick(e, 1) : 0;
    return rules;
}

static struct stage_gpu_placement any_placement(struct exhaust *e)
{
    struct stage_gpu_placement from = {
        .kind = (enum stage_gpu_placement_kind)(1 + exhaust_pick(e, STAGE_GPU_PLACEMENT_LAST - 1))};
    if (from.kind == STAGE_GPU_PLACEMENT_ON_GPU) {
        from.of.device = exhaust_pick(e, 1);
    }
    return from;
}

static bool is_reason(enum stage_gpu_reason reason)
{
    return reason >= 1 && reason <= STAGE_GPU_REASON_LAST;
}

/* ---- Transfer ------------------------------------------------------------------------------------------ */

static void check_transfer(const struct stage_gpu_placement *from, uint64_t bytes, const struct stage_gpu_rules *rules,
                           const struct stage_gpu_transfer *transfer)
{
    const bool known =
        from->kind != STAGE_GPU_PLACEMENT_DEVICE_UNKNOWN && from->kind != STAGE_GPU_PLACEMENT_LOOKUP_FAILED;
    switch (transfer->kind) {
    case STAGE_GPU_TRANSFER_STAY:
        /* Only what the device itself reads stays. */
        ck_assert(rules->device.kind == STAGE_GPU_DEVICE_CPU
                      ? from->kind == STAGE_GPU_PLACEMENT_ON_CPU || from->kind == STAGE_GPU_PLACEMENT_PINNED_HOST
                      : from->kind == STAGE_GPU_PLACEMENT_ON_GPU && from->of.device == rules->device.ordinal);
        return;
    case STAGE_GPU_TRANSFER_MOVE_TO_GPU:
        /* A device copies from pinned memory alone, and to itself. */
        ck_assert_int_eq(from->kind, STAGE_GPU_PLACEMENT_PINNED_HOST);
        ck_assert_int_eq(rules->device.kind, STAGE_GPU_DEVICE_CUDA);
        ck_assert_uint_eq(transfer->of.device, rules->device.ordinal);
        return;
    case STAGE_GPU_TRANSFER_MOVE_TO_CPU:
        ck_assert(known);
        ck_assert_uint_le(bytes, CAP_BYTES);
        ck_assert(is_reason(transfer->of.reason));
        return;
    case STAGE_GPU_TRANSFER_REJECT:
        ck_assert(is_reason(transfer->of.reason));
        ck_assert(!known || bytes > CAP_BYTES);
        ck_assert_int_eq(known, transfer->of.reason == STAGE_GPU_REASON_OVERSIZED_HOST_TRANSFER);
        return;
    }
    ck_abort_msg("no such transfer: %d", transfer->kind);
}

START_TEST(every_transfer_keeps_the_rules)
{
    struct exhaust e = {0};
    unsigned seen[STAGE_GPU_TRANSFER_LAST + 1] = {0};
    while (exhaust_next(&e)) {
        const struct stage_gpu_rules rules = any_rules(&e);
        const struct stage_gpu_placement from = any_placement(&e);
        const uint64_t bytes = sizes[exhaust_pick(&e, MR_COUNT_OF(sizes) - 1)];
        const struct stage_gpu_transfer transfer = stage_gpu_transfer_decide(&from, bytes, &rules);
        check_transfer(&from, bytes, &rules, &transfer);
        seen[transfer.kind]++;
    }
    for (size_t kind = 1; kind < MR_COUNT_OF(seen); kind++) {
        ck_assert_msg(seen[kind] > 0, "%s never came", stage_gpu_transfer_text((enum stage_gpu_transfer_kind)kind));
    }
}
END_TEST

START_TEST(every_place_has_a_name)
{
    struct exhaust e = {0};
    unsigned seen[STAGE_GPU_PLACEMENT_LAST + 1] = {0};
    while (exhaust_next(&e)) {
        const struct stage_gpu_whereabouts where = {.answered = exhaust_pick(&e, 1) == 1,
                                                    .in_store = exhaust_pick(&e, 1) == 1,
                                                    .on_device = exhaust_pick(&e, 1) == 1,
                                                    .pinned = exhaust_pick(&e, 1) == 1,
                                                    .device = exhaust_pick(&e, 2),
                                                    .devices = exhaust_pick(&e, 2)};
        const struct stage_gpu_placement placement = stage_gpu_placement_decide(&where);
        seen[placement.kind]++;
        ck_assert_int_eq(placement.kind == STAGE_GPU_PLACEMENT_LOOKUP_FAILED, !where.answered);
        if (placement.kind == STAGE_GPU_PLACEMENT_ON_GPU) {
            ck_assert_uint_lt(placement.of.device, where.devices);
        }
    }
    for (size_t kind = 1; kind < MR_COUNT_OF(seen); kind++) {
        ck_assert_msg(seen[kind] > 0, "%s never came", stage_gpu_placement_text((enum stage_gpu_placement_kind)kind));
    }
}
END_TEST

/* ---- A record ------------------------------------------------------------------------------------------ */

static struct stage_gpu_state any_state(struct exhaust *e)
{
    struct stage_gpu_state state = {.kind = (enum stage_gpu_state_kind)(1 + exhaust_pick(e, STAGE_GPU_STATE_LAST - 1)),
                                    .rules = any_rules(e)};
    state.transfer.kind = STAGE_GPU_TRANSFER_STAY;
    if (state.kind == STAGE_GPU_STATE_ASKING && exhaust_pick(e, 1) == 1) {
        state.transfer = (struct stage_gpu_transfer){.kind = STAGE_GPU_TRANSFER_MOVE_TO_CPU,
                                                     .of = {.reason = STAGE_GPU_REASON_REMOTE_PAYLOAD}};
    }
    return state;
}

static struct stage_gpu_event any_event(struct exhaust *e)
{
    struct stage_gpu_event event = {.kind = (enum stage_gpu_event_kind)(1 + exhaust_pick(e, STAGE_GPU_EVENT_LAST - 1))};
    if (event.kind == STAGE_GPU_EVENT_READ) {
        event.read.body = (enum stage_gpu_body)(1 + exhaust_pick(e, STAGE_GPU_BODY_LAST - 1));
        event.read.placement.kind = STAGE_GPU_PLACEMENT_ON_CPU;
    }
    if (event.kind == STAGE_GPU_EVENT_READ && event.read.body == STAGE_GPU_BODY_TENSORS) {
        event.read.placement = any_placement(e);
        event.read.bytes = sizes[exhaust_pick(e, MR_COUNT_OF(sizes) - 1)];
    }
    return event;
}

static bool may_be_read(enum stage_gpu_state_kind kind)
{
    return kind == STAGE_GPU_STATE_ARRIVED || kind == STAGE_GPU_STATE_UNREACHABLE;
}

/* What a decision promises, whatever led to it. */
static void check_step(const struct stage_gpu_state *state, const struct stage_gpu_event *event,
                       const struct stage_gpu_step *step)
{
    const bool done = step->next.kind == STAGE_GPU_STATE_DONE;
    switch (step->decision.kind) {
    case STAGE_GPU_DECISION_ALLOCATE:
        ck_assert_int_eq(step->next.kind, STAGE_GPU_STATE_ASKING);
        ck_assert(event->kind == STAGE_GPU_EVENT_FREED || event->read.body == STAGE_GPU_BODY_TENSORS);
        ck_assert_int_ne(step->next.transfer.kind, STAGE_GPU_TRANSFER_REJECT);
        return;
    case STAGE_GPU_DECISION_FILL:
        ck_assert_int_eq(event->kind, STAGE_GPU_EVENT_GRANTED); /* never without a block */
        ck_assert_int_eq(step->decision.of.transfer.kind, state->transfer.kind);
        return;
    case STAGE_GPU_DECISION_AWAIT_ROOM:
        ck_assert_int_eq(step->decision.of.reason, STAGE_GPU_REASON_POOL_EXHAUSTED);
        ck_assert_int_eq(step->next.kind, STAGE_GPU_STATE_WAITING);
        return;
    case STAGE_GPU_DECISION_AWAIT_PAYLOAD:
        ck_assert_int_eq(step->decision.of.reason, STAGE_GPU_REASON_PLACEMENT_LOOKUP_FAILED);
        ck_assert_int_eq(step->next.kind, STAGE_GPU_STATE_UNREACHABLE);
        return;
    case STAGE_GPU_DECISION_STAGE_INLINE:
        ck_assert(done && event->kind == STAGE_GPU_EVENT_READ && event->read.body == STAGE_GPU_BODY_BARE);
        return;
    case STAGE_GPU_DECISION_STAGE_LEASED: ck_assert(done && event->kind == STAGE_GPU_EVENT_FILLED); return;
    case STAGE_GPU_DECISION_STAGE_UNLEASED:
        ck_assert(done && is_reason(step->decision.of.reason));
        ck_assert_int_ne(step->decision.of.reason, STAGE_GPU_REASON_POOL_EXHAUSTED); /* that is waiting */
        return;
    case STAGE_GPU_DECISION_STOP_MODEL:
        /* Only for a log that is damaged: never for a payload that may be had later. */
        ck_assert(done && event->kind != STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE);
        ck_assert_int_ge(step->decision.of.reason, STAGE_GPU_REASON_UNREADABLE);
        return;
    case STAGE_GPU_DECISION_FAULT:
        ck_assert_int_eq(step->next.kind, state->kind);
        ck_assert(event->kind != STAGE_GPU_EVENT_READ || !may_be_read(state->kind));
        return;
    }
    ck_abort_msg("no such decision: %d", step->decision.kind);
}

START_TEST(every_pair_is_answered)
{
    struct exhaust e = {0};
    unsigned seen[STAGE_GPU_DECISION_LAST + 1] = {0};
    while (exhaust_next(&e)) {
        const struct stage_gpu_state state = any_state(&e);
        const struct stage_gpu_event event = any_event(&e);
        const struct stage_gpu_step step = stage_gpu_decide(&state, &event);
        check_step(&state, &event, &step);
        /* The rules of a record never change on its way, and what is done stays done. */
        ck_assert_int_eq(step.next.rules.device.kind, state.rules.device.kind);
        ck_assert_uint_eq(step.next.rules.cap.max_bytes, state.rules.cap.max_bytes);
        ck_assert(state.kind != STAGE_GPU_STATE_DONE || step.decision.kind == STAGE_GPU_DECISION_FAULT);
        seen[step.decision.kind]++;
    }
    for (size_t kind = 1; kind < MR_COUNT_OF(seen); kind++) {
        ck_assert_msg(seen[kind] > 0, "%s never came", stage_gpu_decision_text((enum stage_gpu_decision_kind)kind));
    }
}
END_TEST

/* Whatever happens to it, a record of tensors ends staged, or waits, or stops its model: it is never lost or rejected.
 */
START_TEST(no_way_leads_out_of_the_stage)
{
    struct exhaust e = {0};
    while (exhaust_next(&e)) {
        struct stage_gpu_state state = {.kind = STAGE_GPU_STATE_ARRIVED, .rules = any_rules(&e)};
        struct stage_gpu_event event = {.kind = STAGE_GPU_EVENT_READ,
                                        .read = {.body = STAGE_GPU_BODY_TENSORS, .placement = any_placement(&e)}};
        for (unsigned depth = 0; depth < 6; depth++) {
            const struct stage_gpu_step step = stage_gpu_decide(&state, &event);
            state = step.next;
            if (step.decision.kind == STAGE_GPU_DECISION_ALLOCATE) {
                static const enum stage_gpu_event_kind answers[] = {STAGE_GPU_EVENT_GRANTED, STAGE_GPU_EVENT_EXHAUSTED,
                                                                    STAGE_GPU_EVENT_NEVER_FITS};
                event.kind = answers[exhaust_pick(&e, 2)];
            } else if (step.decision.kind == STAGE_GPU_DECISION_FILL) {
                static const enum stage_gpu_event_kind answers[] = {
                    STAGE_GPU_EVENT_FILLED, STAGE_GPU_EVENT_PAYLOAD_UNREACHABLE, STAGE_GPU_EVENT_PAYLOAD_MISSING,
                    STAGE_GPU_EVENT_PAYLOAD_DIFFERS};
                event.kind = answers[exhaust_pick(&e, 3)];
            } else if (step.decision.kind == STAGE_GPU_DECISION_AWAIT_ROOM) {
                event.kind = STAGE_GPU_EVENT_FREED;
            } else if (step.decision.kind == STAGE_GPU_DECISION_AWAIT_PAYLOAD) {
                event.kind = STAGE_GPU_EVENT_READ;
            } else {
                ck_assert_int_ne(step.decision.kind, STAGE_GPU_DECISION_FAULT);
                ck_assert_int_eq(state.kind, STAGE_GPU_STATE_DONE);
                break;
            }
        }
    }
}
END_TEST

/* ---- Start --------------------------------------------------------------------------------------------- */

START_TEST(every_start_is_judged)
{
    static const struct {
        const char *device;
        bool plugin;
        uint64_t arena, cap;
        enum stage_gpu_start start;
    } rows[] = {
        {"cpu", false, 100, 100, STAGE_GPU_START_READY},
        {"cpu", false, 99, 100, STAGE_GPU_START_ARENA_TOO_SMALL},
        {"cuda:0", false, 100, 100, STAGE_GPU_START_DEVICE_UNAVAILABLE},
        {"cuda:1023", false, 1, 100, STAGE_GPU_START_DEVICE_UNAVAILABLE},
        {"cuda:0", true, 100, 100, STAGE_GPU_START_READY},
        {"cuda:0", true, 99, 100, STAGE_GPU_START_ARENA_TOO_SMALL},
        {"", false, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"gpu", false, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"CPU", false, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"cpu ", false, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"cuda", true, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"cuda:", true, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"cuda:-1", true, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"cuda:01", true, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"cuda:1x", true, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"cuda:1024", true, 100, 100, STAGE_GPU_START_BAD_DEVICE},
        {"cuda:99999999999999999999", true, 100, 100, STAGE_GPU_START_BAD_DEVICE},
    };
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        const struct mr_bytes device = {(const uint8_t *)rows[i].device, strlen(rows[i].device)};
        ck_assert_msg(stage_gpu_start_decide(device, rows[i].plugin, rows[i].arena, rows[i].cap) == rows[i].start,
                      "row %zu: \"%s\"", i, rows[i].device);
    }
    struct stage_gpu_device device = {.ordinal = 0};
    ck_assert(stage_gpu_device_parse(mr_bytes_of_text("cuda:17"), &device));
    ck_assert_int_eq(device.kind, STAGE_GPU_DEVICE_CUDA);
    ck_assert_uint_eq(device.ordinal, 17);
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, every_transfer_keeps_the_rules);
    tcase_add_test(tcase, every_place_has_a_name);
    tcase_add_test(tcase, every_pair_is_answered);
    tcase_add_test(tcase, no_way_leads_out_of_the_stage);
    tcase_add_test(tcase, every_start_is_judged);
}

int main(void)
{
    return check_main("stage_gpu_total", add);
}
