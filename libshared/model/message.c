/* Walks a message by its descriptor to find what the schema does not know. */
#include "millrace/message.h"

#include <stdio.h>

struct mr_error mr_field_fault_error(const char *code, const struct mr_field_fault *fault)
{
    return mr_error_make(MR_ERROR_REJECT, code, 0, "%s: expected %s",
                         fault->path[0] == '\0' ? "(message)" : fault->path, fault->expected);
}

/* A field of a message as an array of its messages: one, none, or a repeated field's. */
static size_t messages_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                          ProtobufCMessage *const **ret_messages)
{
    const char *base = (const char *)message;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        *ret_messages = *(ProtobufCMessage *const *const *)(const void *)(base + field->offset);
        return *(const size_t *)(const void *)(base + field->quantifier_offset);
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id) {
        return 0;
    }
    *ret_messages = (ProtobufCMessage *const *)(const void *)(base + field->offset);
    return **ret_messages == NULL ? 0 : 1;
}

static bool unknown_at(const ProtobufCMessage *message, const char *path, struct mr_field_fault *ret_fault)
{
    const char *dot = path[0] == '\0' ? "" : ".";
    if (message->n_unknown_fields > 0) {
        snprintf(ret_fault->path, sizeof ret_fault->path, "%s%sfield %u", path, dot, message->unknown_fields[0].tag);
        snprintf(ret_fault->expected, sizeof ret_fault->expected, "a field of %s", message->descriptor->name);
        return true;
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        ProtobufCMessage *const *inside = NULL;
        const size_t count = messages_of(message, field, &inside);
        for (size_t k = 0; k < count; k++) {
            char inner[MR_FIELD_PATH_SIZE];
            if (field->label == PROTOBUF_C_LABEL_REPEATED) {
                snprintf(inner, sizeof inner, "%s%s%s[%zu]", path, dot, field->name, k);
            } else {
                snprintf(inner, sizeof inner, "%s%s%s", path, dot, field->name);
            }
            if (unknown_at(inside[k], inner, ret_fault)) {
                return true;
            }
        }
    }
    return false;
}

bool mr_message_has_unknown(const ProtobufCMessage *message, struct mr_field_fault *ret_fault)
{
    return unknown_at(message, "", ret_fault);
}
