/* Lowercase hexadecimal, strict both ways: one text per value, so that texts can be compared. */
#include "millrace/base.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

void mr_hex(struct mr_bytes bytes, char *ret_text)
{
    for (size_t i = 0; i < bytes.size; i++) {
        ret_text[2 * i] = digits[bytes.data[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes.data[i] & 15];
    }
    ret_text[2 * bytes.size] = '\0';
}

static bool is_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static unsigned value_of(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

bool mr_unhex(const char *text, uint8_t *ret_data, size_t size)
{
    const size_t length = strlen(text);
    if (length % 2 != 0 || length / 2 != size) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < size; i++) {
        ret_data[i] = (uint8_t)(value_of(text[2 * i]) << 4 | value_of(text[2 * i + 1]));
    }
    return true;
}
