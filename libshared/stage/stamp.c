/* The stamp that every value behind batches.submitted begins with. */
#include "stage_internal.h"

#include "millrace/common/v1/common.pb-c.h"

#include <string.h>

/* Field 1, length-delimited: every value is written in the order of its fields, so that its stamp can be read without
 * taking apart, and copying, all that follows. False: the value does not begin with one. */
static bool stamp_bytes(struct mr_bytes value, struct mr_bytes *ret_stamp)
{
    enum { TAG = 1 << 3 | 2, SIZE_BYTES_MAX = 4 };
    size_t size = 0, at = 1;
    if (value.size == 0 || value.data[0] != TAG) {
        return false;
    }
    for (unsigned shift = 0;; shift += 7, at++) {
        if (at >= value.size || at > SIZE_BYTES_MAX) {
            return false;
        }
        size |= (size_t)(value.data[at] & 0x7f) << shift;
        if ((value.data[at] & 0x80) == 0) {
            break;
        }
    }
    at++;
    if (size > value.size - at) {
        return false;
    }
    *ret_stamp = mr_bytes_of(value.data + at, size);
    return true;
}

static const char *fault_of(const Millrace__Common__V1__Stamp *stamp)
{
    if (stamp == NULL) {
        return "not a protobuf message";
    }
    if (stamp->origin == NULL) {
        return "no origin";
    }
    if (stamp->origin->log_id.len != MR_LOG_ID_SIZE) {
        return "log id is not 16 bytes";
    }
    const bool good_id = stamp->model_id[0] == '\0' || mr_id_valid(mr_bytes_of_text(stamp->model_id));
    return good_id ? NULL : "bad model id";
}

static const char *read_stamp(struct mr_bytes bytes, struct stamp *ret_stamp)
{
    Millrace__Common__V1__Stamp *const wire = millrace__common__v1__stamp__unpack(NULL, bytes.size, bytes.data);
    const char *const fault = fault_of(wire);
    if (fault == NULL) {
        memset(ret_stamp, 0, sizeof *ret_stamp);
        memcpy(ret_stamp->model_text, wire->model_id, strlen(wire->model_id));
        memcpy(ret_stamp->log_id.bytes, wire->origin->log_id.data, MR_LOG_ID_SIZE);
        ret_stamp->partition = wire->origin->partition;
        ret_stamp->origin = wire->origin->offset;
        ret_stamp->prev.some = wire->prev != NULL;
        ret_stamp->prev.origin = wire->prev != NULL ? wire->prev->value : 0;
    }
    if (wire != NULL) {
        millrace__common__v1__stamp__free_unpacked(wire, NULL);
    }
    return fault;
}

struct mr_error mr_stamp_read(const struct mr_log_record *record, struct stamp *ret_stamp)
{
    struct mr_bytes bytes;
    const char *const fault = stamp_bytes(record->value, &bytes) ? read_stamp(bytes, ret_stamp) : "no stamp";
    if (fault != NULL) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt_record", 0, "%s partition %u offset %llu: %s", record->topic,
                             record->partition, (unsigned long long)record->offset, fault);
    }
    return mr_ok();
}
