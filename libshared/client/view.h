/* One verified version: immutable from its making to its end. */
#ifndef CLIENT_VIEW_H
#define CLIENT_VIEW_H

#include "millrace/checkpoint.h"
#include "millrace/client.h"
#include "millrace/network.h"
#include "millrace/pricing.h"
#include "millrace/versions.h"

struct view_slot;

struct mr_view {
    struct view_slot *slot; /* where it is served from */
    struct mr_version_entry entry;
    struct mr_view_info info; /* its texts are in `entry` and below */
    char semantic_version[MR_SEMVER_SIZE], log_id[2 * MR_POSITION_LOG_ID_SIZE + 1];
    char content_hash[MR_SHA256_TEXT_SIZE], record_hash[MR_SHA256_TEXT_SIZE], commit_id[MR_SHA256_TEXT_SIZE];
    struct mr_pricer *pricer; /* of a pricing job, else NULL */
    struct mr_network network;
    float *weights; /* of a labelled job, else NULL */
};

/* Copies what it needs. FATAL "out_of_memory". */
MR_MUST_USE struct mr_error view_new(const struct mr_version_entry *entry, const struct mr_checkpoint *checkpoint,
                                     struct mr_view **ret_view);
void view_free(struct mr_view *view);

#endif
