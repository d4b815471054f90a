#include "store_internal.h"

#include <string.h>

bool mr_store_part_valid(const char *name, size_t size)
{
    if (size == 0 || size > 255 || (size == 1 && name[0] == '.') || (size == 2 && memcmp(name, "..", 2) == 0)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        const char c = name[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '.' && c != '_' && c != ':' && c != '-') {
            return false;
        }
    }
    return true;
}

bool mr_store_key_valid(const char *key)
{
    if (key == NULL || strnlen(key, MR_STORE_KEY_MAX + 1) > MR_STORE_KEY_MAX) {
        return false;
    }
    size_t parts = 0;
    for (const char *at = key;;) {
        const size_t size = strcspn(at, "/");
        if (!mr_store_part_valid(at, size) || ++parts > MR_STORE_KEY_PARTS_MAX) {
            return false;
        }
        if (at[size] == '\0') {
            return true;
        }
        at += size + 1;
    }
}
