/* Spec to wire. A field at its default is absent, so that equal specs have equal bytes. */
#include <string.h>

#include "millrace/spec.h"
#include "spec_wire.h"

static Millrace__Run__V1__ContractField field_of(enum mr_contract_field field)
{
    switch (field) {
    case MR_CONTRACT_X0: return MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_X0;
    case MR_CONTRACT_K: return MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_K;
    case MR_CONTRACT_T: return MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_T;
    case MR_CONTRACT_R: return MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_R;
    case MR_CONTRACT_D: return MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_D;
    case MR_CONTRACT_V: return MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_V;
    }
    mr_unreachable(__func__);
}

static Millrace__Run__V1__Scheme scheme_of(enum mr_scheme scheme)
{
    switch (scheme) {
    case MR_SCHEME_LOG_EULER: return MILLRACE__RUN__V1__SCHEME__SCHEME_LOG_EULER;
    case MR_SCHEME_SIMPLE_EULER: return MILLRACE__RUN__V1__SCHEME__SCHEME_SIMPLE_EULER;
    }
    mr_unreachable(__func__);
}

static Millrace__Run__V1__Normalisation normalisation_of(enum mr_normalisation normalisation)
{
    switch (normalisation) {
    case MR_NORMALISATION_FORWARD: return MILLRACE__RUN__V1__NORMALISATION__NORMALISATION_FORWARD;
    case MR_NORMALISATION_RAW: return MILLRACE__RUN__V1__NORMALISATION__NORMALISATION_RAW;
    }
    mr_unreachable(__func__);
}

static Millrace__Run__V1__Envelope envelope_of(enum mr_envelope envelope)
{
    switch (envelope) {
    case MR_ENVELOPE_GAUSSIAN: return MILLRACE__RUN__V1__ENVELOPE__ENVELOPE_GAUSSIAN;
    case MR_ENVELOPE_NONE: return MILLRACE__RUN__V1__ENVELOPE__ENVELOPE_NONE;
    }
    mr_unreachable(__func__);
}

static Millrace__Run__V1__ActivationKind activation_of(enum mr_activation activation)
{
    switch (activation) {
    case MR_ACTIVATION_CSILU: return MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_CSILU;
    case MR_ACTIVATION_MODRELU: return MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_MODRELU;
    case MR_ACTIVATION_ZRELU: return MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_ZRELU;
    case MR_ACTIVATION_CRELU: return MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_CRELU;
    }
    mr_unreachable(__func__);
}

static Millrace__Run__V1__VersionBump bump_of(enum mr_bump bump)
{
    switch (bump) {
    case MR_BUMP_PATCH: return MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_PATCH;
    case MR_BUMP_MINOR: return MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_MINOR;
    case MR_BUMP_MAJOR: return MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_MAJOR;
    }
    mr_unreachable(__func__);
}

static Millrace__Run__V1__DtypePolicy policy_of(enum mr_dtype_policy policy)
{
    switch (policy) {
    case MR_DTYPE_KEEP: return MILLRACE__RUN__V1__DTYPE_POLICY__DTYPE_POLICY_KEEP;
    case MR_DTYPE_CAST_TO_BFLOAT16: return MILLRACE__RUN__V1__DTYPE_POLICY__DTYPE_POLICY_CAST_TO_BFLOAT16;
    }
    mr_unreachable(__func__);
}

static void set_target(const struct mr_pricing_job *job, struct mr_spec_wire *wire)
{
    switch (job->target) {
    case MR_TARGET_CHARACTERISTIC_FUNCTION:
        millrace__run__v1__characteristic_function__init(&wire->characteristic_function);
        wire->characteristic_function.frequencies = job->characteristic_function.frequencies;
        wire->characteristic_function.width = job->characteristic_function.width;
        wire->characteristic_function.paths = job->characteristic_function.paths;
        wire->characteristic_function.envelope = envelope_of(job->characteristic_function.envelope);
        wire->pricing.target_case = MILLRACE__RUN__V1__PRICING_JOB__TARGET_CHARACTERISTIC_FUNCTION;
        wire->pricing.characteristic_function = &wire->characteristic_function;
        return;
    case MR_TARGET_PAYOFF_FFT:
        millrace__run__v1__payoff_fft__init(&wire->payoff_fft);
        wire->payoff_fft.network_size = job->payoff_fft.network_size;
        wire->payoff_fft.batches = job->payoff_fft.batches;
        wire->pricing.target_case = MILLRACE__RUN__V1__PRICING_JOB__TARGET_PAYOFF_FFT;
        wire->pricing.payoff_fft = &wire->payoff_fft;
        return;
    }
    mr_unreachable(__func__);
}

static void set_pricing(const struct mr_pricing_job *job, struct mr_spec_wire *wire)
{
    millrace__run__v1__pricing_job__init(&wire->pricing);
    wire->pricing.schema = MILLRACE__RUN__V1__CONTRACT_SCHEMA__CONTRACT_SCHEMA_GBM;
    for (uint32_t i = 0; i < job->inputs; i++) {
        wire->inputs[i] = field_of(job->input[i]);
    }
    wire->pricing.n_inputs = job->inputs;
    wire->pricing.inputs = wire->inputs;
    for (uint32_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        millrace__run__v1__bound__init(&wire->bounds[i]);
        wire->bounds[i].field = field_of((enum mr_contract_field)i);
        wire->bounds[i].lower = job->domain[i].lower;
        wire->bounds[i].upper = job->domain[i].upper;
        wire->domain[i] = &wire->bounds[i];
    }
    wire->pricing.n_domain = MR_CONTRACT_FIELDS;
    wire->pricing.domain = wire->domain;
    millrace__run__v1__simulation__init(&wire->simulation);
    wire->simulation.scheme = scheme_of(job->simulation.scheme);
    wire->simulation.normalisation = normalisation_of(job->simulation.normalisation);
    wire->simulation.timesteps = job->simulation.timesteps;
    wire->simulation.seed = job->simulation.seed;
    wire->simulation.antithetic = job->simulation.antithetic;
    wire->pricing.simulation = &wire->simulation;
    wire->pricing.sobol_seed = job->sobol_seed;
    set_target(job, wire);
}

static void set_job(const struct mr_run_spec *spec, struct mr_spec_wire *wire)
{
    switch (spec->job) {
    case MR_JOB_PRICING:
        set_pricing(&spec->pricing, wire);
        wire->spec.job_case = MILLRACE__RUN__V1__RUN_SPEC__JOB_PRICING;
        wire->spec.pricing = &wire->pricing;
        return;
    case MR_JOB_LABELLED:
        millrace__run__v1__labelled_job__init(&wire->labelled);
        wire->labelled.features = spec->labelled.features;
        wire->labelled.targets = spec->labelled.targets;
        wire->spec.job_case = MILLRACE__RUN__V1__RUN_SPEC__JOB_LABELLED;
        wire->spec.labelled = &wire->labelled;
        return;
    }
    mr_unreachable(__func__);
}

static void set_layer(const struct mr_layer_spec *layer, struct mr_layer_wire *wire)
{
    millrace__run__v1__layer__init(&wire->layer);
    switch (layer->kind) {
    case MR_LAYER_LINEAR:
        millrace__run__v1__linear__init(&wire->linear);
        wire->linear.width = layer->width;
        wire->layer.kind_case = MILLRACE__RUN__V1__LAYER__KIND_LINEAR;
        wire->layer.linear = &wire->linear;
        return;
    case MR_LAYER_ACTIVATION:
        millrace__run__v1__activation__init(&wire->activation);
        wire->activation.kind = activation_of(layer->activation);
        wire->layer.kind_case = MILLRACE__RUN__V1__LAYER__KIND_ACTIVATION;
        wire->layer.activation = &wire->activation;
        return;
    }
    mr_unreachable(__func__);
}

static void set_network(const struct mr_run_spec *spec, struct mr_spec_wire *wire)
{
    millrace__run__v1__network__init(&wire->network);
    for (uint32_t i = 0; i < spec->layers; i++) {
        set_layer(&spec->layer[i], &wire->layer[i]);
        wire->layers[i] = &wire->layer[i].layer;
    }
    wire->network.n_layers = spec->layers;
    wire->network.layers = wire->layers;
    wire->spec.network = &wire->network;
}

static void set_optimiser(const struct mr_optimiser_spec *optimiser, struct mr_spec_wire *wire)
{
    millrace__run__v1__optimiser__init(&wire->optimiser);
    wire->optimiser.beta1 = optimiser->beta1;
    wire->optimiser.beta2 = optimiser->beta2;
    wire->optimiser.epsilon = optimiser->epsilon;
    wire->optimiser.weight_decay = optimiser->weight_decay;
    wire->optimiser.clip_norm = optimiser->clip_norm;
    wire->spec.optimiser = &wire->optimiser;
}

static void set_schedule(const struct mr_schedule_spec *schedule, struct mr_spec_wire *wire)
{
    millrace__run__v1__schedule__init(&wire->schedule);
    wire->spec.schedule = &wire->schedule;
    switch (schedule->kind) {
    case MR_SCHEDULE_CONSTANT:
        millrace__run__v1__constant__init(&wire->constant);
        wire->constant.learning_rate = schedule->peak_rate;
        wire->schedule.kind_case = MILLRACE__RUN__V1__SCHEDULE__KIND_CONSTANT;
        wire->schedule.constant = &wire->constant;
        return;
    case MR_SCHEDULE_COSINE:
        millrace__run__v1__cosine__init(&wire->cosine);
        wire->cosine.peak_rate = schedule->peak_rate;
        wire->cosine.final_rate = schedule->final_rate;
        wire->cosine.warmup_steps = schedule->warmup_steps;
        wire->cosine.total_steps = schedule->total_steps;
        wire->schedule.kind_case = MILLRACE__RUN__V1__SCHEDULE__KIND_COSINE;
        wire->schedule.cosine = &wire->cosine;
        return;
    }
    mr_unreachable(__func__);
}

static void set_commit_plan(const struct mr_run_spec *spec, struct mr_spec_wire *wire)
{
    Millrace__Run__V1__CommitPlan *plan = &wire->commit_plan;
    millrace__run__v1__commit_plan__init(plan);
    wire->spec.commit_plan = plan;
    switch (spec->commit) {
    case MR_COMMIT_NONE:
        millrace__run__v1__no_commit__init(&wire->no_commit);
        plan->plan_case = MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_NO_COMMIT;
        plan->no_commit = &wire->no_commit;
        return;
    case MR_COMMIT_FINAL:
        millrace__run__v1__final_commit__init(&wire->final_commit);
        plan->plan_case = MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_FINAL_COMMIT;
        plan->final_commit = &wire->final_commit;
        return;
    case MR_COMMIT_INTERVAL:
        millrace__run__v1__interval_commit__init(&wire->interval_commit);
        wire->interval_commit.every_steps = spec->commit_every_steps;
        plan->plan_case = MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_INTERVAL_COMMIT;
        plan->interval_commit = &wire->interval_commit;
        return;
    case MR_COMMIT_FINAL_AND_INTERVAL:
        millrace__run__v1__final_and_interval_commit__init(&wire->final_and_interval_commit);
        wire->final_and_interval_commit.every_steps = spec->commit_every_steps;
        plan->plan_case = MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_FINAL_AND_INTERVAL_COMMIT;
        plan->final_and_interval_commit = &wire->final_and_interval_commit;
        return;
    }
    mr_unreachable(__func__);
}

static void set_rest(struct mr_spec_wire *wire)
{
    struct mr_run_spec *spec = &wire->copy;
    wire->spec.init_seed = spec->init_seed;
    wire->spec.dtype_policy = policy_of(spec->dtype_policy);
    wire->spec.message_template = spec->message_template;
    wire->spec.version_bump = bump_of(spec->version_bump);
    for (uint32_t i = 0; i < spec->tags; i++) {
        millrace__run__v1__tag__init(&wire->tag[i]);
        wire->tag[i].key = spec->tag[i].key;
        wire->tag[i].value = spec->tag[i].value;
        wire->tags[i] = &wire->tag[i];
    }
    wire->spec.n_tags = spec->tags;
    wire->spec.tags = wire->tags;
    wire->spec.study_id = spec->study_id;
    wire->spec.trial_id = spec->trial_id;
    if (spec->restarts) {
        millrace__run__v1__restart_from__init(&wire->restart_from);
        wire->restart_from.version_id = spec->restart_from.version_id;
        wire->restart_from.content_hash.data = spec->restart_from.content_hash.bytes;
        wire->restart_from.content_hash.len = MR_SHA256_SIZE;
        wire->spec.restart_from = &wire->restart_from;
    }
    if (spec->max_rows != 0 || spec->max_payload_bytes != 0) {
        millrace__run__v1__limits__init(&wire->limits);
        wire->limits.max_rows = spec->max_rows;
        wire->limits.max_payload_bytes = spec->max_payload_bytes;
        wire->spec.limits = &wire->limits;
    }
    wire->spec.arithmetic_profile = wire->profile;
}

void mr_spec_wire_fill(const struct mr_run_spec *spec, struct mr_spec_wire *wire)
{
    millrace__run__v1__run_spec__init(&wire->spec);
    wire->copy = *spec;
    memcpy(wire->profile, MR_PROFILE_NAME, sizeof MR_PROFILE_NAME);
    set_job(spec, wire);
    set_network(spec, wire);
    set_optimiser(&spec->optimiser, wire);
    set_schedule(&spec->schedule, wire);
    set_commit_plan(spec, wire);
    set_rest(wire);
}

struct mr_error mr_run_spec_encode(const struct mr_run_spec *spec, struct mr_buffer *buffer)
{
    struct mr_spec_wire wire;
    mr_spec_wire_fill(spec, &wire);
    const size_t size = millrace__run__v1__run_spec__get_packed_size(&wire.spec);
    MR_TRY(mr_buffer_reserve(buffer, buffer->size + size));
    buffer->size += millrace__run__v1__run_spec__pack(&wire.spec, buffer->data + buffer->size);
    return mr_ok();
}
