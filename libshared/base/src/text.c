#include "text.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_between(char c, unsigned low, unsigned high)
{
    const unsigned byte = (unsigned char)c;
    return low <= byte && byte <= high;
}

static bool is_tail(char c)
{
    return is_between(c, 0x80, 0xbf);
}

size_t mr_utf8_length(const char *text)
{
    const unsigned first = (unsigned char)text[0];
    if (first >= 0x01 && first <= 0x7f) {
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return is_tail(text[1]) ? 2 : 0;
    }
    /* The second byte is narrower where a value would be overlong, a surrogate or beyond U+10FFFF. */
    if (first >= 0xe0 && first <= 0xef) {
        const bool second = is_between(text[1], first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
        return second && is_tail(text[2]) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool second = is_between(text[1], first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
        return second && is_tail(text[2]) && is_tail(text[3]) ? 4 : 0;
    }
    return 0;
}

void mr_real_text(double value, char ret_text[MR_REAL_TEXT_SIZE])
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(ret_text, MR_REAL_TEXT_SIZE, "%.*g", digits, value);
        const double read_back = strtod(ret_text, NULL);
        if (!(read_back < value) && !(read_back > value)) {
            return;
        }
    }
}
