/* Bytes from outside, walked by the schema before protobuf-c sees them. */
#include "millrace/message.h"

#include <stdio.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct walk {
    struct mr_field_fault *fault;
    size_t path_size;
    uint32_t depth;
};

static bool fail(const struct walk *walk, const char *expected)
{
    (void)snprintf(walk->fault->expected, sizeof walk->fault->expected, "%s", expected);
    return false;
}

/* Takes a varint off the front. */
static bool take_varint(struct mr_bytes *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && rest->size > 0; shift += 7) {
        const uint8_t byte = *rest->data;
        rest->data++;
        rest->size--;
        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
        }
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct mr_bytes *rest, uint64_t size, struct mr_bytes *ret_bytes)
{
    if (size > rest->size) {
        return false;
    }
    *ret_bytes = mr_bytes_of(rest->data, (size_t)size);
    rest->data += size;
    rest->size -= (size_t)size;
    return true;
}

/* The length of the UTF-8 sequence at the front; 0: none, or NUL. */
static size_t sequence_size(struct mr_bytes text)
{
    const uint8_t lead = text.data[0];
    if (lead < 0x80) {
        return lead == 0 ? 0 : 1;
    }
    const size_t size = lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : 4;
    if ((size == 4 && (lead < 0xf0 || lead > 0xf4)) || size > text.size) {
        return 0;
    }
    /* The second byte's range shuts out overlong forms, surrogates and what lies above U+10FFFF. */
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (text.data[1] < low || text.data[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

static bool text_valid(struct mr_bytes text)
{
    while (text.size > 0) {
        const size_t size = sequence_size(text);
        if (size == 0) {
            return false;
        }
        text.data += size;
        text.size -= size;
    }
    return true;
}

static bool check_message(struct walk *walk, const ProtobufCMessageDescriptor *descriptor, struct mr_bytes rest);

/* A field that is known by name: its path stays in the fault if it is wrong. */
static bool check_bytes_field(struct walk *walk, const ProtobufCFieldDescriptor *field, struct mr_bytes content)
{
    const size_t before = walk->path_size;
    char *path = walk->fault->path;
    const int added = snprintf(path + before, MR_FIELD_PATH_SIZE - before, "%s%s", before == 0 ? "" : ".", field->name);
    walk->path_size = before + (size_t)added < MR_FIELD_PATH_SIZE ? before + (size_t)added : MR_FIELD_PATH_SIZE - 1;
    if (field->type == PROTOBUF_C_TYPE_STRING && !text_valid(content)) {
        return fail(walk, "UTF-8 text without NUL");
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && !check_message(walk, field->descriptor, content)) {
        return false;
    }
    walk->path_size = before;
    path[before] = '\0';
    return true;
}

static bool check_message(struct walk *walk, const ProtobufCMessageDescriptor *descriptor, struct mr_bytes rest)
{
    if (walk->depth == MR_MESSAGE_DEPTH_MAX) {
        return fail(walk, "at most 32 levels of messages");
    }
    walk->depth++;
    while (rest.size > 0) {
        uint64_t tag, number;
        struct mr_bytes content = {NULL, 0};
        if (!take_varint(&rest, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) {
            return fail(walk, "a field's number");
        }
        const unsigned type = (unsigned)(tag & 7);
        const bool whole = type == WIRE_VARINT    ? take_varint(&rest, &number)
                           : type == WIRE_FIXED64 ? take_bytes(&rest, 8, &content)
                           : type == WIRE_FIXED32 ? take_bytes(&rest, 4, &content)
                           : type == WIRE_BYTES   ? take_varint(&rest, &number) && take_bytes(&rest, number, &content)
                                                  : false;
        if (!whole) {
            return fail(walk, "whole fields of a known wire type");
        }
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        if (field != NULL && type == WIRE_BYTES && !check_bytes_field(walk, field, content)) {
            return false;
        }
    }
    walk->depth--;
    return true;
}

bool mr_message_wire_check(const ProtobufCMessageDescriptor *descriptor, struct mr_bytes bytes,
                           struct mr_field_fault *ret_fault)
{
    struct mr_field_fault fault = {.path = ""};
    struct walk walk = {.fault = &fault};
    if (check_message(&walk, descriptor, bytes)) {
        return true;
    }
    *ret_fault = fault;
    return false;
}
