#include "submitted.h"

#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/message.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 65536 };

const char *submitted_planned(const char *spec, const char *plan)
{
    static char text[8192];
    static const char old[] = "\"final_commit\":{}";
    const char *at = strstr(spec, old);
    ck_assert_ptr_nonnull(at);
    const int size = snprintf(text, sizeof text, "%.*s%s%s", (int)(at - spec), spec, plan, at + sizeof old - 1);
    ck_assert_int_lt(size, (int)sizeof text);
    return text;
}

struct mr_buffer submitted_bytes(const char *format, ...)
{
    static char text[TEXT_SIZE];
    struct mr_buffer bytes = {0};
    struct mr_field_fault fault = {.path = ""};
    ProtobufCMessage *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ck_assert_int_lt(size, TEXT_SIZE);
    const struct mr_error error =
        mr_message_from_json(&millrace__batch__v1__submitted__descriptor, mr_bytes_of_text(text), &message, &fault);
    ck_assert_msg(!mr_failed(error), "%s: expected %s in %s", fault.path, fault.expected, text);
    const size_t packed = protobuf_c_message_get_packed_size(message);
    ck_assert(!mr_failed(mr_buffer_reserve(&bytes, packed + 1)));
    bytes.size = protobuf_c_message_pack(message, bytes.data);
    protobuf_c_message_free_unpacked(message, NULL);
    return bytes;
}

struct mr_buffer submitted_start(const char *run, const char *model, const char *spec)
{
    return submitted_bytes("{\"run_started\":{\"run_id\":\"%s\",\"model_id\":\"%s\",\"spec\":%s}}", run, model, spec);
}

struct mr_buffer submitted_stop(const char *run, const char *model)
{
    return submitted_bytes("{\"run_stopped\":{\"run_id\":\"%s\",\"model_id\":\"%s\",\"outcome\":\"completed\"}}", run,
                           model);
}

struct mr_buffer submitted_batch(const char *run, const char *model, const char *producer, const char *payload)
{
    return submitted_bytes("{\"batch\":{\"run_id\":\"%s\",\"model_id\":\"%s\",\"batch_id\":\"b\",%s%s}}", run, model,
                           producer, payload);
}

struct mr_buffer submitted_labelled(const char *run, const char *model, float target)
{
    const float features[] = {0.5F, -0.25F}, targets[] = {target, 1};
    char payload[1024];
    (void)snprintf(payload, sizeof payload,
                   "\"labelled\":{\"features\":{\"dtype\":\"float32\",\"shape\":[1,2],\"data\":\"%s\"},"
                   "\"targets\":{\"dtype\":\"float32\",\"shape\":[1,1,2],\"data\":\"%s\"}}",
                   submitted_floats(features, 2), submitted_floats(targets, 2));
    return submitted_batch(run, model, "", payload);
}

const char *submitted_floats(const float *values, size_t count)
{
    static char texts[4][TEXT_SIZE];
    static unsigned next;
    char *text = texts[next++ % 4];
    ck_assert_uint_lt(count * 8, TEXT_SIZE);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        const uint8_t bytes[] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
        mr_hex(mr_bytes_of(bytes, sizeof bytes), text + 8 * i);
    }
    text[8 * count] = '\0';
    return text;
}
