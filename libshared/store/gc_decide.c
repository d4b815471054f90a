#include "gc_decide.h"

#include <string.h>

enum mr_gc_reason mr_gc_reason_of(const struct mr_gc_standing *standing)
{
    const uint64_t keep_last = standing->keep_last < MR_GC_KEEP_LAST_MIN ? MR_GC_KEEP_LAST_MIN : standing->keep_last;
    const uint64_t below_head = standing->head_counter - standing->counter;
    return below_head == 0          ? MR_GC_KEPT_HEAD
           : standing->counter == 0 ? MR_GC_KEPT_GENESIS
           : below_head < keep_last ? MR_GC_KEPT_RECENT
           : standing->is_protected ? MR_GC_KEPT_PROTECTED
           : standing->is_pinned    ? MR_GC_KEPT_PINNED
           : standing->is_source    ? MR_GC_KEPT_SOURCE
                                    : MR_GC_NOT_KEPT;
}

enum mr_gc_finding mr_gc_finding_of(const struct mr_gc_directory *directory)
{
    if (directory->counter > directory->head_counter) {
        const uint64_t highest = directory->later_head_counter + (directory->was_committed ? 0 : 1);
        return directory->counter > highest ? MR_GC_HEAD_WENT_BACK : MR_GC_COMING;
    }
    if (directory->is_chains) {
        return MR_GC_LIVE;
    }
    const bool built_elsewhere = directory->names_parent && !directory->parent_is_chains;
    return directory->was_committed || built_elsewhere ? MR_GC_HEAD_WENT_BACK : MR_GC_GARBAGE;
}

bool mr_gc_pin_spent(const struct mr_position *start, const struct mr_position *head)
{
    return memcmp(start->log_id, head->log_id, sizeof start->log_id) == 0 && start->partition == head->partition &&
           start->offset <= head->offset;
}

bool mr_gc_spool_garbage(uint64_t applied, uint64_t head_applied)
{
    return applied <= head_applied;
}

/* ---- The beginning of a checkpoint -------------------------------------------------------------------------- */

/* Fields stand in the order of their numbers, and those before `applied` are short: no tensor comes before it. */
enum { APPLIED_FIELD = 7, WIRE_VARINT = 0, WIRE_LENGTH = 2 };

static bool read_varint(struct mr_bytes *bytes, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes->size && i < 10; i++) {
        if (i == 9 && bytes->data[i] > 1) {
            return false;
        }
        value |= (uint64_t)(bytes->data[i] & 0x7f) << (7 * i);
        if (bytes->data[i] < 0x80) {
            *bytes = mr_bytes_of(bytes->data + i + 1, bytes->size - i - 1);
            *ret_value = value;
            return true;
        }
    }
    return false;
}

bool mr_gc_applied(struct mr_bytes checkpoint, uint64_t *ret_applied)
{
    uint64_t tag = 0, value = 0, before = 0;
    while (read_varint(&checkpoint, &tag) && read_varint(&checkpoint, &value)) {
        const uint64_t field = tag >> 3, wire = tag & 7;
        if (field <= before || field > APPLIED_FIELD || (wire != WIRE_VARINT && wire != WIRE_LENGTH)) {
            return false;
        }
        if (field == APPLIED_FIELD) {
            *ret_applied = value;
            return wire == WIRE_VARINT;
        }
        if (wire == WIRE_LENGTH) {
            if (value > checkpoint.size) {
                return false;
            }
            checkpoint = mr_bytes_of(checkpoint.data + value, checkpoint.size - (size_t)value);
        }
        before = field;
    }
    return false;
}
