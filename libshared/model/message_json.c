/* JSON to protobuf-c, by descriptor. The message under construction is freed whole on any fault. */
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "millrace/message.h"

struct place {
    char path[MR_FIELD_PATH_SIZE];
};

static bool fault_at(const struct place *place, struct mr_field_fault *ret_fault, const char *expected)
{
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s", place->path);
    snprintf(ret_fault->expected, sizeof ret_fault->expected, "%s", expected);
    return false;
}

/* A path that is too long is cut: it is for people. */
static struct place inside(const struct place *place, const char *name)
{
    struct place inner = *place;
    const size_t used = strlen(inner.path);
    (void)snprintf(inner.path + used, sizeof inner.path - used, "%s%s", used == 0 ? "" : ".", name);
    return inner;
}

static struct place item(const struct place *place, size_t index)
{
    struct place inner = *place;
    const size_t used = strlen(inner.path);
    (void)snprintf(inner.path + used, sizeof inner.path - used, "[%zu]", index);
    return inner;
}

/* "SCHEME_LOG_EULER" of enumeration Scheme is the word "LOG_EULER": what follows the prefix that all values share. */
static size_t enum_prefix(const ProtobufCEnumDescriptor *descriptor)
{
    const char *first = descriptor->values[0].name;
    size_t common = strlen(first);
    for (unsigned i = 1; i < descriptor->n_values; i++) {
        size_t same = 0;
        while (same < common && descriptor->values[i].name[same] == first[same]) {
            same++;
        }
        common = same;
    }
    while (common > 0 && first[common - 1] != '_') {
        common--;
    }
    return common;
}

static bool put_enum(const ProtobufCEnumDescriptor *descriptor, const json_t *json, void *member,
                     const struct place *place, struct mr_field_fault *ret_fault)
{
    char words[MR_FIELD_EXPECTED_SIZE] = "one of";
    const size_t prefix = enum_prefix(descriptor);
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        const char *word = descriptor->values[i].name + prefix;
        if (descriptor->values[i].value == 0) {
            continue; /* UNSPECIFIED is the absence of a choice */
        }
        if (json_is_string(json) && strcasecmp(word, json_string_value(json)) == 0) {
            const int value = descriptor->values[i].value;
            memcpy(member, &value, sizeof value);
            return true;
        }
        const size_t used = strlen(words);
        snprintf(words + used, sizeof words - used, " %s", word);
    }
    for (char *c = words; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return fault_at(place, ret_fault, words);
}

static bool read_unsigned(const json_t *json, uint64_t *ret_value)
{
    if (json_is_integer(json)) {
        *ret_value = (uint64_t)json_integer_value(json);
        return json_integer_value(json) >= 0;
    }
    if (!json_is_string(json)) {
        return false;
    }
    const char *text = json_string_value(json);
    uint64_t value = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || value > (UINT64_MAX - (uint64_t)(*c - '0')) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(*c - '0');
    }
    *ret_value = value;
    return text[0] != '\0';
}

static bool put_bytes(const json_t *json, ProtobufCBinaryData *member, const struct place *place,
                      struct mr_field_fault *ret_fault)
{
    const size_t digits = json_is_string(json) ? json_string_length(json) : 1;
    uint8_t *data = digits % 2 == 0 ? malloc(digits / 2 + 1) : NULL;
    if (data == NULL || !mr_unhex(json_string_value(json), data, digits / 2)) {
        free(data);
        return fault_at(place, ret_fault, "lower-case hexadecimal digits");
    }
    member->data = data;
    member->len = digits / 2;
    return true;
}

static bool put_text(const json_t *json, char **member, const struct place *place, struct mr_field_fault *ret_fault)
{
    /* Texts with a NUL would be cut short on the wire. */
    if (!json_is_string(json) || strlen(json_string_value(json)) != json_string_length(json)) {
        return fault_at(place, ret_fault, "a text");
    }
    *member = strdup(json_string_value(json));
    return *member != NULL || fault_at(place, ret_fault, "memory");
}

static bool put_integer(const ProtobufCFieldDescriptor *field, const json_t *json, void *member,
                        const struct place *place, struct mr_field_fault *ret_fault)
{
    uint64_t value;
    if (field->type == PROTOBUF_C_TYPE_INT64) {
        const int64_t number = json_integer_value(json);
        memcpy(member, &number, sizeof number);
        return json_is_integer(json) || fault_at(place, ret_fault, "an integer");
    }
    if (!read_unsigned(json, &value)) {
        return fault_at(place, ret_fault, "an integer that is not negative");
    }
    if (field->type == PROTOBUF_C_TYPE_UINT32) {
        const uint32_t small = (uint32_t)value;
        memcpy(member, &small, sizeof small);
        return value <= UINT32_MAX || fault_at(place, ret_fault, "an integer below 2^32");
    }
    memcpy(member, &value, sizeof value);
    return true;
}

static bool put_real(const ProtobufCFieldDescriptor *field, const json_t *json, void *member, const struct place *place,
                     struct mr_field_fault *ret_fault)
{
    const double value = json_number_value(json);
    const float nearest = (float)value;
    if (!json_is_number(json) || !isfinite(nearest)) {
        return fault_at(place, ret_fault, "a number in float32's range");
    }
    if (field->type == PROTOBUF_C_TYPE_DOUBLE) {
        memcpy(member, &value, sizeof value);
    } else {
        memcpy(member, &nearest, sizeof nearest);
    }
    return true;
}

static bool read_message(const ProtobufCMessageDescriptor *descriptor, const json_t *json,
                         ProtobufCMessage **ret_message, const struct place *place, struct mr_field_fault *ret_fault);

static bool put_value(const ProtobufCFieldDescriptor *field, const json_t *json, void *member,
                      const struct place *place, struct mr_field_fault *ret_fault)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64: return put_integer(field, json, member, place, ret_fault);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE: return put_real(field, json, member, place, ret_fault);
    case PROTOBUF_C_TYPE_BOOL: {
        const protobuf_c_boolean value = json_is_true(json);
        memcpy(member, &value, sizeof value);
        return json_is_boolean(json) || fault_at(place, ret_fault, "true or false");
    }
    case PROTOBUF_C_TYPE_ENUM: return put_enum(field->descriptor, json, member, place, ret_fault);
    case PROTOBUF_C_TYPE_STRING: return put_text(json, (char **)member, place, ret_fault);
    case PROTOBUF_C_TYPE_BYTES: return put_bytes(json, (ProtobufCBinaryData *)member, place, ret_fault);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(field->descriptor, json, (ProtobufCMessage **)member, place, ret_fault);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FIXED64: break; /* in none of our schemas */
    }
    mr_unreachable(__func__);
}

static size_t member_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return 8;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM: return 4;
    }
    mr_unreachable(__func__);
}

static bool put_repeated(const ProtobufCFieldDescriptor *field, const json_t *json, ProtobufCMessage *message,
                         const struct place *place, struct mr_field_fault *ret_fault)
{
    char *base = (char *)message;
    size_t *count = (size_t *)(void *)(base + field->quantifier_offset);
    const size_t size = member_size(field->type);
    if (!json_is_array(json)) {
        return fault_at(place, ret_fault, "a list");
    }
    char *members = calloc(json_array_size(json) + 1, size);
    if (members == NULL) {
        return fault_at(place, ret_fault, "memory");
    }
    *(void **)(void *)(base + field->offset) = members;
    for (size_t i = 0; i < json_array_size(json); i++) {
        const struct place inner = item(place, i);
        if (!put_value(field, json_array_get(json, i), members + i * size, &inner, ret_fault)) {
            return false;
        }
        *count = i + 1; /* only what is whole is freed with the message */
    }
    return true;
}

static bool put_field(const ProtobufCFieldDescriptor *field, const json_t *json, ProtobufCMessage *message,
                      const struct place *place, struct mr_field_fault *ret_fault)
{
    char *base = (char *)message;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return put_repeated(field, json, message, place, ret_fault);
    }
    void *member = base + field->offset;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
        return put_value(field, json, member, place, ret_fault);
    }
    uint32_t *chosen = (uint32_t *)(void *)(base + field->quantifier_offset);
    if (*chosen != 0) {
        return fault_at(place, ret_fault, "only one member of its oneof");
    }
    if (!put_value(field, json, member, place, ret_fault)) {
        return false;
    }
    *chosen = field->id;
    return true;
}

static bool read_message(const ProtobufCMessageDescriptor *descriptor, const json_t *json,
                         ProtobufCMessage **ret_message, const struct place *place, struct mr_field_fault *ret_fault)
{
    const char *key;
    const json_t *value;
    if (!json_is_object(json)) {
        return fault_at(place, ret_fault, "an object");
    }
    ProtobufCMessage *message = malloc(descriptor->sizeof_message);
    if (message == NULL) {
        return fault_at(place, ret_fault, "memory");
    }
    descriptor->message_init(message);
    /* jansson's iteration takes a mutable object, but changes nothing. */
    json_t *object = json_incref((json_t *)(uintptr_t)json);
    bool good = true;
    json_object_foreach(object, key, value)
    {
        const struct place inner = inside(place, key);
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(descriptor, key);
        if (field == NULL) {
            char expected[MR_FIELD_EXPECTED_SIZE];
            snprintf(expected, sizeof expected, "a field of %s", descriptor->name);
            good = fault_at(&inner, ret_fault, expected);
        } else {
            good = put_field(field, value, message, &inner, ret_fault);
        }
        if (!good) {
            break;
        }
    }
    json_decref(object);
    if (!good) {
        protobuf_c_message_free_unpacked(message, NULL);
        return false;
    }
    *ret_message = message;
    return true;
}

struct mr_error mr_message_from_json(const ProtobufCMessageDescriptor *descriptor, struct mr_bytes text,
                                     ProtobufCMessage **ret_message, struct mr_field_fault *ret_fault)
{
    json_error_t problem;
    const struct place top = {.path = ""};
    json_t *json = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &problem);
    if (json == NULL) {
        snprintf(ret_fault->path, sizeof ret_fault->path, "line %d", problem.line);
        snprintf(ret_fault->expected, sizeof ret_fault->expected, "JSON: %.100s", problem.text);
        return mr_field_fault_error("bad_json", ret_fault);
    }
    const bool good = read_message(descriptor, json, ret_message, &top, ret_fault);
    json_decref(json);
    return good ? mr_ok() : mr_field_fault_error("bad_json", ret_fault);
}
