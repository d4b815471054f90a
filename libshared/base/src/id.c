/* Rule O10: ids become keys, object names and paths, so their alphabet is closed. */
#include "millrace/base.h"

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool mr_id_valid(struct mr_bytes id)
{
    if (id.size < 1 || id.size > MR_ID_MAX || !is_letter_or_digit(id.data[0])) {
        return false;
    }
    for (size_t i = 1; i < id.size; i++) {
        const uint8_t c = id.data[i];
        if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}
