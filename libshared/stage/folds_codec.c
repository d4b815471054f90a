/* The records of millrace.folds.v1. */
#include "folds.h"

#include "millrace/fold/v1/fold.pb-c.h"
#include "millrace/wire.h"

#include <stdio.h>
#include <string.h>

/* ---- Keys ------------------------------------------------------------------------------------------------------- */

void mr_folds_mark_key(const struct mr_stage *stage, char ret_key[FOLD_KEY_SIZE])
{
    (void)snprintf(ret_key, FOLD_KEY_SIZE, "%s", stage->spec.name);
}

void mr_folds_lane_key(const struct mr_stage *stage, uint32_t slot, const char *input, const char *model_id,
                       char ret_key[FOLD_KEY_SIZE])
{
    const int size = snprintf(ret_key, FOLD_KEY_SIZE, "%s/%u/%s/%s", stage->spec.name, (unsigned)slot, input, model_id);
    MR_ASSERT(size > 0 && size < FOLD_KEY_SIZE);
}

void mr_folds_part_key(const char *lane_key, uint32_t turn, uint32_t index, char ret_key[FOLD_KEY_SIZE])
{
    const int size = snprintf(ret_key, FOLD_KEY_SIZE, "%s/%u/%u", lane_key, (unsigned)turn, (unsigned)index);
    MR_ASSERT(size > 0 && size < FOLD_KEY_SIZE);
}

/* ---- Writing ------------------------------------------------------------------------------------------------------
 */

struct sizes {
    uint32_t key, value;
};

static struct mr_error append_message(struct mr_buffer *batch, const char *key,
                                      const Millrace__Fold__V1__FoldEntry *message)
{
    const size_t value_size = millrace__fold__v1__fold_entry__get_packed_size(message);
    const struct sizes sizes = {(uint32_t)strlen(key), (uint32_t)value_size};
    MR_TRY(mr_buffer_reserve(batch, batch->size + sizeof sizes + sizes.key + value_size));
    MR_TRY(mr_buffer_append(batch, &sizes, sizeof sizes));
    MR_TRY(mr_buffer_append(batch, key, sizes.key));
    batch->size += millrace__fold__v1__fold_entry__pack(message, batch->data + batch->size);
    return mr_ok();
}

static struct mr_error append_mark(struct mr_buffer *batch, const char *key, const struct fold_mark *mark,
                                   Millrace__Fold__V1__FoldEntry *message)
{
    Millrace__Fold__V1__Mark body;
    Millrace__Fold__V1__FoldedTopic topics[MR_STAGE_OUTPUTS_MAX + 1];
    Millrace__Fold__V1__FoldedTopic *pointers[MR_STAGE_OUTPUTS_MAX + 1];
    millrace__fold__v1__mark__init(&body);
    body.slot = mark->slot;
    body.lanes = mark->lanes;
    for (size_t i = 0; i < mark->topic_count; i++) {
        millrace__fold__v1__folded_topic__init(&topics[i]);
        topics[i].topic = mr_wire_text(mark->topics[i].topic);
        topics[i].next = mark->topics[i].next;
        pointers[i] = &topics[i];
    }
    body.topics = pointers;
    body.n_topics = mark->topic_count;
    message->body_case = MILLRACE__FOLD__V1__FOLD_ENTRY__BODY_MARK;
    message->mark = &body;
    return append_message(batch, key, message);
}

static struct mr_error append_lane(struct mr_buffer *batch, const char *key, const struct fold_lane *lane,
                                   Millrace__Fold__V1__FoldEntry *message)
{
    Millrace__Fold__V1__LaneState body;
    Millrace__Common__V1__Offset mark, last_out;
    millrace__fold__v1__lane_state__init(&body);
    millrace__common__v1__offset__init(&mark);
    millrace__common__v1__offset__init(&last_out);
    mark.value = lane->mark.origin;
    last_out.value = lane->last_out.origin;
    body.input = mr_wire_text(lane->input);
    body.model_id = mr_wire_text(lane->model_id);
    body.mark = lane->mark.some ? &mark : NULL;
    body.last_output = lane->last_out.some ? &last_out : NULL;
    body.since = lane->since;
    body.state_version = lane->state_version;
    body.state = mr_wire_lend(lane->state);
    body.parts = lane->parts;
    body.turn = lane->turn;
    message->body_case = MILLRACE__FOLD__V1__FOLD_ENTRY__BODY_LANE;
    message->lane = &body;
    return append_message(batch, key, message);
}

struct mr_error mr_folds_append(struct mr_buffer *batch, const char *key, const struct fold_entry *entry)
{
    Millrace__Fold__V1__FoldEntry message;
    millrace__fold__v1__fold_entry__init(&message);
    message.log_id = mr_wire_lend(mr_bytes_of(entry->log_id.bytes, MR_LOG_ID_SIZE));
    message.version = FOLD_VERSION;
    message.epoch = entry->epoch;
    message.snapshot = entry->snapshot;
    switch (entry->kind) {
    case FOLD_ENTRY_MARK: return append_mark(batch, key, &entry->of.mark, &message);
    case FOLD_ENTRY_LANE: return append_lane(batch, key, &entry->of.lane, &message);
    case FOLD_ENTRY_PART: {
        Millrace__Fold__V1__StatePart body;
        millrace__fold__v1__state_part__init(&body);
        body.index = entry->of.part.index;
        body.state = mr_wire_lend(entry->of.part.state);
        message.body_case = MILLRACE__FOLD__V1__FOLD_ENTRY__BODY_PART;
        message.part = &body;
        return append_message(batch, key, &message);
    }
    }
    mr_unreachable(__func__);
}

bool mr_folds_take(const struct mr_buffer *batch, size_t *at, struct mr_bytes *ret_key, struct mr_bytes *ret_value)
{
    struct sizes sizes;
    if (*at == batch->size) {
        return false;
    }
    memcpy(&sizes, batch->data + *at, sizeof sizes);
    *ret_key = mr_bytes_of(batch->data + *at + sizeof sizes, sizes.key);
    *ret_value = mr_bytes_of(ret_key->data + sizes.key, sizes.value);
    *at += sizeof sizes + sizes.key + sizes.value;
    return true;
}

/* ---- Reading ------------------------------------------------------------------------------------------------------
 */

static bool read_mark(const Millrace__Fold__V1__Mark *body, struct fold_mark *ret_mark)
{
    if (body->n_topics > MR_STAGE_OUTPUTS_MAX + 1) {
        return false;
    }
    *ret_mark = (struct fold_mark){.slot = body->slot, .lanes = body->lanes, .topic_count = body->n_topics};
    for (size_t i = 0; i < body->n_topics; i++) {
        ret_mark->topics[i] = (struct fold_topic){.topic = body->topics[i]->topic, .next = body->topics[i]->next};
    }
    return true;
}

static struct mr_mark read_offset(const Millrace__Common__V1__Offset *offset)
{
    return offset == NULL ? (struct mr_mark){0} : (struct mr_mark){true, offset->value};
}

static bool read_lane(const Millrace__Fold__V1__LaneState *body, struct fold_lane *ret_lane)
{
    *ret_lane = (struct fold_lane){
        .input = body->input,
        .model_id = body->model_id,
        .mark = read_offset(body->mark),
        .last_out = read_offset(body->last_output),
        .since = body->since,
        .state_version = body->state_version,
        .state = mr_wire_view(body->state),
        .parts = body->parts,
        .turn = body->turn,
    };
    return body->model_id[0] == '\0' || mr_id_valid(mr_bytes_of_text(body->model_id));
}

static bool read_body(const Millrace__Fold__V1__FoldEntry *message, struct fold_entry *entry)
{
    if (message->body_case == MILLRACE__FOLD__V1__FOLD_ENTRY__BODY_MARK) {
        entry->kind = FOLD_ENTRY_MARK;
        return read_mark(message->mark, &entry->of.mark);
    }
    if (message->body_case == MILLRACE__FOLD__V1__FOLD_ENTRY__BODY_LANE) {
        entry->kind = FOLD_ENTRY_LANE;
        return read_lane(message->lane, &entry->of.lane);
    }
    if (message->body_case == MILLRACE__FOLD__V1__FOLD_ENTRY__BODY_PART) {
        entry->kind = FOLD_ENTRY_PART;
        entry->of.part.index = message->part->index;
        entry->of.part.state = mr_wire_view(message->part->state);
        return true;
    }
    return false;
}

const char *mr_folds_decode(struct mr_bytes value, struct mr_arena *arena, struct fold_entry *ret_entry)
{
    struct mr_wire_memory memory = {.arena = arena};
    ProtobufCAllocator allocator = mr_wire_allocator(&memory);
    const Millrace__Fold__V1__FoldEntry *message =
        millrace__fold__v1__fold_entry__unpack(&allocator, value.size, value.data);
    struct fold_entry entry;
    memset(&entry, 0, sizeof entry);
    if (message == NULL || message->log_id.len != MR_LOG_ID_SIZE) {
        return "unreadable";
    }
    if (message->version != FOLD_VERSION) {
        return "other_version";
    }
    memcpy(entry.log_id.bytes, message->log_id.data, MR_LOG_ID_SIZE);
    entry.epoch = message->epoch;
    entry.snapshot = message->snapshot;
    if (!read_body(message, &entry)) {
        return "unreadable";
    }
    *ret_entry = entry;
    return NULL;
}
