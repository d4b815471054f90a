/* Wire to spec: every rule about a run's specification is in this file. A check that fails names its field. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "millrace/network.h"
#include "millrace/spec.h"

struct check {
    struct mr_field_fault *fault;
};

/* Always false. */
static bool fail(const struct check *check, const char *expected, const char *path, ...) MR_PRINTF(3, 4);
static bool fail(const struct check *check, const char *expected, const char *path, ...)
{
    va_list arguments;
    va_start(arguments, path);
    vsnprintf(check->fault->path, sizeof check->fault->path, path, arguments);
    va_end(arguments);
    snprintf(check->fault->expected, sizeof check->fault->expected, "%s", expected);
    return false;
}

/* An integer in [low, high]. */
static bool in_range(const struct check *check, uint64_t value, uint64_t low, uint64_t high, const char *path)
{
    char expected[MR_FIELD_EXPECTED_SIZE];
    snprintf(expected, sizeof expected, "%llu to %llu", (unsigned long long)low, (unsigned long long)high);
    return (value >= low && value <= high) || fail(check, expected, "%s", path);
}

/* -0 has the bytes of an absent field, so it must not survive. */
static float plain(float value)
{
    return value == 0.0f ? 0.0f : value;
}

/* ---- The pricing job ---------------------------------------------------------------------------------- */

static bool contract_field(Millrace__Run__V1__ContractField wire, enum mr_contract_field *ret_field)
{
    switch (wire) {
    case MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_X0: *ret_field = MR_CONTRACT_X0; return true;
    case MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_K: *ret_field = MR_CONTRACT_K; return true;
    case MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_T: *ret_field = MR_CONTRACT_T; return true;
    case MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_R: *ret_field = MR_CONTRACT_R; return true;
    case MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_D: *ret_field = MR_CONTRACT_D; return true;
    case MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_V: *ret_field = MR_CONTRACT_V; return true;
    case MILLRACE__RUN__V1__CONTRACT_FIELD__CONTRACT_FIELD_UNSPECIFIED:
    case _MILLRACE__RUN__V1__CONTRACT_FIELD_IS_INT_SIZE: break;
    }
    return false;
}

static bool check_inputs(const struct check *check, const Millrace__Run__V1__PricingJob *wire,
                         struct mr_pricing_job *job)
{
    uint32_t seen = 0;
    if (wire->n_inputs < 1 || wire->n_inputs > MR_CONTRACT_FIELDS) {
        return fail(check, "1 to 6 fields of the contract", "pricing.inputs");
    }
    for (size_t i = 0; i < wire->n_inputs; i++) {
        if (!contract_field(wire->inputs[i], &job->input[i])) {
            return fail(check, "x0, k, t, r, d or v", "pricing.inputs[%zu]", i);
        }
        if ((seen & 1u << job->input[i]) != 0) {
            return fail(check, "no field twice", "pricing.inputs[%zu]", i);
        }
        seen |= 1u << job->input[i];
    }
    job->inputs = (uint32_t)wire->n_inputs;
    return true;
}

/* What a lower bound must be, beside finite. */
static const char *lower_fault(enum mr_contract_field field, float lower)
{
    switch (field) {
    case MR_CONTRACT_X0:
    case MR_CONTRACT_K: return lower > 0.0f ? NULL : "above 0";
    case MR_CONTRACT_T:
    case MR_CONTRACT_V: return lower >= 0.0f ? NULL : "0 or above";
    case MR_CONTRACT_R:
    case MR_CONTRACT_D: return NULL;
    }
    mr_unreachable(__func__);
}

static bool check_domain(const struct check *check, const Millrace__Run__V1__PricingJob *wire,
                         struct mr_pricing_job *job)
{
    if (wire->n_domain != MR_CONTRACT_FIELDS) {
        return fail(check, "6 bounds: x0, k, t, r, d, v", "pricing.domain");
    }
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        const Millrace__Run__V1__Bound *bound = wire->domain[i];
        enum mr_contract_field field;
        if (!contract_field(bound->field, &field) || field != (enum mr_contract_field)i) {
            return fail(check, "the schema's order: x0, k, t, r, d, v", "pricing.domain[%zu].field", i);
        }
        if (!isfinite(bound->lower)) {
            return fail(check, "a finite number", "pricing.domain[%zu].lower", i);
        }
        if (lower_fault(field, bound->lower) != NULL) {
            return fail(check, lower_fault(field, bound->lower), "pricing.domain[%zu].lower", i);
        }
        if (!isfinite(bound->upper) || !(bound->upper > bound->lower)) {
            return fail(check, "a finite number above the lower bound", "pricing.domain[%zu].upper", i);
        }
        /* The network's inputs divide by the width. */
        if (!isfinite(bound->upper - bound->lower) || !isfinite(2.0f / (bound->upper - bound->lower))) {
            return fail(check, "a width that float32 can scale", "pricing.domain[%zu]", i);
        }
        job->domain[i] = (struct mr_bound){plain(bound->lower), plain(bound->upper)};
    }
    return true;
}

static bool check_scheme(const struct check *check, const Millrace__Run__V1__Simulation *wire,
                         struct mr_simulation *simulation)
{
    switch (wire->scheme) {
    case MILLRACE__RUN__V1__SCHEME__SCHEME_LOG_EULER: simulation->scheme = MR_SCHEME_LOG_EULER; return true;
    case MILLRACE__RUN__V1__SCHEME__SCHEME_SIMPLE_EULER: simulation->scheme = MR_SCHEME_SIMPLE_EULER; return true;
    case MILLRACE__RUN__V1__SCHEME__SCHEME_UNSPECIFIED:
    case _MILLRACE__RUN__V1__SCHEME_IS_INT_SIZE: break;
    }
    return fail(check, "log_euler or simple_euler", "pricing.simulation.scheme");
}

static bool check_normalisation(const struct check *check, const Millrace__Run__V1__Simulation *wire,
                                struct mr_simulation *simulation)
{
    switch (wire->normalisation) {
    case MILLRACE__RUN__V1__NORMALISATION__NORMALISATION_FORWARD:
        simulation->normalisation = MR_NORMALISATION_FORWARD;
        return true;
    case MILLRACE__RUN__V1__NORMALISATION__NORMALISATION_RAW:
        simulation->normalisation = MR_NORMALISATION_RAW;
        return true;
    case MILLRACE__RUN__V1__NORMALISATION__NORMALISATION_UNSPECIFIED:
    case _MILLRACE__RUN__V1__NORMALISATION_IS_INT_SIZE: break;
    }
    return fail(check, "forward or raw", "pricing.simulation.normalisation");
}

static bool check_simulation(const struct check *check, const Millrace__Run__V1__Simulation *wire,
                             struct mr_simulation *simulation)
{
    if (wire == NULL) {
        return fail(check, "a simulation", "pricing.simulation");
    }
    simulation->timesteps = wire->timesteps;
    simulation->seed = wire->seed;
    simulation->antithetic = wire->antithetic != 0;
    return check_scheme(check, wire, simulation) && check_normalisation(check, wire, simulation) &&
           in_range(check, wire->timesteps, 1, MR_SPEC_TIMESTEPS_MAX, "pricing.simulation.timesteps");
}

static bool check_envelope(const struct check *check, const Millrace__Run__V1__CharacteristicFunction *wire,
                           struct mr_pricing_job *job)
{
    switch (wire->envelope) {
    case MILLRACE__RUN__V1__ENVELOPE__ENVELOPE_GAUSSIAN:
        job->characteristic_function.envelope = MR_ENVELOPE_GAUSSIAN;
        return true;
    case MILLRACE__RUN__V1__ENVELOPE__ENVELOPE_NONE:
        job->characteristic_function.envelope = MR_ENVELOPE_NONE;
        return true;
    case MILLRACE__RUN__V1__ENVELOPE__ENVELOPE_UNSPECIFIED:
    case _MILLRACE__RUN__V1__ENVELOPE_IS_INT_SIZE: break;
    }
    return fail(check, "gaussian or none", "pricing.characteristic_function.envelope");
}

static bool check_characteristic_function(const struct check *check,
                                          const Millrace__Run__V1__CharacteristicFunction *wire,
                                          struct mr_pricing_job *job)
{
    if (!in_range(check, wire->frequencies, 2, MR_SPEC_FREQUENCIES_MAX,
                  "pricing.characteristic_function.frequencies") ||
        !in_range(check, wire->paths, 1, MR_SPEC_PATHS_MAX, "pricing.characteristic_function.paths")) {
        return false;
    }
    if (!(wire->width >= 1.0f && wire->width <= 100.0f)) {
        return fail(check, "1 to 100 standard deviations", "pricing.characteristic_function.width");
    }
    if (job->simulation.antithetic && wire->paths % 2 != 0) {
        return fail(check, "an even number, as paths are antithetic", "pricing.characteristic_function.paths");
    }
    job->target = MR_TARGET_CHARACTERISTIC_FUNCTION;
    job->characteristic_function.frequencies = wire->frequencies;
    job->characteristic_function.width = wire->width;
    job->characteristic_function.paths = wire->paths;
    return check_envelope(check, wire, job);
}

static bool check_payoff_fft(const struct check *check, const Millrace__Run__V1__PayoffFft *wire,
                             struct mr_pricing_job *job)
{
    const uint32_t size = wire->network_size;
    if (size < 2 || size > MR_SPEC_FREQUENCIES_MAX || (size & (size - 1)) != 0) {
        return fail(check, "a power of two from 2 to 4096", "pricing.payoff_fft.network_size");
    }
    job->target = MR_TARGET_PAYOFF_FFT;
    job->payoff_fft.network_size = size;
    job->payoff_fft.batches = wire->batches;
    return in_range(check, wire->batches, 1, (uint32_t)MR_SPEC_PATHS_MAX / size, "pricing.payoff_fft.batches");
}

static bool check_pricing(const struct check *check, const Millrace__Run__V1__PricingJob *wire,
                          struct mr_pricing_job *job)
{
    if (wire->schema != MILLRACE__RUN__V1__CONTRACT_SCHEMA__CONTRACT_SCHEMA_GBM) {
        return fail(check, "gbm", "pricing.schema");
    }
    job->sobol_seed = wire->sobol_seed;
    if (!check_inputs(check, wire, job) || !check_domain(check, wire, job) ||
        !check_simulation(check, wire->simulation, &job->simulation)) {
        return false;
    }
    switch (wire->target_case) {
    case MILLRACE__RUN__V1__PRICING_JOB__TARGET_CHARACTERISTIC_FUNCTION:
        return check_characteristic_function(check, wire->characteristic_function, job);
    case MILLRACE__RUN__V1__PRICING_JOB__TARGET_PAYOFF_FFT: return check_payoff_fft(check, wire->payoff_fft, job);
    case MILLRACE__RUN__V1__PRICING_JOB__TARGET__NOT_SET:
    case _MILLRACE__RUN__V1__PRICING_JOB__TARGET__CASE_IS_INT_SIZE: break;
    }
    return fail(check, "characteristic_function or payoff_fft", "pricing.target");
}

static bool check_job(const struct check *check, const Millrace__Run__V1__RunSpec *wire, struct mr_run_spec *spec)
{
    switch (wire->job_case) {
    case MILLRACE__RUN__V1__RUN_SPEC__JOB_PRICING:
        spec->job = MR_JOB_PRICING;
        return check_pricing(check, wire->pricing, &spec->pricing);
    case MILLRACE__RUN__V1__RUN_SPEC__JOB_LABELLED:
        spec->job = MR_JOB_LABELLED;
        spec->labelled = (struct mr_labelled_job){wire->labelled->features, wire->labelled->targets};
        return in_range(check, wire->labelled->features, 1, MR_SPEC_FEATURES_MAX, "labelled.features") &&
               in_range(check, wire->labelled->targets, 1, MR_SPEC_FEATURES_MAX, "labelled.targets");
    case MILLRACE__RUN__V1__RUN_SPEC__JOB__NOT_SET:
    case _MILLRACE__RUN__V1__RUN_SPEC__JOB__CASE_IS_INT_SIZE: break;
    }
    return fail(check, "pricing or labelled", "job");
}

/* ---- The network --------------------------------------------------------------------------------------- */

static bool activation(Millrace__Run__V1__ActivationKind wire, enum mr_activation *ret_activation)
{
    switch (wire) {
    case MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_CSILU: *ret_activation = MR_ACTIVATION_CSILU; return true;
    case MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_MODRELU:
        *ret_activation = MR_ACTIVATION_MODRELU;
        return true;
    case MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_ZRELU: *ret_activation = MR_ACTIVATION_ZRELU; return true;
    case MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_CRELU: *ret_activation = MR_ACTIVATION_CRELU; return true;
    case MILLRACE__RUN__V1__ACTIVATION_KIND__ACTIVATION_KIND_UNSPECIFIED:
    case _MILLRACE__RUN__V1__ACTIVATION_KIND_IS_INT_SIZE: break;
    }
    return false;
}

static bool check_layer(const struct check *check, const Millrace__Run__V1__Layer *wire, size_t index,
                        struct mr_layer_spec *layer)
{
    switch (wire->kind_case) {
    case MILLRACE__RUN__V1__LAYER__KIND_LINEAR:
        layer->kind = MR_LAYER_LINEAR;
        layer->width = wire->linear->width;
        return (layer->width >= 1 && layer->width <= MR_SPEC_WIDTH_MAX) ||
               fail(check, "1 to 4096", "network.layers[%zu].linear.width", index);
    case MILLRACE__RUN__V1__LAYER__KIND_ACTIVATION:
        layer->kind = MR_LAYER_ACTIVATION;
        return activation(wire->activation->kind, &layer->activation) ||
               fail(check, "csilu, modrelu, zrelu or crelu", "network.layers[%zu].activation.kind", index);
    case MILLRACE__RUN__V1__LAYER__KIND_BATCH_NORM:
        return fail(check, "no batch norm: this version cannot train it", "network.layers[%zu].batch_norm", index);
    case MILLRACE__RUN__V1__LAYER__KIND_RESIDUAL:
        return fail(check, "no residual: this version cannot train it", "network.layers[%zu].residual", index);
    case MILLRACE__RUN__V1__LAYER__KIND__NOT_SET:
    case _MILLRACE__RUN__V1__LAYER__KIND__CASE_IS_INT_SIZE: break;
    }
    return fail(check, "linear or activation", "network.layers[%zu]", index);
}

static bool check_network(const struct check *check, const Millrace__Run__V1__Network *wire, struct mr_run_spec *spec)
{
    if (wire == NULL || wire->n_layers > MR_SPEC_LAYERS_MAX) {
        return fail(check, wire == NULL ? "a network" : "at most 32 layers", "network.layers");
    }
    for (size_t i = 0; i < wire->n_layers; i++) {
        if (!check_layer(check, wire->layers[i], i, &spec->layer[i])) {
            return false;
        }
    }
    spec->layers = (uint32_t)wire->n_layers;
    return true;
}

static bool check_size(const struct check *check, const struct mr_run_spec *spec)
{
    struct mr_network network;
    mr_network_plan(spec, &network);
    return network.parameters <= MR_SPEC_PARAMETERS_MAX ||
           fail(check, "at most 4194304 real parameters in all", "network");
}

/* ---- Optimiser and schedule ----------------------------------------------------------------------------- */

static bool check_optimiser(const struct check *check, const Millrace__Run__V1__Optimiser *wire,
                            struct mr_optimiser_spec *optimiser)
{
    if (wire == NULL) {
        return fail(check, "an optimiser", "optimiser");
    }
    if (!(wire->beta1 >= 0.0f && wire->beta1 < 1.0f)) {
        return fail(check, "0 to below 1", "optimiser.beta1");
    }
    if (!(wire->beta2 >= 0.0f && wire->beta2 < 1.0f)) {
        return fail(check, "0 to below 1", "optimiser.beta2");
    }
    if (!(wire->epsilon >= 1e-30f && wire->epsilon <= 1.0f)) {
        return fail(check, "1e-30 to 1", "optimiser.epsilon");
    }
    if (!(wire->weight_decay >= 0.0f && wire->weight_decay <= 1.0f)) {
        return fail(check, "0 to 1", "optimiser.weight_decay");
    }
    if (!(wire->clip_norm >= 0.0f && isfinite(wire->clip_norm))) {
        return fail(check, "0 or a finite norm above it", "optimiser.clip_norm");
    }
    *optimiser = (struct mr_optimiser_spec){plain(wire->beta1), plain(wire->beta2), wire->epsilon,
                                            plain(wire->weight_decay), plain(wire->clip_norm)};
    return true;
}

static bool rate_good(float rate)
{
    return rate > 0.0f && rate <= 1.0f;
}

static bool check_cosine(const struct check *check, const Millrace__Run__V1__Cosine *wire,
                         struct mr_schedule_spec *schedule)
{
    if (!rate_good(wire->peak_rate)) {
        return fail(check, "above 0, at most 1", "schedule.cosine.peak_rate");
    }
    if (!(wire->final_rate >= 0.0f && wire->final_rate <= wire->peak_rate)) {
        return fail(check, "0 to peak_rate", "schedule.cosine.final_rate");
    }
    if (!in_range(check, wire->total_steps, 1, MR_SPEC_STEPS_MAX, "schedule.cosine.total_steps")) {
        return false;
    }
    if (wire->warmup_steps >= wire->total_steps) {
        return fail(check, "below total_steps", "schedule.cosine.warmup_steps");
    }
    *schedule = (struct mr_schedule_spec){MR_SCHEDULE_COSINE, wire->peak_rate, plain(wire->final_rate),
                                          wire->warmup_steps, wire->total_steps};
    return true;
}

static bool check_schedule(const struct check *check, const Millrace__Run__V1__Schedule *wire,
                           struct mr_schedule_spec *schedule)
{
    if (wire == NULL) {
        return fail(check, "constant or cosine", "schedule");
    }
    switch (wire->kind_case) {
    case MILLRACE__RUN__V1__SCHEDULE__KIND_CONSTANT:
        *schedule = (struct mr_schedule_spec){MR_SCHEDULE_CONSTANT, wire->constant->learning_rate,
                                              wire->constant->learning_rate, 0, 0};
        return rate_good(schedule->peak_rate) || fail(check, "above 0, at most 1", "schedule.constant.learning_rate");
    case MILLRACE__RUN__V1__SCHEDULE__KIND_COSINE: return check_cosine(check, wire->cosine, schedule);
    case MILLRACE__RUN__V1__SCHEDULE__KIND__NOT_SET:
    case _MILLRACE__RUN__V1__SCHEDULE__KIND__CASE_IS_INT_SIZE: break;
    }
    return fail(check, "constant or cosine", "schedule");
}

/* ---- Commits, dtype, texts -------------------------------------------------------------------------------- */

static bool check_commit_plan(const struct check *check, const Millrace__Run__V1__CommitPlan *wire,
                              struct mr_run_spec *spec)
{
    if (wire == NULL) {
        return fail(check, "a commit plan", "commit_plan");
    }
    switch (wire->plan_case) {
    case MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_NO_COMMIT: spec->commit = MR_COMMIT_NONE; return true;
    case MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_FINAL_COMMIT: spec->commit = MR_COMMIT_FINAL; return true;
    case MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_INTERVAL_COMMIT:
        spec->commit = MR_COMMIT_INTERVAL;
        spec->commit_every_steps = wire->interval_commit->every_steps;
        return in_range(check, spec->commit_every_steps, 1, MR_SPEC_STEPS_MAX,
                        "commit_plan.interval_commit.every_steps");
    case MILLRACE__RUN__V1__COMMIT_PLAN__PLAN_FINAL_AND_INTERVAL_COMMIT:
        spec->commit = MR_COMMIT_FINAL_AND_INTERVAL;
        spec->commit_every_steps = wire->final_and_interval_commit->every_steps;
        return in_range(check, spec->commit_every_steps, 1, MR_SPEC_STEPS_MAX,
                        "commit_plan.final_and_interval_commit.every_steps");
    case MILLRACE__RUN__V1__COMMIT_PLAN__PLAN__NOT_SET:
    case _MILLRACE__RUN__V1__COMMIT_PLAN__PLAN__CASE_IS_INT_SIZE: break;
    }
    return fail(check, "no_commit, final_commit, interval_commit or final_and_interval_commit", "commit_plan");
}

static bool check_dtype_policy(const struct check *check, Millrace__Run__V1__DtypePolicy wire, struct mr_run_spec *spec)
{
    switch (wire) {
    case MILLRACE__RUN__V1__DTYPE_POLICY__DTYPE_POLICY_KEEP: spec->dtype_policy = MR_DTYPE_KEEP; return true;
    case MILLRACE__RUN__V1__DTYPE_POLICY__DTYPE_POLICY_CAST_TO_BFLOAT16:
        spec->dtype_policy = MR_DTYPE_CAST_TO_BFLOAT16;
        return true;
    case MILLRACE__RUN__V1__DTYPE_POLICY__DTYPE_POLICY_UNSPECIFIED:
    case _MILLRACE__RUN__V1__DTYPE_POLICY_IS_INT_SIZE: break;
    }
    return fail(check, "keep or cast_to_bfloat16", "dtype_policy");
}

static bool check_version_bump(const struct check *check, Millrace__Run__V1__VersionBump wire, struct mr_run_spec *spec)
{
    switch (wire) {
    case MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_UNSPECIFIED: /* the documented default */
    case MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_PATCH: spec->version_bump = MR_BUMP_PATCH; return true;
    case MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_MINOR: spec->version_bump = MR_BUMP_MINOR; return true;
    case MILLRACE__RUN__V1__VERSION_BUMP__VERSION_BUMP_MAJOR: spec->version_bump = MR_BUMP_MAJOR; return true;
    case _MILLRACE__RUN__V1__VERSION_BUMP_IS_INT_SIZE: break;
    }
    return fail(check, "patch, minor or major", "version_bump");
}

static bool placeholder_known(const char *text, size_t size)
{
    static const char *const names[] = {"{run}", "{model}", "{step}", "{batch}", "{loss}"};
    for (size_t i = 0; i < MR_COUNT_OF(names); i++) {
        if (strlen(names[i]) == size && memcmp(names[i], text, size) == 0) {
            return true;
        }
    }
    return false;
}

/* Texts end in JSON. */
static bool utf8_good(const char *text)
{
    json_t *string = json_string(text);
    json_decref(string);
    return string != NULL;
}

static bool check_template(const struct check *check, const char *text, struct mr_run_spec *spec)
{
    if (strlen(text) >= sizeof spec->message_template) {
        return fail(check, "at most 511 bytes", "message_template");
    }
    if (!utf8_good(text)) {
        return fail(check, "UTF-8", "message_template");
    }
    for (const char *c = text; *c != '\0'; c++) {
        const char *end = *c == '{' ? strchr(c, '}') : c;
        if (*c == '}' || end == NULL || (*c == '{' && !placeholder_known(c, (size_t)(end - c) + 1))) {
            return fail(check, "only {run}, {model}, {step}, {batch} and {loss} in braces", "message_template");
        }
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return fail(check, "no control characters", "message_template");
        }
        c = end;
    }
    memcpy(spec->message_template, text, strlen(text) + 1);
    return true;
}

static bool copy_id(const struct check *check, const char *text, bool may_be_empty, char ret_id[MR_ID_SIZE],
                    const char *path)
{
    if (!(may_be_empty && text[0] == '\0') && !mr_id_valid(mr_bytes_of_text(text))) {
        return fail(check, "1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit", "%s", path);
    }
    memcpy(ret_id, text, strlen(text) + 1);
    return true;
}

static bool check_tags(const struct check *check, const Millrace__Run__V1__RunSpec *wire, struct mr_run_spec *spec)
{
    if (wire->n_tags > MR_SPEC_TAGS_MAX) {
        return fail(check, "at most 32 tags", "tags");
    }
    for (size_t i = 0; i < wire->n_tags; i++) {
        char path[MR_FIELD_PATH_SIZE];
        snprintf(path, sizeof path, "tags[%zu].key", i);
        if (!copy_id(check, wire->tags[i]->key, false, spec->tag[i].key, path)) {
            return false;
        }
        if (i > 0 && strcmp(spec->tag[i - 1].key, spec->tag[i].key) >= 0) {
            return fail(check, "keys in ascending order, none twice", "%s", path);
        }
        if (strlen(wire->tags[i]->value) >= MR_SPEC_TAG_VALUE_SIZE) {
            return fail(check, "at most 127 bytes", "tags[%zu].value", i);
        }
        if (!utf8_good(wire->tags[i]->value)) {
            return fail(check, "UTF-8", "tags[%zu].value", i);
        }
        memcpy(spec->tag[i].value, wire->tags[i]->value, strlen(wire->tags[i]->value) + 1);
    }
    spec->tags = (uint32_t)wire->n_tags;
    return true;
}

/* "v" and ten digits, "_", eight hexadecimal digits. */
static bool version_id_good(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != 20 || text[0] != 'v' || text[11] != '_') {
        return false;
    }
    return strspn(text + 1, "0123456789") == 10 && strspn(text + 12, digits) == 8;
}

static bool check_restart(const struct check *check, const Millrace__Run__V1__RestartFrom *wire,
                          struct mr_run_spec *spec)
{
    if (wire == NULL) {
        return true;
    }
    if (!version_id_good(wire->version_id)) {
        return fail(check, "a version id like v0000000042_1a2b3c4d", "restart_from.version_id");
    }
    if (wire->content_hash.len != MR_SHA256_SIZE) {
        return fail(check, "32 bytes", "restart_from.content_hash");
    }
    spec->restarts = true;
    memcpy(spec->restart_from.version_id, wire->version_id, strlen(wire->version_id) + 1);
    memcpy(spec->restart_from.content_hash.bytes, wire->content_hash.data, MR_SHA256_SIZE);
    return true;
}

static bool check_rest(const struct check *check, const Millrace__Run__V1__RunSpec *wire, struct mr_run_spec *spec)
{
    spec->init_seed = wire->init_seed;
    spec->max_rows = wire->limits == NULL ? 0 : wire->limits->max_rows;
    spec->max_payload_bytes = wire->limits == NULL ? 0 : wire->limits->max_payload_bytes;
    if (wire->spectral_norm != NULL && wire->spectral_norm->enabled) {
        return fail(check, "false: this version cannot train spectral norm", "spectral_norm.enabled");
    }
    if (strcmp(wire->arithmetic_profile, MR_PROFILE_NAME) != 0) {
        return fail(check, "\"" MR_PROFILE_NAME "\"", "arithmetic_profile");
    }
    return check_dtype_policy(check, wire->dtype_policy, spec) && check_version_bump(check, wire->version_bump, spec) &&
           check_template(check, wire->message_template, spec) && check_tags(check, wire, spec) &&
           copy_id(check, wire->study_id, true, spec->study_id, "study_id") &&
           copy_id(check, wire->trial_id, true, spec->trial_id, "trial_id") &&
           check_restart(check, wire->restart_from, spec);
}

struct mr_error mr_run_spec_decode(const Millrace__Run__V1__RunSpec *wire, struct mr_run_spec *ret_spec,
                                   struct mr_field_fault *ret_fault)
{
    const struct check check = {ret_fault};
    struct mr_run_spec *spec = calloc(1, sizeof *spec);
    if (spec == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory to check a run spec");
    }
    const bool good = !mr_message_has_unknown(&wire->base, ret_fault) && check_job(&check, wire, spec) &&
                      check_network(&check, wire->network, spec) && check_size(&check, spec) &&
                      check_optimiser(&check, wire->optimiser, &spec->optimiser) &&
                      check_schedule(&check, wire->schedule, &spec->schedule) &&
                      check_commit_plan(&check, wire->commit_plan, spec) && check_rest(&check, wire, spec);
    if (good) {
        *ret_spec = *spec;
    }
    free(spec);
    return good ? mr_ok() : mr_field_fault_error("bad_spec", ret_fault);
}

struct mr_error mr_run_spec_unpack(struct mr_bytes packed, struct mr_run_spec *ret_spec,
                                   struct mr_field_fault *ret_fault)
{
    const struct check check = {ret_fault};
    if (!mr_message_wire_check(&millrace__run__v1__run_spec__descriptor, packed, ret_fault)) {
        return mr_field_fault_error("bad_spec", ret_fault);
    }
    Millrace__Run__V1__RunSpec *wire = millrace__run__v1__run_spec__unpack(NULL, packed.size, packed.data);
    if (wire == NULL) {
        (void)fail(&check, "the bytes of a RunSpec", "%s", "");
        return mr_field_fault_error("bad_spec", ret_fault);
    }
    const struct mr_error error = mr_run_spec_decode(wire, ret_spec, ret_fault);
    millrace__run__v1__run_spec__free_unpacked(wire, NULL);
    return error;
}
