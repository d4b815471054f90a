/* What a spec says in words: field names, widths, JSON and the commit message. */
#include <stdio.h>
#include <string.h>

#include "millrace/spec.h"

const char *mr_contract_field_text(enum mr_contract_field field)
{
    switch (field) {
    case MR_CONTRACT_X0: return "X0";
    case MR_CONTRACT_K: return "K";
    case MR_CONTRACT_T: return "T";
    case MR_CONTRACT_R: return "r";
    case MR_CONTRACT_D: return "d";
    case MR_CONTRACT_V: return "v";
    }
    mr_unreachable(__func__);
}

static uint32_t pricing_outputs(const struct mr_pricing_job *job)
{
    switch (job->target) {
    case MR_TARGET_CHARACTERISTIC_FUNCTION: return job->characteristic_function.frequencies;
    case MR_TARGET_PAYOFF_FFT: return job->payoff_fft.network_size;
    }
    mr_unreachable(__func__);
}

uint32_t mr_run_spec_outputs(const struct mr_run_spec *spec)
{
    switch (spec->job) {
    case MR_JOB_PRICING: return pricing_outputs(&spec->pricing);
    case MR_JOB_LABELLED: return spec->labelled.targets;
    }
    mr_unreachable(__func__);
}

uint32_t mr_run_spec_inputs(const struct mr_run_spec *spec)
{
    switch (spec->job) {
    case MR_JOB_PRICING: return spec->pricing.inputs;
    case MR_JOB_LABELLED: return spec->labelled.features;
    }
    mr_unreachable(__func__);
}

static uint32_t pricing_paths(const struct mr_pricing_job *job)
{
    switch (job->target) {
    case MR_TARGET_CHARACTERISTIC_FUNCTION: return job->characteristic_function.paths;
    case MR_TARGET_PAYOFF_FFT: return job->payoff_fft.network_size * job->payoff_fft.batches;
    }
    mr_unreachable(__func__);
}

uint32_t mr_run_spec_paths(const struct mr_run_spec *spec)
{
    switch (spec->job) {
    case MR_JOB_PRICING: return pricing_paths(&spec->pricing);
    case MR_JOB_LABELLED: return 0;
    }
    mr_unreachable(__func__);
}

struct mr_error mr_run_spec_from_json(struct mr_bytes text, Millrace__Run__V1__RunSpec **ret_wire,
                                      struct mr_field_fault *ret_fault)
{
    ProtobufCMessage *message = NULL;
    MR_TRY(mr_message_from_json(&millrace__run__v1__run_spec__descriptor, text, &message, ret_fault));
    *ret_wire = (Millrace__Run__V1__RunSpec *)message;
    return mr_ok();
}

/* The value of the placeholder that `text` begins with; its size in `ret_size`, or 0 if it begins with none. */
static const char *placeholder(const char *text, const struct mr_message_facts *facts, const char *step,
                               const char *loss, size_t *ret_size)
{
    const struct {
        const char *name, *value;
    } known[] = {{"{run}", facts->run_id},
                 {"{model}", facts->model_id},
                 {"{step}", step},
                 {"{batch}", facts->batch_id},
                 {"{loss}", loss}};
    for (size_t i = 0; i < MR_COUNT_OF(known); i++) {
        *ret_size = strlen(known[i].name);
        if (strncmp(text, known[i].name, *ret_size) == 0) {
            return known[i].value;
        }
    }
    *ret_size = 0;
    return NULL;
}

void mr_message_render(const char *message_template, const struct mr_message_facts *facts,
                       char ret_text[MR_MESSAGE_SIZE])
{
    char step[24];
    char loss[24];
    size_t used = 0;
    const char *text = message_template[0] == '\0' ? "Checkpoint at step {step}" : message_template;
    snprintf(step, sizeof step, "%llu", (unsigned long long)facts->step);
    snprintf(loss, sizeof loss, "%.9g", (double)facts->loss);
    while (*text != '\0' && used + 1 < MR_MESSAGE_SIZE) {
        size_t size;
        const char *value = placeholder(text, facts, step, loss, &size);
        if (value == NULL) {
            ret_text[used++] = *text++;
            continue;
        }
        const size_t room = MR_MESSAGE_SIZE - 1 - used;
        const size_t length = strlen(value) < room ? strlen(value) : room;
        memcpy(ret_text + used, value, length);
        used += length;
        text += size;
    }
    ret_text[used] = '\0';
}
