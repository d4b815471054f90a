/* What the descriptors of protobuf-c know: unknown fields by path, and messages from JSON. */
#ifndef MR_MESSAGE_H
#define MR_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "millrace/base.h"

/* Where a message is wrong ("network.layers[2].linear.width") and what was expected there ("1 to 4096"). */
enum { MR_FIELD_PATH_SIZE = 128, MR_FIELD_EXPECTED_SIZE = 128 };
struct mr_field_fault {
    char path[MR_FIELD_PATH_SIZE];
    char expected[MR_FIELD_EXPECTED_SIZE];
};

/* REJECT `code` with the detail "<path>: expected <expected>". */
MR_MUST_USE struct mr_error mr_field_fault_error(const char *code, const struct mr_field_fault *fault);

enum { MR_MESSAGE_DEPTH_MAX = 32 };
/* Whether bytes from outside are safe to unpack: every field is whole, messages are nested at most MR_MESSAGE_DEPTH_MAX
 * deep (protobuf-c recurses without a limit), and every text is UTF-8 without NUL (protobuf-c would cut it there, and
 * an id would mean two things). Fields that the schema does not know are passed over. False: ret_fault says where and
 * why.
 */
MR_MUST_USE bool mr_message_wire_check(const ProtobufCMessageDescriptor *descriptor, struct mr_bytes bytes,
                                       struct mr_field_fault *ret_fault);

/* True when the message or one inside it holds a field that its schema does not know; `ret_fault` then says where
 * ("spec.network.field 99"). Bytes fields that hold messages are not looked into. */
MR_MUST_USE bool mr_message_has_unknown(const ProtobufCMessage *message, struct mr_field_fault *ret_fault);

/*
 * A message from JSON text: field names as in the schema, enumerators as words without their prefix in any case
 * ("log_euler", "X0"), bytes as lower-case hexadecimal, 64-bit numbers as numbers or decimal strings, floats as the
 * nearest float32. A field that the schema does not know, a wrong type, a number out of range, two members of a oneof
 * and a repeated key are faults. The caller frees the message with protobuf_c_message_free_unpacked(m, NULL).
 * REJECT "bad_json" on failure, with the fault filled.
 */
MR_MUST_USE struct mr_error mr_message_from_json(const ProtobufCMessageDescriptor *descriptor, struct mr_bytes text,
                                                 ProtobufCMessage **ret_message, struct mr_field_fault *ret_fault);

#endif
