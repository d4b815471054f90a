#include "stamped.h"

#include "millrace/wire.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 65536 };

struct mr_stage_stamp stamped_by(const char *model, uint32_t partition, uint64_t origin, int64_t prev)
{
    struct mr_stage_stamp stamp = {.model_id = model,
                                   .partition = partition,
                                   .origin = origin,
                                   .has_prev = prev >= 0,
                                   .prev = prev >= 0 ? (uint64_t)prev : 0};
    memset(stamp.log_id.bytes, 0xab, MR_LOG_ID_SIZE);
    return stamp;
}

uint64_t stamped_append(struct memory_broker *broker, const char *topic, const struct mr_stage_stamp *stamp,
                        const ProtobufCMessage *message)
{
    struct mr_arena arena = {0};
    struct mr_bytes value;
    ck_assert(!mr_failed(mr_wire_pack(message, &arena, &value)));
    const struct mr_log_output output = {.topic = topic,
                                         .partition = stamp->partition,
                                         .has_key = true,
                                         .key = mr_bytes_of_text(stamp->model_id),
                                         .has_value = true,
                                         .value = value};
    const uint64_t offset = memory_broker_append(broker, &output);
    mr_arena_deinit(&arena);
    return offset;
}

const char *stamped_origins(struct memory_broker *broker, const char *topic, uint32_t partition, const char *model)
{
    static char text[TEXT_SIZE];
    size_t used = 0;
    text[0] = '\0';
    for (uint64_t at = 0; at < memory_broker_high(broker, topic, partition); at++) {
        const struct mr_log_record *record = memory_broker_record(broker, topic, partition, at);
        if (!mr_bytes_equal(record->key, mr_bytes_of_text(model))) {
            continue;
        }
        Millrace__Common__V1__Stamped *stamped =
            millrace__common__v1__stamped__unpack(NULL, record->value.size, record->value.data);
        ck_assert_ptr_nonnull(stamped);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%llu", used > 0 ? " " : "",
                                 (unsigned long long)stamped->stamp->origin->offset);
        ck_assert_uint_lt(used, sizeof text);
        millrace__common__v1__stamped__free_unpacked(stamped, NULL);
    }
    return text;
}
