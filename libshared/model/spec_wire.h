/* Room for a whole RunSpec message, so that encoding a spec allocates nothing. */
#ifndef MR_SPEC_WIRE_H
#define MR_SPEC_WIRE_H

#include "millrace/spec.h"

struct mr_layer_wire {
    Millrace__Run__V1__Layer layer;
    Millrace__Run__V1__Linear linear;
    Millrace__Run__V1__Activation activation;
};

struct mr_spec_wire {
    Millrace__Run__V1__RunSpec spec; /* points into the rest: never copy the struct */
    struct mr_run_spec copy;         /* what the message's texts point at */
    char profile[sizeof MR_PROFILE_NAME];
    Millrace__Run__V1__PricingJob pricing;
    Millrace__Run__V1__ContractField inputs[MR_CONTRACT_FIELDS];
    Millrace__Run__V1__Bound bounds[MR_CONTRACT_FIELDS];
    Millrace__Run__V1__Bound *domain[MR_CONTRACT_FIELDS];
    Millrace__Run__V1__Simulation simulation;
    Millrace__Run__V1__CharacteristicFunction characteristic_function;
    Millrace__Run__V1__PayoffFft payoff_fft;
    Millrace__Run__V1__LabelledJob labelled;
    Millrace__Run__V1__Network network;
    struct mr_layer_wire layer[MR_SPEC_LAYERS_MAX];
    Millrace__Run__V1__Layer *layers[MR_SPEC_LAYERS_MAX];
    Millrace__Run__V1__Optimiser optimiser;
    Millrace__Run__V1__Schedule schedule;
    Millrace__Run__V1__Constant constant;
    Millrace__Run__V1__Cosine cosine;
    Millrace__Run__V1__CommitPlan commit_plan;
    Millrace__Run__V1__NoCommit no_commit;
    Millrace__Run__V1__FinalCommit final_commit;
    Millrace__Run__V1__IntervalCommit interval_commit;
    Millrace__Run__V1__FinalAndIntervalCommit final_and_interval_commit;
    Millrace__Run__V1__Tag tag[MR_SPEC_TAGS_MAX];
    Millrace__Run__V1__Tag *tags[MR_SPEC_TAGS_MAX];
    Millrace__Run__V1__RestartFrom restart_from;
    Millrace__Run__V1__Limits limits;
};

/* The canonical message of a spec. */
void mr_spec_wire_fill(const struct mr_run_spec *spec, struct mr_spec_wire *wire);

#endif
