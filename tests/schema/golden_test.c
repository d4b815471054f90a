/*
 * Golden bytes: a value of every released message, as it once was written. Each must decode for ever, without a field
 * that is not known, and encode to the same bytes; together they set every field of every message, so that a new field
 * comes with new golden bytes (tests/schema/golden; ./dev schemas golden encodes them).
 */
#include "check_main.h"
#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/checkpoint/v1/checkpoint.pb-c.h"
#include "millrace/common/v1/common.pb-c.h"
#include "millrace/deployment/v1/deployment.pb-c.h"
#include "millrace/fold/v1/fold.pb-c.h"
#include "millrace/metric/v1/metric.pb-c.h"
#include "millrace/retry/v1/retry.pb-c.h"
#include "millrace/step/v1/step.pb-c.h"
#include "millrace/version/v1/version.pb-c.h"

#include "millrace/base.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* Every message that is the value of a topic or an object in the store, or is kept as bytes in one. */
static const ProtobufCMessageDescriptor *const released[] = {
    &millrace__batch__v1__submitted__descriptor,
    &millrace__batch__v1__ingested__descriptor,
    &millrace__batch__v1__validated__descriptor,
    &millrace__batch__v1__staged__descriptor,
    &millrace__step__v1__step_trained__descriptor,
    &millrace__checkpoint__v1__checkpoint__descriptor,
    &millrace__checkpoint__v1__checkpoint_produced__descriptor,
    &millrace__version__v1__version_committed__descriptor,
    &millrace__version__v1__version_published__descriptor,
    &millrace__metric__v1__metric_published__descriptor,
    &millrace__retry__v1__retry_entry__descriptor,
    &millrace__deployment__v1__deployment__descriptor,
    &millrace__fold__v1__fold_entry__descriptor,
    &millrace__fold__v1__ingest_model__descriptor,
    &millrace__fold__v1__validate_model__descriptor,
    &millrace__fold__v1__publish_model__descriptor,
    &millrace__common__v1__stamped__descriptor,
};

enum { FIELDS_MAX = 1024, FILE_MAX = 65536, MESSAGES_MAX = 256 };

/* Fields that some golden value sets. */
static const ProtobufCFieldDescriptor *seen[FIELDS_MAX];
static size_t seen_count;

static bool was_seen(const ProtobufCFieldDescriptor *field)
{
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i] == field) {
            return true;
        }
    }
    return false;
}

static bool scalar_is_set(const ProtobufCFieldDescriptor *field, const void *member)
{
    static const uint8_t zero[8];
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return **(const char *const *)member != '\0';
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        return ((const ProtobufCBinaryData *)member)->len > 0;
    }
    const bool eight = field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_INT64;
    return memcmp(member, zero, eight ? 8 : 4) != 0;
}

static void look_at(const ProtobufCMessage *message, const char *file);

static void look_at_messages(const ProtobufCFieldDescriptor *field, const uint8_t *base, size_t count, const char *file)
{
    const void *member = base + field->offset;
    for (size_t i = 0; i < count; i++) {
        look_at(field->label == PROTOBUF_C_LABEL_REPEATED ? (*(const ProtobufCMessage *const *const *)member)[i]
                                                          : *(const ProtobufCMessage *const *)member,
                file);
    }
}

/* Marks what the message sets, through all its parts. */
static void look_at(const ProtobufCMessage *message, const char *file)
{
    ck_assert_msg(message->n_unknown_fields == 0, "%s: a field of %s is not known", file, message->descriptor->name);
    const uint8_t *base = (const uint8_t *)message;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const void *member = base + field->offset;
        const void *quantifier = base + field->quantifier_offset;
        size_t count = 1;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            count = *(const size_t *)quantifier;
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
            count = *(const uint32_t *)quantifier == field->id ? 1 : 0;
        } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            count = *(const ProtobufCMessage *const *)member != NULL ? 1 : 0;
        } else {
            count = scalar_is_set(field, member) ? 1 : 0;
        }
        if (count > 0 && !was_seen(field)) {
            ck_assert_uint_lt(seen_count, FIELDS_MAX);
            seen[seen_count++] = field;
        }
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            look_at_messages(field, base, count, file);
        }
    }
}

/* Of "millrace.batch.v1.Submitted.batch_sobol.bin": the descriptor of millrace.batch.v1.Submitted. */
static const ProtobufCMessageDescriptor *descriptor_of(const char *file)
{
    for (size_t i = 0; i < MR_COUNT_OF(released); i++) {
        const size_t size = strlen(released[i]->name);
        if (strncmp(file, released[i]->name, size) == 0 && file[size] == '.') {
            return released[i];
        }
    }
    ck_abort_msg("%s: no released message has this name", file);
    return NULL;
}

static size_t read_file(const char *file, uint8_t ret_bytes[FILE_MAX])
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", MR_GOLDEN_FOLDER, file);
    FILE *stream = fopen(path, "rb");
    ck_assert_msg(stream != NULL, "cannot open %s", path);
    const size_t size = fread(ret_bytes, 1, FILE_MAX, stream);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_msg(size > 0 && size < FILE_MAX, "%s is empty or too large", path);
    return size;
}

static void round_trip(const char *file)
{
    static uint8_t bytes[FILE_MAX], again[FILE_MAX];
    const size_t size = read_file(file, bytes);
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor_of(file), NULL, size, bytes);
    ck_assert_msg(message != NULL, "%s does not decode", file);
    look_at(message, file);
    ck_assert_msg(protobuf_c_message_get_packed_size(message) == size, "%s changes its size", file);
    ck_assert_uint_eq(protobuf_c_message_pack(message, again), size);
    ck_assert_msg(memcmp(bytes, again, size) == 0, "%s changes its bytes", file);
    protobuf_c_message_free_unpacked(message, NULL);
}

static size_t round_trip_all(void)
{
    size_t count = 0;
    DIR *listing = opendir(MR_GOLDEN_FOLDER);
    ck_assert_msg(listing != NULL, "cannot list %s", MR_GOLDEN_FOLDER);
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        const size_t size = strlen(entry->d_name);
        if (size > 4 && strcmp(entry->d_name + size - 4, ".bin") == 0) {
            round_trip(entry->d_name);
            count++;
        }
    }
    ck_assert_int_eq(closedir(listing), 0);
    return count;
}

START_TEST(golden_bytes_decode_and_encode_again)
{
    ck_assert_uint_ge(round_trip_all(), MR_COUNT_OF(released));
}
END_TEST

START_TEST(golden_bytes_set_every_field)
{
    const ProtobufCMessageDescriptor *known[MESSAGES_MAX];
    size_t count = MR_COUNT_OF(released);
    memcpy(known, released, sizeof released);
    (void)round_trip_all();
    for (size_t i = 0; i < count; i++) {
        for (unsigned j = 0; j < known[i]->n_fields; j++) {
            const ProtobufCFieldDescriptor *field = &known[i]->fields[j];
            ck_assert_msg(was_seen(field), "no golden value sets %s.%s", known[i]->name, field->name);
            bool listed = field->type != PROTOBUF_C_TYPE_MESSAGE;
            for (size_t k = 0; k < count && !listed; k++) {
                listed = known[k] == field->descriptor;
            }
            if (!listed) {
                ck_assert_uint_lt(count, MESSAGES_MAX);
                known[count++] = field->descriptor;
            }
        }
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, golden_bytes_decode_and_encode_again);
    tcase_add_test(tests, golden_bytes_set_every_field);
}

int main(void)
{
    return check_main("schema", add);
}
