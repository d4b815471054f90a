#include "serve_answer.h"

#include "cli_version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mr_error out_of_memory(void)
{
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "an answer");
}

/* Takes `json`; as many digits as `millrace price` prints. */
static struct mr_error write_json(json_t *json, struct serve_answer *answer)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9));
    struct mr_error error = text == NULL ? out_of_memory() : mr_buffer_append_text(&answer->body, "%s\n", text);
    json_decref(json);
    free(text);
    return error;
}

struct mr_error serve_answer_refusal(enum serve_refusal refusal, const struct mr_error *why,
                                     const struct mr_field_fault *fault, struct serve_answer *ret_answer)
{
    ret_answer->status = serve_status(refusal);
    return write_json(json_pack("{s:s, s:s, s:o, s:o}", "error", serve_refusal_text(refusal), "code", why->code,
                                "detail", cli_json_text(why->detail), "field",
                                fault == NULL || fault->path[0] == '\0' ? json_null() : cli_json_text(fault->path)),
                      ret_answer);
}

/* ---- Of a view ----------------------------------------------------------------------------------------- */

static json_t *model_json(const struct mr_view_info *info)
{
    json_t *position = json_pack("{s:s, s:I, s:I}", "log_id", info->log_id, "partition", (json_int_t)info->partition,
                                 "offset", (json_int_t)info->offset);
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:o, s:I, s:o, s:o, s:o, s:s, s:s, s:I, s:I}",
        "model_id", info->model_id, "version_id", info->version_id, "counter", (json_int_t)info->counter,
        "semantic_version", info->semantic_version, "content_hash", info->content_hash, "record_hash",
        info->record_hash, "commit_id", info->commit_id, "size", (json_int_t)info->size, "run_id", info->run_id, "step",
        (json_int_t)info->step, "samples", (json_int_t)info->samples, "position", position, "event_time_ms",
        (json_int_t)info->event_time_ms, "message", cli_json_text(info->message), "loss",
        cli_json_real((double)info->loss), "gradient_norm", cli_json_real((double)info->gradient_norm),
        "arithmetic_profile", info->arithmetic_profile, "job", info->prices ? "pricing" : "labelled", "features",
        (json_int_t)info->features, "outputs", (json_int_t)info->outputs);
}

static json_t *version_json(const struct mr_view_info *info, const char *name, json_t *values)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:o}", "model_id", info->model_id, "version_id", info->version_id, "counter",
                     (json_int_t)info->counter, "content_hash", info->content_hash, name, values);
}

static struct mr_error refuse_contract(const struct mr_error *error, const struct mr_contract_fault *fault,
                                       struct serve_answer *answer)
{
    struct mr_field_fault field = {.expected = ""};
    if (strcmp(error->code, "out_of_domain") != 0) {
        return *error;
    }
    (void)snprintf(field.path, sizeof field.path, "contracts[%llu].%s", (unsigned long long)fault->row,
                   mr_contract_field_text(fault->field));
    return serve_answer_refusal(SERVE_REFUSAL_INVALID, error, &field, answer);
}

static struct mr_error answer_prices(const struct serve_request *request, const struct mr_view *view,
                                     struct serve_answer *answer)
{
    struct mr_contract_fault fault;
    struct mr_price *prices = calloc(request->count, sizeof *prices);
    if (prices == NULL) {
        return out_of_memory();
    }
    struct mr_error error = mr_view_price(view, request->rows, request->count, prices, &fault);
    if (mr_failed(error)) {
        error = refuse_contract(&error, &fault, answer);
    } else {
        json_t *array = json_array();
        for (size_t i = 0; i < request->count; i++) {
            json_array_append_new(array, json_pack("{s:o, s:o}", "call", cli_json_real(prices[i].call), "put",
                                                   cli_json_real(prices[i].put)));
        }
        error = write_json(version_json(mr_view_info(view), "prices", array), answer);
    }
    free(prices);
    return error;
}

static json_t *outputs_json(const float *outputs, size_t rows, size_t width)
{
    json_t *array = json_array();
    for (size_t row = 0; row < rows; row++) {
        json_t *values = json_array();
        for (size_t i = 0; i < width; i++) {
            const float *pair = outputs + 2 * (row * width + i);
            json_array_append_new(values,
                                  json_pack("[o, o]", cli_json_real((double)pair[0]), cli_json_real((double)pair[1])));
        }
        json_array_append_new(array, values);
    }
    return array;
}

static struct mr_error answer_outputs(const struct serve_request *request, const struct mr_view *view,
                                      struct serve_answer *answer)
{
    const struct mr_view_info *info = mr_view_info(view);
    if (request->width != info->features || request->count > SERVE_NUMBERS_MAX / info->outputs) {
        struct mr_field_fault fault = {.path = "features"};
        (void)snprintf(fault.expected, sizeof fault.expected, "rows of %u numbers, and at most %d of %u outputs",
                       (unsigned)info->features, SERVE_NUMBERS_MAX / (int)info->outputs, (unsigned)info->outputs);
        const struct mr_error error = mr_field_fault_error("bad_field", &fault);
        return serve_answer_refusal(SERVE_REFUSAL_INVALID, &error, &fault, answer);
    }
    float *outputs = calloc(2 * request->count * info->outputs, sizeof *outputs);
    if (outputs == NULL) {
        return out_of_memory();
    }
    struct mr_error error = mr_view_outputs(view, request->rows, request->count, outputs);
    if (!mr_failed(error)) {
        error = write_json(version_json(info, "outputs", outputs_json(outputs, request->count, info->outputs)), answer);
    }
    free(outputs);
    return error;
}

struct mr_error serve_answer_view(enum serve_decision_kind kind, const struct serve_request *request,
                                  const struct mr_view *view, struct serve_answer *ret_answer)
{
    ret_answer->status = 200;
    (void)snprintf(ret_answer->version_id, sizeof ret_answer->version_id, "%s", mr_view_info(view)->version_id);
    switch (kind) {
    case SERVE_DECISION_MODEL: return write_json(model_json(mr_view_info(view)), ret_answer);
    case SERVE_DECISION_PRICE: return answer_prices(request, view, ret_answer);
    case SERVE_DECISION_OUTPUTS: return answer_outputs(request, view, ret_answer);
    case SERVE_DECISION_READ:
    case SERVE_DECISION_HEALTH:
    case SERVE_DECISION_REFUSE: break;
    }
    mr_unreachable(__func__);
}
