/* An arena: a list of chunks, newest first; only the newest is handed out from. */
#include "millrace/base.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK_SIZE_MIN = 16 * 1024, ALIGNMENT = alignof(max_align_t) };

struct mr_arena_chunk {
    struct mr_arena_chunk *next;
    size_t size, used; /* of `data` */
    alignas(max_align_t) unsigned char data[];
};

/* Each chunk is at least twice the last, so that their number stays logarithmic and the newest is the largest. */
static struct mr_arena_chunk *chunk_new(struct mr_arena *arena, size_t size)
{
    size_t capacity = arena->chunks == NULL ? CHUNK_SIZE_MIN : arena->chunks->size * 2;
    if (capacity < size) {
        capacity = size;
    }
    if (capacity > SIZE_MAX - sizeof(struct mr_arena_chunk)) {
        return NULL;
    }
    struct mr_arena_chunk *chunk = malloc(sizeof *chunk + capacity);
    if (chunk != NULL) {
        *chunk = (struct mr_arena_chunk){.next = arena->chunks, .size = capacity};
        arena->chunks = chunk;
    }
    return chunk;
}

void *mr_arena_alloc(struct mr_arena *arena, size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT) {
        return NULL;
    }
    /* At least one unit, so that different blocks have different addresses. */
    const size_t rounded = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded > SIZE_MAX - arena->used || (arena->limit != 0 && arena->used + rounded > arena->limit)) {
        return NULL;
    }
    struct mr_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || rounded > chunk->size - chunk->used) {
        chunk = chunk_new(arena, rounded);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *block = chunk->data + chunk->used;
    chunk->used += rounded;
    arena->used += rounded;
    return block;
}

/* Frees every chunk but `kept`, which may be NULL. */
static void free_all_but(struct mr_arena *arena, struct mr_arena_chunk *kept)
{
    struct mr_arena_chunk *chunk = arena->chunks;
    while (chunk != NULL) {
        struct mr_arena_chunk *next = chunk->next;
        if (chunk != kept) {
            free(chunk);
        }
        chunk = next;
    }
    arena->chunks = kept;
    arena->used = 0;
}

void mr_arena_reset(struct mr_arena *arena)
{
    struct mr_arena_chunk *largest = arena->chunks;
    free_all_but(arena, largest);
    if (largest != NULL) {
        largest->next = NULL;
        largest->used = 0;
    }
}

void mr_arena_deinit(struct mr_arena *arena)
{
    free_all_but(arena, NULL);
}
