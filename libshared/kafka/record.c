#include "millrace/log.h"

#include <string.h>

bool mr_log_header_find(const struct mr_log_record *record, const char *name, struct mr_bytes *ret_value)
{
    for (size_t i = record->header_count; i > 0; i--) {
        if (strcmp(record->headers[i - 1].name, name) == 0) {
            *ret_value = record->headers[i - 1].value;
            return true;
        }
    }
    return false;
}
