/* A chain of versions of a small model in a store, written as persist writes it but without its care: one writer. */
#ifndef MODEL_CHAIN_H
#define MODEL_CHAIN_H

#include "millrace/checkpoint.h"
#include "millrace/versions.h"

struct model_chain {
    struct mr_store *store;
    char model_id[MR_ID_SIZE];
    struct mr_run_spec spec;
    struct mr_version_entry head; /* if any */
    uint64_t versions;
    const char *run_id; /* of the next version, as what follows */
    uint64_t run_began; /* the counter at which the run's steps begin */
    int64_t event_time_ms;
};

/* `spec_json` as in sample_spec.h. */
void model_chain_begin(struct model_chain *chain, struct mr_store *store, const char *model_id, const char *spec_json);
/* A version behind the last one. `bias`: of a labelled job, what every output's real part is, the imaginary one its
 * negative; a pricing job begins as a run does. Head is not moved. */
struct mr_version_entry model_chain_make(struct model_chain *chain, float bias);
void model_chain_move_head(struct model_chain *chain, const struct mr_version_entry *entry);
/* Both. */
struct mr_version_entry model_chain_commit(struct model_chain *chain, float bias);
/* The audit entry of an attempt. */
void model_chain_audit(struct model_chain *chain, const struct mr_version_entry *entry, int64_t observed_ms);

/* As by somebody else's hand. NULL removes the object. */
void model_chain_set(struct model_chain *chain, const char *key, struct mr_bytes body);
/* What is there; the caller deinits it. */
struct mr_buffer model_chain_get(struct model_chain *chain, const char *key);

/* A labelled job whose 64 outputs are its biases. */
extern const char model_chain_flat_json[];

#endif
