/* What everything is built from: errors by value, views and owners of bytes, an arena. No I/O, no clock. */
#ifndef MR_BASE_H
#define MR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "millrace/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MR_NORETURN __attribute__((noreturn))
#define MR_PRINTF(text_at, first) __attribute__((format(printf, text_at, first)))
#define MR_COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Ends an exhaustive switch. Reached only when a tag is corrupt. */
MR_NORETURN void mr_unreachable(const char *where);
/* Always on; for our own mistakes, never for input. */
#define MR_ASSERT(condition) ((condition) ? (void)0 : mr_assert_failed(#condition, __FILE__, __LINE__))
MR_NORETURN void mr_assert_failed(const char *condition, const char *file, int line);

/* ---- Errors (millrace/error.h) ------------------------------------------------------------------------ */

/* A failure; the detail is cut to fit. */
MR_MUST_USE struct mr_error mr_error_make(enum mr_error_class kind, const char *code, int64_t native,
                                          const char *format, ...) MR_PRINTF(4, 5);
const char *mr_error_class_text(enum mr_error_class kind);
/* The one control-flow macro: leaves the function with the error, if it is one. */
#define MR_TRY(expression)                                  \
    do {                                                    \
        const struct mr_error mr_try_error_ = (expression); \
        if (mr_failed(mr_try_error_)) {                     \
            return mr_try_error_;                           \
        }                                                   \
    } while (0)

/* ---- Bytes ----------------------------------------------------------------------------------------- */

/* A view: owns nothing; the comment of whoever hands one out says until when it lives. data may be NULL if size is 0.
 */
struct mr_bytes {
    const uint8_t *data;
    size_t size;
};

/* An owner: growable, freed by mr_buffer_deinit. Zeroed memory is a valid empty buffer. */
struct mr_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct mr_bytes mr_bytes_of_text(const char *text);
bool mr_bytes_equal(struct mr_bytes a, struct mr_bytes b);
static inline struct mr_bytes mr_bytes_of(const void *data, size_t size)
{
    struct mr_bytes b;
    b.data = (const uint8_t *)data;
    b.size = size;
    return b;
}
static inline struct mr_bytes mr_buffer_view(const struct mr_buffer *buffer)
{
    return mr_bytes_of(buffer->data, buffer->size);
}

/* Out of memory is FATAL "out_of_memory"; the buffer is then unchanged. */
MR_MUST_USE struct mr_error mr_buffer_reserve(struct mr_buffer *buffer, size_t capacity);
MR_MUST_USE struct mr_error mr_buffer_append(struct mr_buffer *buffer, const void *data, size_t size);
MR_MUST_USE struct mr_error mr_buffer_append_text(struct mr_buffer *buffer, const char *format, ...) MR_PRINTF(2, 3);
void mr_buffer_deinit(struct mr_buffer *buffer);

/* Lowercase hexadecimal; `ret_text` has room for 2 * size + 1. */
void mr_hex(struct mr_bytes bytes, char *ret_text);
/* False when text is not exactly 2 * size lowercase hexadecimal digits; ret_data is then untouched. */
MR_MUST_USE bool mr_unhex(const char *text, uint8_t *ret_data, size_t size);

/* ---- Arena ----------------------------------------------------------------------------------------- */

/* Memory that is freed all at once: one per turn of a loop. Zeroed memory is a valid empty arena. */
struct mr_arena {
    struct mr_arena_chunk *chunks;
    size_t used, limit; /* limit 0: none */
};

/* Aligned for any type, not zeroed; NULL when the limit is reached or memory is out. */
void *mr_arena_alloc(struct mr_arena *arena, size_t size);
/* Keeps its largest chunk for the next turn. */
void mr_arena_reset(struct mr_arena *arena);
void mr_arena_deinit(struct mr_arena *arena);

/* ---- Small pure helpers ------------------------------------------------------------------------------ */

enum { MR_ID_MAX = 63, MR_ID_SIZE = MR_ID_MAX + 1 };
/* Rule O10: 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit. */
MR_MUST_USE bool mr_id_valid(struct mr_bytes id);

/* Kafka's partitioner (murmur2, as Java's and librdkafka's "murmur2_random" for a key that is present). */
MR_MUST_USE uint32_t mr_partition_of(struct mr_bytes key, uint32_t partitions);

/* SplitMix64 of a value: a well-mixed 64-bit hash, for jitter and tables; not for anything that is verified. */
MR_MUST_USE uint64_t mr_mix64(uint64_t value);

MR_MUST_USE uint32_t mr_crc32c(uint32_t seed, struct mr_bytes bytes);

#ifdef __cplusplus
}
#endif

#endif
