/* protobuf-c in a stage: messages that live in the arena of a loop's turn, and the stamp that every output begins with.
 */
#ifndef MR_WIRE_H
#define MR_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "millrace/common/v1/common.pb-c.h"
#include "millrace/stage.h"

/* Where a message is unpacked to. `out` tells an arena that is full from bytes that are no message: protobuf-c answers
 * NULL to both. */
struct mr_wire_memory {
    struct mr_arena *arena;
    bool out;
};
static inline void *mr_wire_alloc_(void *self, size_t size)
{
    struct mr_wire_memory *memory = (struct mr_wire_memory *)self;
    void *block = mr_arena_alloc(memory->arena, size);
    memory->out = memory->out || block == NULL;
    return block;
}
static inline void mr_wire_keep_(void *self, void *pointer)
{
    (void)self;
    (void)pointer; /* freed with the arena */
}
/* Unpacked messages live as long as the arena's turn; there is nothing to free. */
static inline ProtobufCAllocator mr_wire_allocator(struct mr_wire_memory *memory)
{
    return (ProtobufCAllocator){.alloc = mr_wire_alloc_, .free = mr_wire_keep_, .allocator_data = memory};
}

/* A field of type bytes that lends what the view lends. */
static inline ProtobufCBinaryData mr_wire_lend(struct mr_bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}
static inline struct mr_bytes mr_wire_view(ProtobufCBinaryData data)
{
    return mr_bytes_of(data.data, data.len);
}
/* A field of type string that lends text; protobuf-c does not write to it. */
static inline char *mr_wire_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* Packs into the arena. FATAL "out_of_memory". */
MR_MUST_USE static inline struct mr_error mr_wire_pack(const ProtobufCMessage *message, struct mr_arena *arena,
                                                       struct mr_bytes *ret_value)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = (uint8_t *)mr_arena_alloc(arena, size + 1);
    if (bytes == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%zu bytes for %s", size, message->descriptor->name);
    }
    protobuf_c_message_pack(message, bytes);
    *ret_value = mr_bytes_of(bytes, size);
    return mr_ok();
}

/* The stamp as a message: set `message` as the value's field 1. Lends the stage's stamp, and points into itself. */
struct mr_wire_stamp {
    Millrace__Common__V1__Stamp message;
    Millrace__Common__V1__Origin origin;
    Millrace__Common__V1__Offset prev;
};
static inline void mr_wire_stamp_init(struct mr_wire_stamp *wire, const struct mr_stage_stamp *stamp)
{
    millrace__common__v1__stamp__init(&wire->message);
    millrace__common__v1__origin__init(&wire->origin);
    millrace__common__v1__offset__init(&wire->prev);
    wire->origin.log_id = mr_wire_lend(mr_bytes_of(stamp->log_id.bytes, MR_LOG_ID_SIZE));
    wire->origin.partition = stamp->partition;
    wire->origin.offset = stamp->origin;
    wire->prev.value = stamp->prev;
    wire->message.model_id = mr_wire_text(stamp->model_id);
    wire->message.origin = &wire->origin;
    wire->message.prev = stamp->has_prev ? &wire->prev : NULL;
}

#endif
