/* The stamp that every value behind batches.submitted begins with. */
#include "stage_internal.h"

#include "millrace/common/v1/common.pb-c.h"

#include <string.h>

struct mr_error mr_stamp_read(const struct mr_log_record *record, struct stamp *ret_stamp)
{
    Millrace__Common__V1__Stamped *wire =
        millrace__common__v1__stamped__unpack(NULL, record->value.size, record->value.data);
    const char *fault = NULL;
    if (wire == NULL) {
        fault = "not a protobuf message";
    } else if (wire->stamp == NULL || wire->stamp->origin == NULL) {
        fault = "no stamp";
    } else if (wire->stamp->origin->log_id.len != MR_LOG_ID_SIZE) {
        fault = "log id is not 16 bytes";
    } else if (wire->stamp->model_id[0] != '\0' && !mr_id_valid(mr_bytes_of_text(wire->stamp->model_id))) {
        fault = "bad model id";
    }
    if (fault == NULL) {
        const Millrace__Common__V1__Stamp *stamp = wire->stamp;
        memset(ret_stamp, 0, sizeof *ret_stamp);
        memcpy(ret_stamp->model_text, stamp->model_id, strlen(stamp->model_id));
        memcpy(ret_stamp->log_id.bytes, stamp->origin->log_id.data, MR_LOG_ID_SIZE);
        ret_stamp->partition = stamp->origin->partition;
        ret_stamp->origin = stamp->origin->offset;
        ret_stamp->prev.some = stamp->prev != NULL;
        ret_stamp->prev.origin = stamp->prev != NULL ? stamp->prev->value : 0;
    }
    if (wire != NULL) {
        millrace__common__v1__stamped__free_unpacked(wire, NULL);
    }
    if (fault != NULL) {
        return mr_error_make(MR_ERROR_REJECT, "corrupt_record", 0, "%s partition %u offset %llu: %s", record->topic,
                             record->partition, (unsigned long long)record->offset, fault);
    }
    return mr_ok();
}
