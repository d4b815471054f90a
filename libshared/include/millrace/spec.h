/* A run's specification: checked whole, as plain C without pointers, with one canonical encoding. */
#ifndef MR_SPEC_H
#define MR_SPEC_H

#include "millrace/base.h"
#include "millrace/bump.h"
#include "millrace/contract.h"
#include "millrace/hash.h"
#include "millrace/message.h"
#include "millrace/run/v1/run.pb-c.h"

#define MR_PROFILE_NAME "mr-f32-v1"

/* Upper bounds of everything in a spec; the check refuses what lies above. */
enum {
    MR_SPEC_LAYERS_MAX = 32,
    MR_SPEC_WIDTH_MAX = 4096,
    MR_SPEC_PARAMETERS_MAX = 1 << 22,
    MR_SPEC_FREQUENCIES_MAX = 4096,
    MR_SPEC_PATHS_MAX = 1 << 20,
    MR_SPEC_TIMESTEPS_MAX = 4096,
    MR_SPEC_STEPS_MAX = 1 << 24,
    MR_SPEC_FEATURES_MAX = 4096,
    MR_SPEC_TAGS_MAX = 32,
    MR_SPEC_TAG_VALUE_SIZE = 128,
    MR_SPEC_TEMPLATE_SIZE = 512,
    MR_SPEC_VERSION_ID_SIZE = 32,
};

enum mr_job_kind { MR_JOB_PRICING = 1, MR_JOB_LABELLED };
enum mr_target_kind { MR_TARGET_CHARACTERISTIC_FUNCTION = 1, MR_TARGET_PAYOFF_FFT };
enum mr_scheme { MR_SCHEME_LOG_EULER = 1, MR_SCHEME_SIMPLE_EULER };
enum mr_normalisation { MR_NORMALISATION_FORWARD = 1, MR_NORMALISATION_RAW };
enum mr_envelope { MR_ENVELOPE_GAUSSIAN = 1, MR_ENVELOPE_NONE };
enum mr_activation { MR_ACTIVATION_CSILU = 1, MR_ACTIVATION_MODRELU, MR_ACTIVATION_ZRELU, MR_ACTIVATION_CRELU };
enum mr_layer_kind { MR_LAYER_LINEAR = 1, MR_LAYER_ACTIVATION };
enum mr_schedule_kind { MR_SCHEDULE_CONSTANT = 1, MR_SCHEDULE_COSINE };
enum mr_commit_kind {
    MR_COMMIT_NONE = 1,
    MR_COMMIT_FINAL,
    MR_COMMIT_INTERVAL,
    MR_COMMIT_FINAL_AND_INTERVAL,
};
enum mr_dtype_policy { MR_DTYPE_KEEP = 1, MR_DTYPE_CAST_TO_BFLOAT16 };

struct mr_simulation {
    enum mr_scheme scheme;
    enum mr_normalisation normalisation;
    uint32_t timesteps;
    uint64_t seed;
    bool antithetic;
};

struct mr_pricing_job {
    uint32_t inputs; /* how many of `input` */
    enum mr_contract_field input[MR_CONTRACT_FIELDS];
    struct mr_bound domain[MR_CONTRACT_FIELDS]; /* by enum mr_contract_field */
    struct mr_simulation simulation;
    enum mr_target_kind target;
    union {
        struct {
            uint32_t frequencies;
            float width;
            uint32_t paths;
            enum mr_envelope envelope;
        } characteristic_function;
        struct {
            uint32_t network_size, batches;
        } payoff_fft;
    };
    uint64_t sobol_seed;
};

struct mr_labelled_job {
    uint32_t features, targets; /* targets are complex: two floats each */
};

struct mr_layer_spec {
    enum mr_layer_kind kind;
    union {
        uint32_t width; /* MR_LAYER_LINEAR */
        enum mr_activation activation;
    };
};

struct mr_optimiser_spec {
    float beta1, beta2, epsilon;
    float weight_decay; /* 0: none */
    float clip_norm;    /* 0: none */
};

struct mr_schedule_spec {
    enum mr_schedule_kind kind;
    float peak_rate, final_rate; /* a constant schedule has both equal */
    uint64_t warmup_steps, total_steps;
};

struct mr_tag {
    char key[MR_ID_SIZE];
    char value[MR_SPEC_TAG_VALUE_SIZE];
};

struct mr_run_spec {
    enum mr_job_kind job;
    union {
        struct mr_pricing_job pricing;
        struct mr_labelled_job labelled;
    };
    uint32_t layers;
    struct mr_layer_spec layer[MR_SPEC_LAYERS_MAX]; /* without the linear layer to the target's width at the end */
    struct mr_optimiser_spec optimiser;
    struct mr_schedule_spec schedule;
    enum mr_commit_kind commit;
    uint64_t commit_every_steps; /* 0 unless the plan has an interval */
    uint64_t init_seed;
    enum mr_dtype_policy dtype_policy;
    char message_template[MR_SPEC_TEMPLATE_SIZE]; /* as sent; empty stands for the default */
    enum mr_bump version_bump;
    uint32_t tags;
    struct mr_tag tag[MR_SPEC_TAGS_MAX];
    char study_id[MR_ID_SIZE], trial_id[MR_ID_SIZE]; /* empty: none */
    bool restarts;
    struct {
        char version_id[MR_SPEC_VERSION_ID_SIZE];
        struct mr_sha256 content_hash;
    } restart_from;                       /* if `restarts` */
    uint64_t max_rows, max_payload_bytes; /* 0: the service's own limit */
};

/* Checks all of `wire` (rule O10). On failure REJECT "bad_spec", `ret_fault` says where, and `ret_spec` is untouched.
 */
MR_MUST_USE struct mr_error mr_run_spec_decode(const Millrace__Run__V1__RunSpec *wire, struct mr_run_spec *ret_spec,
                                               struct mr_field_fault *ret_fault);
/* The same from packed bytes; bytes that are no RunSpec are the fault of path "". */
MR_MUST_USE struct mr_error mr_run_spec_unpack(struct mr_bytes packed, struct mr_run_spec *ret_spec,
                                               struct mr_field_fault *ret_fault);
/* Appends the canonical RunSpec: equal specs give equal bytes, and decoding them gives an equal spec. */
MR_MUST_USE struct mr_error mr_run_spec_encode(const struct mr_run_spec *spec, struct mr_buffer *buffer);

/* JSON text of a RunSpec into its wire message, which the caller frees (millrace__run__v1__run_spec__free_unpacked).
 * See mr_message_from_json. Not yet checked: mr_run_spec_decode does that. */
MR_MUST_USE struct mr_error mr_run_spec_from_json(struct mr_bytes text, Millrace__Run__V1__RunSpec **ret_wire,
                                                  struct mr_field_fault *ret_fault);

/* Complex outputs of the network: frequencies, network size or targets. */
uint32_t mr_run_spec_outputs(const struct mr_run_spec *spec);
/* Real inputs of the network. */
uint32_t mr_run_spec_inputs(const struct mr_run_spec *spec);
/* Paths per contract; 0 for a labelled job. */
uint32_t mr_run_spec_paths(const struct mr_run_spec *spec);

/* What a message template may name. `batch` is the id of the last batch folded in ("" if none). */
struct mr_message_facts {
    const char *run_id, *model_id, *batch_id;
    uint64_t step;
    float loss;
};
enum { MR_MESSAGE_SIZE = 1024 };
/* The commit message: a checked template filled in. The loss has nine significant digits. Cut to fit. */
void mr_message_render(const char *message_template, const struct mr_message_facts *facts,
                       char ret_text[MR_MESSAGE_SIZE]);

#endif
