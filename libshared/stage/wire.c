#include "millrace/wire.h"

static void *take(void *self, size_t size)
{
    struct mr_wire_memory *memory = self;
    void *block = mr_arena_alloc(memory->arena, size);
    memory->out = memory->out || block == NULL;
    return block;
}

static void keep(void *self, void *pointer)
{
    (void)self;
    (void)pointer; /* freed with the arena */
}

ProtobufCAllocator mr_wire_allocator(struct mr_wire_memory *memory)
{
    return (ProtobufCAllocator){.alloc = take, .free = keep, .allocator_data = memory};
}

struct mr_error mr_wire_not_unpacked(const struct mr_wire_memory *memory, const char *code, const char *message)
{
    return memory->out ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "unpacking %s", message)
                       : mr_error_make(MR_ERROR_REJECT, code, 0, "%s: not a protobuf message", message);
}

struct mr_error mr_wire_pack(const ProtobufCMessage *message, struct mr_arena *arena, struct mr_bytes *ret_value)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mr_arena_alloc(arena, size + 1);
    if (bytes == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%zu bytes for %s", size, message->descriptor->name);
    }
    protobuf_c_message_pack(message, bytes);
    *ret_value = mr_bytes_of(bytes, size);
    return mr_ok();
}

void mr_wire_stamp_init(struct mr_wire_stamp *wire, const struct mr_stage_stamp *stamp)
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
