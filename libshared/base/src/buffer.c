/* Views and owners of bytes. A failed call leaves its buffer as it was. */
#include "millrace/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64 };

struct mr_bytes mr_bytes_of_text(const char *text)
{
    return mr_bytes_of(text, strlen(text));
}

bool mr_bytes_equal(struct mr_bytes a, struct mr_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static struct mr_error out_of_memory(size_t size)
{
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for a buffer of %zu bytes", size);
}

struct mr_error mr_buffer_reserve(struct mr_buffer *buffer, size_t capacity)
{
    if (capacity <= buffer->capacity) {
        return mr_ok();
    }
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        return out_of_memory(capacity);
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return mr_ok();
}

/* Room for `size` more bytes, growing by doubling so that appending stays linear. */
static struct mr_error grow(struct mr_buffer *buffer, size_t size)
{
    if (size > SIZE_MAX - buffer->size) {
        return out_of_memory(SIZE_MAX);
    }
    const size_t needed = buffer->size + size;
    if (needed <= buffer->capacity) {
        return mr_ok();
    }
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    return mr_buffer_reserve(buffer, capacity);
}

struct mr_error mr_buffer_append(struct mr_buffer *buffer, const void *data, size_t size)
{
    MR_TRY(grow(buffer, size));
    if (size > 0) {
        memcpy(buffer->data + buffer->size, data, size);
        buffer->size += size;
    }
    return mr_ok();
}

struct mr_error mr_buffer_append_text(struct mr_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        return mr_error_make(MR_ERROR_FATAL, "bad_format", 0, "cannot format \"%s\"", format);
    }
    const size_t size = (size_t)length;
    MR_TRY(grow(buffer, size + 1)); /* vsnprintf always writes a terminator */
    va_start(arguments, format);
    (void)vsnprintf((char *)buffer->data + buffer->size, size + 1, format, arguments);
    va_end(arguments);
    buffer->size += size;
    return mr_ok();
}

void mr_buffer_deinit(struct mr_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct mr_buffer){0};
}
