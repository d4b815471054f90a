#include "window.h"

#include <stdlib.h>

static struct mr_window_slot *slot_at(const struct mr_window *window, size_t index)
{
    return &window->slots[(window->first + index) % window->capacity];
}

static struct mr_error grow(struct mr_window *window)
{
    const size_t capacity = window->capacity == 0 ? 64 : 2 * window->capacity;
    struct mr_window_slot *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "window of %zu records", capacity);
    }
    for (size_t i = 0; i < window->count; i++) {
        slots[i] = *slot_at(window, i);
    }
    free(window->slots);
    window->slots = slots;
    window->first = 0;
    window->capacity = capacity;
    return mr_ok();
}

struct mr_error mr_window_add(struct mr_window *window, uint64_t offset)
{
    if (window->count == window->capacity) {
        MR_TRY(grow(window));
    }
    MR_ASSERT(window->count == 0 || slot_at(window, window->count - 1)->offset < offset);
    *slot_at(window, window->count) = (struct mr_window_slot){.offset = offset};
    window->count++;
    window->position = offset + 1;
    return mr_ok();
}

void mr_window_resolve(struct mr_window *window, uint64_t offset)
{
    size_t low = 0;
    size_t high = window->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (slot_at(window, middle)->offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == window->count || slot_at(window, low)->offset != offset) {
        return;
    }
    slot_at(window, low)->resolved = true;
    while (window->count > 0 && slot_at(window, 0)->resolved) {
        window->first = (window->first + 1) % window->capacity;
        window->count--;
    }
}

uint64_t mr_window_low(const struct mr_window *window)
{
    return window->count == 0 ? window->position : slot_at(window, 0)->offset;
}

void mr_window_deinit(struct mr_window *window)
{
    free(window->slots);
    *window = (struct mr_window){0};
}
