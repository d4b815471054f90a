/* mr_gc_applied: total over any bytes, and what it tells does not depend on what follows. */
#include "gc_decide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t applied = 0, again = 0;
    if (mr_gc_applied(mr_bytes_of(data, size / 2), &applied)) {
        MR_ASSERT(mr_gc_applied(mr_bytes_of(data, size), &again) && again == applied);
    }
    return 0;
}
