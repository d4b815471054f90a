/* What a version is asked: what it is, prices, outputs. */
#include "view.h"

#include "views.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct mr_error out_of_memory(void)
{
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for a version");
}

static void fill_info(struct mr_view *view, const struct mr_run_spec *spec)
{
    const struct mr_version *version = &view->entry.version;
    mr_semver_text(version->semantic_version, view->semantic_version);
    mr_hex(mr_bytes_of(version->position.log_id, sizeof version->position.log_id), view->log_id);
    mr_sha256_text(&version->content_hash, view->content_hash);
    mr_sha256_text(&view->entry.record_hash, view->record_hash);
    mr_sha256_text(&version->commit_id, view->commit_id);
    view->info = (struct mr_view_info){
        .counter = version->counter,
        .model_id = version->model_id,
        .version_id = version->version_id,
        .semantic_version = view->semantic_version,
        .content_hash = view->content_hash,
        .record_hash = view->record_hash,
        .commit_id = view->commit_id,
        .run_id = version->run_id,
        .message = version->message,
        .arithmetic_profile = version->arithmetic_profile,
        .step = version->step,
        .samples = version->samples,
        .applied = version->applied,
        .size = version->size,
        .log_id = view->log_id,
        .partition = version->position.partition,
        .offset = version->position.offset,
        .event_time_ms = version->event_time_ms,
        .loss = version->loss,
        .gradient_norm = version->gradient_norm,
        .prices = spec->job == MR_JOB_PRICING,
        .features = spec->job == MR_JOB_PRICING ? (uint32_t)MR_CONTRACT_FIELDS : mr_run_spec_inputs(spec),
        .outputs = mr_run_spec_outputs(spec),
    };
}

static struct mr_error copy_model(struct mr_view *view, const struct mr_checkpoint *checkpoint)
{
    if (checkpoint->spec.job == MR_JOB_PRICING) {
        return mr_pricer_new(checkpoint, &view->pricer);
    }
    mr_network_plan(&checkpoint->spec, &view->network);
    view->weights = malloc(checkpoint->parameters * sizeof *view->weights);
    if (view->weights == NULL) {
        return out_of_memory();
    }
    memcpy(view->weights, checkpoint->weights, checkpoint->parameters * sizeof *view->weights);
    return mr_ok();
}

struct mr_error view_new(const struct mr_version_entry *entry, const struct mr_checkpoint *checkpoint,
                         struct mr_view **ret_view)
{
    struct mr_view *view = calloc(1, sizeof *view);
    if (view == NULL) {
        return out_of_memory();
    }
    view->entry = *entry;
    fill_info(view, &checkpoint->spec);
    const struct mr_error error = copy_model(view, checkpoint);
    if (mr_failed(error)) {
        view_free(view);
        return error;
    }
    *ret_view = view;
    return mr_ok();
}

void view_free(struct mr_view *view)
{
    if (view != NULL) {
        mr_pricer_free(view->pricer);
        free(view->weights);
        free(view);
    }
}

void mr_view_release(const struct mr_view *view)
{
    if (view != NULL) {
        views_release(view->slot);
    }
}

const struct mr_view_info *mr_view_info(const struct mr_view *view)
{
    return &view->info;
}

struct mr_error mr_view_price(const struct mr_view *view, const float *contracts, size_t rows,
                              struct mr_price *ret_prices, struct mr_contract_fault *ret_fault)
{
    struct mr_contract_fault fault;
    if (view->pricer == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "not_a_pricing_model", 0,
                             "the model's job is labelled: it has learned no prices");
    }
    return mr_pricer_price(view->pricer, contracts, rows, ret_prices, ret_fault != NULL ? ret_fault : &fault);
}

static struct mr_error check_features(const float *features, size_t rows, uint32_t width)
{
    for (size_t i = 0; i < rows * width; i++) {
        if (!isfinite(features[i])) {
            return mr_error_make(MR_ERROR_REJECT, "not_finite", 0, "features[%zu][%zu] is not finite", i / width,
                                 i % width);
        }
    }
    return mr_ok();
}

struct mr_error mr_view_outputs(const struct mr_view *view, const float *features, size_t rows, float *ret_outputs)
{
    const size_t inputs = view->network.inputs, outputs = view->network.outputs;
    const size_t scratch = mr_network_scratch(&view->network);
    if (view->weights == NULL) {
        return mr_error_make(MR_ERROR_REJECT, "not_a_labelled_model", 0, "the model prices contracts");
    }
    MR_TRY(check_features(features, rows, (uint32_t)inputs));
    float *room = malloc((scratch + 2 * outputs) * sizeof *room);
    if (room == NULL) {
        return out_of_memory();
    }
    float *re = room + scratch, *im = re + outputs;
    for (size_t row = 0; row < rows; row++) {
        mr_network_forward(&view->network, view->weights, features + row * inputs, room, re, im);
        for (size_t i = 0; i < outputs; i++) {
            ret_outputs[2 * (row * outputs + i)] = re[i];
            ret_outputs[2 * (row * outputs + i) + 1] = im[i];
        }
    }
    free(room);
    return mr_ok();
}
