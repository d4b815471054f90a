/* One record by its offset. What is asked for lies close together and comes in no order: a reader goes forward, keeps
 * what it passes, and seeks only when it must, because each seek throws away what the client has fetched ahead. */
#include "stage_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { READ_WAIT_MS = 5000, PASSED_MAX = 4096, PASSED_BYTES_MAX = 16 << 20 };

/* A value that was passed, and may be asked for; freed values leave a hole until they are the oldest. */
struct passed {
    uint64_t offset;
    uint8_t *data; /* NULL: a hole */
    size_t size;
};

struct reader {
    struct reader *after;
    const char *topic;
    uint32_t partition;
    struct mr_log_reader *log_reader;
    uint64_t next; /* offset that the log gives next, if `some` */
    bool some;
    struct passed passed[PASSED_MAX]; /* a ring, by growing offsets */
    size_t first, count;
    size_t bytes;
    struct mr_buffer current; /* what was handed out last */
};

static struct passed *passed_at(struct reader *reader, size_t index)
{
    return &reader->passed[(reader->first + index) % PASSED_MAX];
}

static void forget_oldest(struct reader *reader)
{
    struct passed *const oldest = passed_at(reader, 0);
    reader->bytes -= oldest->data == NULL ? 0 : oldest->size;
    free(oldest->data);
    reader->first = (reader->first + 1) % PASSED_MAX;
    reader->count--;
}

static void forget_all(struct reader *reader)
{
    while (reader->count > 0) {
        forget_oldest(reader);
    }
}

void mr_readers_close(struct mr_stage *stage)
{
    while (stage->readers != NULL) {
        struct reader *const reader = stage->readers;
        stage->readers = reader->after;
        forget_all(reader);
        mr_buffer_deinit(&reader->current);
        stage->env.log->ops->reader_close(stage->env.log, reader->log_reader);
        free(reader);
    }
}

static struct mr_error reader_of(struct mr_stage *stage, const char *topic, uint32_t partition, uint64_t offset,
                                 struct reader **ret_reader)
{
    struct reader *reader = stage->readers;
    while (reader != NULL && (strcmp(reader->topic, topic) != 0 || reader->partition != partition)) {
        reader = reader->after;
    }
    if (reader == NULL) {
        reader = calloc(1, sizeof *reader);
        if (reader == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a reader");
        }
        struct mr_error error =
            stage->env.log->ops->reader_open(stage->env.log, topic, partition, offset, &reader->log_reader);
        if (mr_failed(error)) {
            free(reader);
            return error;
        }
        reader->topic = topic;
        reader->partition = partition;
        reader->next = offset;
        reader->some = true;
        reader->after = stage->readers;
        stage->readers = reader;
    }
    *ret_reader = reader;
    return mr_ok();
}

/* Whether the value was passed; it is the reader's current one then. */
static bool take_passed(struct reader *reader, uint64_t offset)
{
    size_t low = 0, high = reader->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (passed_at(reader, middle)->offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct passed *const found = low < reader->count ? passed_at(reader, low) : NULL;
    if (found == NULL || found->offset != offset || found->data == NULL) {
        return false;
    }
    mr_buffer_deinit(&reader->current);
    reader->current = (struct mr_buffer){.data = found->data, .size = found->size, .capacity = found->size + 1};
    reader->bytes -= found->size;
    found->data = NULL;
    while (reader->count > 0 && passed_at(reader, 0)->data == NULL) {
        forget_oldest(reader);
    }
    return true;
}

static struct mr_error keep(struct reader *reader, const struct mr_log_record *record)
{
    while (reader->count == PASSED_MAX ||
           (reader->count > 0 && reader->bytes + record->value.size > PASSED_BYTES_MAX)) {
        forget_oldest(reader);
    }
    uint8_t *const data = malloc(record->value.size + 1);
    if (data == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a record");
    }
    if (record->value.size > 0) {
        memcpy(data, record->value.data, record->value.size);
    }
    *passed_at(reader, reader->count) = (struct passed){record->offset, data, record->value.size};
    reader->count++;
    reader->bytes += record->value.size;
    return mr_ok();
}

static struct mr_error next_of(struct mr_stage *stage, struct reader *reader, struct mr_log_record *ret_record)
{
    bool some;
    const uint64_t expected = reader->next;
    reader->some = false;
    MR_TRY(stage->env.log->ops->reader_next(stage->env.log, reader->log_reader, READ_WAIT_MS, &some, ret_record));
    if (!some) {
        return mr_error_make(MR_ERROR_TRANSIENT, "read_timeout", 0, "%s partition %u offset %" PRIu64, reader->topic,
                             reader->partition, expected);
    }
    reader->next = ret_record->offset + 1;
    reader->some = true;
    return mr_ok();
}

/* Goes to the offset: forward if it is near, by a seek if not. */
static struct mr_error approach(struct mr_stage *stage, struct reader *reader, uint64_t offset)
{
    if (!reader->some || offset < reader->next || offset - reader->next >= PASSED_MAX) {
        forget_all(reader);
        reader->some = false;
        MR_TRY(stage->env.log->ops->reader_seek(stage->env.log, reader->log_reader, offset));
        reader->next = offset;
        reader->some = true;
    }
    while (reader->next < offset) {
        struct mr_log_record record;
        MR_TRY(next_of(stage, reader, &record));
        MR_TRY(keep(reader, &record));
        mr_stage_alive(stage);
    }
    return mr_ok();
}

struct mr_error mr_stage_read(struct mr_stage *stage, const char *topic, uint32_t partition, uint64_t offset,
                              struct mr_bytes *ret_value)
{
    struct reader *reader = NULL;
    MR_TRY(reader_of(stage, topic, partition, offset, &reader));
    if (take_passed(reader, offset)) {
        *ret_value = mr_buffer_view(&reader->current);
        return mr_ok();
    }
    MR_TRY(approach(stage, reader, offset));
    struct mr_log_record record;
    if (reader->next == offset) {
        MR_TRY(next_of(stage, reader, &record));
        MR_TRY(keep(reader, &record));
    }
    if (!take_passed(reader, offset)) {
        return mr_error_make(MR_ERROR_REJECT, "offset_gone", 0, "%s partition %u offset %" PRIu64 " is not in the log",
                             topic, partition, offset);
    }
    *ret_value = mr_buffer_view(&reader->current);
    return mr_ok();
}
