/* Whether bytes from outside are safe to unpack: checked against the schema, before protobuf-c sees them. */
#ifndef INGEST_WIRE_H
#define INGEST_WIRE_H

#include "millrace/message.h"

enum { INGEST_WIRE_DEPTH_MAX = 32 };

/* True when every field is whole, messages are nested at most INGEST_WIRE_DEPTH_MAX deep (protobuf-c recurses without a
 * limit), and every text is UTF-8 without NUL (protobuf-c would cut it there, and an id would mean two things). Fields
 * that the schema does not know are passed over. False: ret_fault says where and why. */
MR_MUST_USE bool ingest_wire_check(const ProtobufCMessageDescriptor *descriptor, struct mr_bytes bytes,
                                   struct mr_field_fault *ret_fault);

#endif
