#include "tensorboard_event.h"

#include <math.h>
#include <string.h>

/* Field numbers of tensorflow/core/util/event.proto and tensorflow/core/framework/{summary,tensor,tensor_shape}.proto:
 * few, and frozen, since event files of ten years ago are read still. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_HISTOGRAM = 5, VALUE_TENSOR = 8, VALUE_METADATA = 9 };
enum { METADATA_PLUGIN_DATA = 1, PLUGIN_DATA_NAME = 1 };
enum { TENSOR_DTYPE = 1, TENSOR_SHAPE = 2, TENSOR_STRING = 8, DTYPE_STRING = 7 };
enum {
    HISTOGRAM_MIN = 1,
    HISTOGRAM_MAX = 2,
    HISTOGRAM_COUNT = 3,
    HISTOGRAM_SUM = 4,
    HISTOGRAM_SUM_OF_SQUARES = 5,
    HISTOGRAM_LIMITS = 6,
    HISTOGRAM_BUCKETS = 7
};

/* ---- protobuf -------------------------------------------------------------------------------------------- */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static struct mr_error put_varint(struct mr_buffer *message, uint64_t value)
{
    uint8_t bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) {
        bytes[size++] = (uint8_t)(value | 0x80);
    }
    bytes[size++] = (uint8_t)value;
    return mr_buffer_append(message, bytes, size);
}

static struct mr_error put_key(struct mr_buffer *message, uint64_t field, enum wire_type type)
{
    return put_varint(message, field << 3 | (uint64_t)type);
}

static struct mr_error put_number(struct mr_buffer *message, uint64_t field, uint64_t value)
{
    MR_TRY(put_key(message, field, WIRE_VARINT));
    return put_varint(message, value);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are little-endian on the wire and in memory");

static struct mr_error put_double(struct mr_buffer *message, uint64_t field, double value)
{
    MR_TRY(put_key(message, field, WIRE_FIXED64));
    return mr_buffer_append(message, &value, sizeof value);
}

static struct mr_error put_float(struct mr_buffer *message, uint64_t field, float value)
{
    MR_TRY(put_key(message, field, WIRE_FIXED32));
    return mr_buffer_append(message, &value, sizeof value);
}

static struct mr_error put_bytes(struct mr_buffer *message, uint64_t field, struct mr_bytes bytes)
{
    MR_TRY(put_key(message, field, WIRE_BYTES));
    MR_TRY(put_varint(message, bytes.size));
    return mr_buffer_append(message, bytes.data, bytes.size);
}

static struct mr_error put_text(struct mr_buffer *message, uint64_t field, const char *text)
{
    return put_bytes(message, field, mr_bytes_of_text(text));
}

/* A field that is a message: puts `inner`, unless filling it failed, and frees it. */
static struct mr_error put_message(struct mr_buffer *message, uint64_t field, struct mr_error filled,
                                   struct mr_buffer *inner)
{
    const struct mr_error error = mr_failed(filled) ? filled : put_bytes(message, field, mr_buffer_view(inner));
    mr_buffer_deinit(inner);
    return error;
}

/* ---- Values ---------------------------------------------------------------------------------------------- */

static struct mr_error fill_scalar(struct mr_buffer *value, const char *tag, float number)
{
    MR_TRY(put_text(value, VALUE_TAG, tag));
    return put_float(value, VALUE_SIMPLE, number);
}

struct mr_error cli_summary_scalar(struct mr_buffer *summary, const char *tag, float number)
{
    struct mr_buffer value = {0};
    const struct mr_error error = fill_scalar(&value, tag, number);
    return put_message(summary, SUMMARY_VALUE, error, &value);
}

/* Without dimensions. */
static struct mr_error fill_tensor(struct mr_buffer *tensor, const char *text)
{
    MR_TRY(put_number(tensor, TENSOR_DTYPE, DTYPE_STRING));
    MR_TRY(put_text(tensor, TENSOR_SHAPE, ""));
    return put_text(tensor, TENSOR_STRING, text);
}

static struct mr_error put_plugin(struct mr_buffer *value, const char *name)
{
    struct mr_buffer plugin = {0}, metadata = {0};
    struct mr_error error = put_text(&plugin, PLUGIN_DATA_NAME, name);
    error = put_message(&metadata, METADATA_PLUGIN_DATA, error, &plugin);
    return put_message(value, VALUE_METADATA, error, &metadata);
}

static struct mr_error fill_text(struct mr_buffer *value, const char *tag, const char *text)
{
    struct mr_buffer tensor = {0};
    MR_TRY(put_text(value, VALUE_TAG, tag));
    const struct mr_error error = fill_tensor(&tensor, text);
    MR_TRY(put_message(value, VALUE_TENSOR, error, &tensor));
    return put_plugin(value, "text");
}

struct mr_error cli_summary_text(struct mr_buffer *summary, const char *tag, const char *text)
{
    struct mr_buffer value = {0};
    const struct mr_error error = fill_text(&value, tag, text);
    return put_message(summary, SUMMARY_VALUE, error, &value);
}

/* ---- Histograms ------------------------------------------------------------------------------------------ */

static void fill_buckets(const float *numbers, uint64_t count, struct cli_statistics *statistics)
{
    const double width = (statistics->max - statistics->min) / CLI_HISTOGRAM_BUCKETS;
    for (uint64_t i = 0; i < count; i++) {
        const double at = width > 0.0 ? ((double)numbers[i] - statistics->min) / width : 0.0;
        statistics->buckets[at < CLI_HISTOGRAM_BUCKETS ? (size_t)at : CLI_HISTOGRAM_BUCKETS - 1]++;
    }
}

void cli_statistics_of(const float *numbers, uint64_t count, struct cli_statistics *ret_statistics)
{
    struct cli_statistics statistics = {.count = count};
    double squares = 0.0;
    for (uint64_t i = 0; i < count; i++) {
        const double number = (double)numbers[i];
        statistics.min = i == 0 || number < statistics.min ? number : statistics.min;
        statistics.max = i == 0 || number > statistics.max ? number : statistics.max;
        statistics.sum += number;
        statistics.sum_of_squares += number * number;
    }
    statistics.mean = count == 0 ? 0.0 : statistics.sum / (double)count;
    for (uint64_t i = 0; i < count; i++) {
        const double off = (double)numbers[i] - statistics.mean;
        squares += off * off;
    }
    statistics.deviation = count == 0 ? 0.0 : sqrt(squares / (double)count);
    fill_buckets(numbers, count, &statistics);
    *ret_statistics = statistics;
}

/* Equal numbers have one bucket: the limits of several would be the same. */
static struct mr_error fill_histogram(struct mr_buffer *histogram, const struct cli_statistics *statistics)
{
    double limits[CLI_HISTOGRAM_BUCKETS], counts[CLI_HISTOGRAM_BUCKETS];
    const double width = (statistics->max - statistics->min) / CLI_HISTOGRAM_BUCKETS;
    const size_t count = width > 0.0 ? CLI_HISTOGRAM_BUCKETS : 1;
    for (size_t i = 0; i < count; i++) {
        limits[i] = i + 1 == count ? statistics->max : statistics->min + width * (double)(i + 1);
        counts[i] = (double)statistics->buckets[i];
    }
    MR_TRY(put_double(histogram, HISTOGRAM_MIN, statistics->min));
    MR_TRY(put_double(histogram, HISTOGRAM_MAX, statistics->max));
    MR_TRY(put_double(histogram, HISTOGRAM_COUNT, (double)statistics->count));
    MR_TRY(put_double(histogram, HISTOGRAM_SUM, statistics->sum));
    MR_TRY(put_double(histogram, HISTOGRAM_SUM_OF_SQUARES, statistics->sum_of_squares));
    MR_TRY(put_bytes(histogram, HISTOGRAM_LIMITS, mr_bytes_of(limits, count * sizeof *limits)));
    return put_bytes(histogram, HISTOGRAM_BUCKETS, mr_bytes_of(counts, count * sizeof *counts));
}

static struct mr_error fill_spread(struct mr_buffer *value, const char *tag, const struct cli_statistics *statistics)
{
    struct mr_buffer histogram = {0};
    MR_TRY(put_text(value, VALUE_TAG, tag));
    const struct mr_error error = fill_histogram(&histogram, statistics);
    return put_message(value, VALUE_HISTOGRAM, error, &histogram);
}

struct mr_error cli_summary_histogram(struct mr_buffer *summary, const char *tag,
                                      const struct cli_statistics *statistics)
{
    struct mr_buffer value = {0};
    const struct mr_error error = fill_spread(&value, tag, statistics);
    return put_message(summary, SUMMARY_VALUE, error, &value);
}

/* ---- Events ---------------------------------------------------------------------------------------------- */

struct mr_error cli_event_of_summary(int64_t time_ms, uint64_t step, struct mr_bytes summary,
                                     struct mr_buffer *ret_event)
{
    MR_TRY(put_double(ret_event, EVENT_WALL_TIME, (double)time_ms / 1000.0));
    MR_TRY(put_number(ret_event, EVENT_STEP, step));
    return put_bytes(ret_event, EVENT_SUMMARY, summary);
}

struct mr_error cli_event_of_beginning(int64_t time_ms, struct mr_buffer *ret_event)
{
    MR_TRY(put_double(ret_event, EVENT_WALL_TIME, (double)time_ms / 1000.0));
    return put_text(ret_event, EVENT_FILE_VERSION, "brain.Event:2");
}
