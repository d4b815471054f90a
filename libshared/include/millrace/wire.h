/* protobuf-c in a stage: messages that live in the arena of a loop's turn, and the stamp that every output begins with.
 */
#ifndef MR_WIRE_H
#define MR_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "millrace/common/v1/common.pb-c.h"
#include "millrace/hash.h"
#include "millrace/stage.h"

/* Where a message is unpacked to. `out` tells an arena that is full from bytes that are no message: protobuf-c answers
 * NULL to both. */
struct mr_wire_memory {
    struct mr_arena *arena;
    bool out;
};
/* Unpacked messages live as long as the arena's turn; there is nothing to free. */
ProtobufCAllocator mr_wire_allocator(struct mr_wire_memory *memory);
/* Why an unpack into the memory answered NULL: FATAL "out_of_memory", or REJECT `code`. `message` names its type. */
MR_MUST_USE struct mr_error mr_wire_not_unpacked(const struct mr_wire_memory *memory, const char *code,
                                                 const char *message);

/* A field of type bytes that lends what the view lends. */
static inline ProtobufCBinaryData mr_wire_lend(struct mr_bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}
static inline ProtobufCBinaryData mr_wire_lend_hash(const struct mr_sha256 *hash)
{
    return mr_wire_lend(mr_bytes_of(hash->bytes, sizeof hash->bytes));
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
MR_MUST_USE struct mr_error mr_wire_pack(const ProtobufCMessage *message, struct mr_arena *arena,
                                         struct mr_bytes *ret_value);

/* The stamp as a message: set `message` as the value's field 1. Lends the stage's stamp, and points into itself. */
struct mr_wire_stamp {
    Millrace__Common__V1__Stamp message;
    Millrace__Common__V1__Origin origin;
    Millrace__Common__V1__Offset prev;
};
void mr_wire_stamp_init(struct mr_wire_stamp *wire, const struct mr_stage_stamp *stamp);

#endif
