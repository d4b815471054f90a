#include "event_json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TENSOR_VALUES_MAX = 131072, TENSOR_AXES_MAX = 3 }; /* 512 KiB of float32 */

static struct mr_error bad_json(const char *path, const char *expected)
{
    return mr_error_make(MR_ERROR_REJECT, "bad_json", 0, "%s: expected %s", path, expected);
}

/* ---- Tensors as nested arrays of numbers --------------------------------------------------------------- */

struct values {
    uint64_t shape[TENSOR_AXES_MAX];
    size_t axes;
    float *list;
    size_t count;
};

static struct mr_error collect(const json_t *json, size_t axis, const char *path, struct values *values)
{
    if (axis == values->axes) {
        const float value = (float)json_number_value(json);
        if (!json_is_number(json) || !isfinite(value)) {
            return bad_json(path, "numbers that a float32 holds");
        }
        if (values->count == TENSOR_VALUES_MAX) {
            return bad_json(path, "at most 512 KiB of float32: split the batch, or use a claim check");
        }
        values->list[values->count++] = value;
        return mr_ok();
    }
    if (!json_is_array(json) || json_array_size(json) != values->shape[axis]) {
        return bad_json(path, "rows of equal length");
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        MR_TRY(collect(json_array_get(json, i), axis + 1, path, values));
    }
    return mr_ok();
}

/* The shape is that of the first of everything; collect() checks the rest. */
static struct mr_error measure(const json_t *json, const char *path, struct values *values)
{
    for (const json_t *at = json; json_is_array(at); at = json_array_get(at, 0)) {
        if (values->axes == TENSOR_AXES_MAX) {
            return bad_json(path, "at most 3 axes");
        }
        values->shape[values->axes++] = json_array_size(at);
    }
    return values->axes >= 2 ? mr_ok() : bad_json(path, "an array of rows, each an array of numbers");
}

static json_t *tensor_of(const struct values *values)
{
    const size_t size = values->count * sizeof(float);
    char *text = malloc(2 * size + 1);
    json_t *shape = json_array();
    if (text == NULL || shape == NULL) {
        free(text);
        json_decref(shape);
        return NULL;
    }
    for (size_t i = 0; i < values->axes; i++) {
        json_array_append_new(shape, json_integer((json_int_t)values->shape[i]));
    }
    mr_hex(mr_bytes_of(values->list, size), text); /* little-endian, as every machine that this is built for */
    json_t *tensor = json_pack("{s:s, s:o, s:s}", "dtype", "float32", "shape", shape, "data", text);
    free(text);
    return tensor;
}

/* An array of rows becomes a tensor; a tensor stays as it is. */
static struct mr_error plain_tensor(json_t *object, const char *name)
{
    const json_t *json = json_object_get(object, name);
    if (!json_is_array(json)) {
        return mr_ok();
    }
    struct values values = {.list = malloc(TENSOR_VALUES_MAX * sizeof(float))};
    if (values.list == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%s", name);
    }
    struct mr_error error = measure(json, name, &values);
    if (!mr_failed(error)) {
        error = collect(json, 0, name, &values);
    }
    if (!mr_failed(error) && json_object_set_new(object, name, tensor_of(&values)) != 0) {
        error = mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%s", name);
    }
    free(values.list);
    return error;
}

/* ---- The event ----------------------------------------------------------------------------------------- */

static struct mr_error fill(json_t *event, const char *name, const char *value)
{
    if (value[0] == '\0' || json_object_get(event, name) != NULL) {
        return mr_ok();
    }
    return json_object_set_new(event, name, json_string(value)) == 0
               ? mr_ok()
               : mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%s", name);
}

static struct mr_error complete(json_t *root, const struct cli_event_defaults *defaults)
{
    if (!json_is_object(root) || json_object_size(root) != 1) {
        return bad_json("line", "one of run_started, batch, run_stopped");
    }
    json_t *event = json_object_iter_value(json_object_iter(root));
    if (!json_is_object(event)) {
        return bad_json(json_object_iter_key(json_object_iter(root)), "an object");
    }
    MR_TRY(fill(event, "model_id", defaults->model_id));
    MR_TRY(fill(event, "run_id", defaults->run_id));
    if (json_object_get(root, "batch") != event) {
        return mr_ok();
    }
    json_t *contracts = json_object_get(event, "contracts");
    json_t *labelled = json_object_get(event, "labelled");
    if (json_is_object(contracts)) {
        MR_TRY(plain_tensor(contracts, "rows"));
    }
    if (json_is_object(labelled)) {
        MR_TRY(plain_tensor(labelled, "features"));
        MR_TRY(plain_tensor(labelled, "targets"));
    }
    return mr_ok();
}

static struct mr_error message_of(json_t *root, const struct cli_event_defaults *defaults,
                                  Millrace__Batch__V1__Submitted **ret_event)
{
    MR_TRY(complete(root, defaults));
    char *text = json_dumps(root, JSON_COMPACT);
    if (text == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "an event");
    }
    struct mr_field_fault fault;
    ProtobufCMessage *message = NULL;
    const struct mr_error error =
        mr_message_from_json(&millrace__batch__v1__submitted__descriptor, mr_bytes_of_text(text), &message, &fault);
    free(text);
    MR_TRY(error);
    *ret_event = (Millrace__Batch__V1__Submitted *)message;
    return mr_ok();
}

struct mr_error cli_event_from_json(struct mr_bytes line, const struct cli_event_defaults *defaults,
                                    Millrace__Batch__V1__Submitted **ret_event)
{
    json_error_t fault;
    json_t *root = json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "bad_json", 0, "column %d: %.120s", fault.column, fault.text);
    }
    const struct mr_error error = message_of(root, defaults, ret_event);
    json_decref(root);
    return error;
}
