#include "train_job.h"

#include <stdlib.h>
#include <string.h>

static struct train_job *job_of(struct mr_job *job)
{
    return (struct train_job *)(void *)((unsigned char *)job - offsetof(struct train_job, base.job));
}

static struct mr_error see(struct mr_store *store, const char *model_id, struct train_seen *ret_seen)
{
    return mr_head_read(store, model_id, &ret_seen->some, &ret_seen->head, NULL);
}

/* ---- Hydrating --------------------------------------------------------------------------------------------- */

/* Head may have moved on, and what it was be collected, since it was read: then it is read again. */
static struct mr_error head_gone(struct train_hydrate *hydrate, struct mr_error gone)
{
    struct train_seen now = {.some = false};
    MR_TRY(see(hydrate->job.store, hydrate->model_id, &now));
    return now.some && mr_sha256_equal(&now.head.record_hash, &hydrate->seen.head.record_hash)
               ? gone
               : mr_error_make(MR_ERROR_TRANSIENT, "head_moved", 0, "%.150s", gone.detail);
}

static struct mr_error load(struct train_hydrate *hydrate)
{
    struct mr_buffer bytes = {0};
    struct mr_version_entry entry;
    struct mr_checkpoint checkpoint;
    const struct mr_version_choice choice = {.kind = MR_VERSION_ID, .version_id = hydrate->seen.head.version_id};
    struct mr_error error = mr_version_load(hydrate->job.store, hydrate->model_id, choice, &bytes, &entry);
    if (!mr_failed(error)) {
        error = mr_checkpoint_decode(mr_buffer_view(&bytes), &checkpoint);
    }
    mr_buffer_deinit(&bytes);
    if (strcmp(error.code, "version_gone") == 0) {
        return head_gone(hydrate, error);
    }
    MR_TRY(error);
    error = train_fold_hydrate(&hydrate->fold, &checkpoint);
    mr_checkpoint_deinit(&checkpoint);
    return error;
}

void train_hydrate_run(struct mr_job *job)
{
    struct train_hydrate *hydrate = (struct train_hydrate *)(void *)job_of(job);
    struct mr_error error = see(hydrate->job.store, hydrate->model_id, &hydrate->seen);
    train_fold_init(&hydrate->fold, hydrate->ops, hydrate->engine, hydrate->model_id);
    hydrate->has_fold = true;
    if (!mr_failed(error) && hydrate->seen.some) {
        error = load(hydrate);
    }
    hydrate->job.error = error;
}

void train_look_run(struct mr_job *job)
{
    struct train_look *look = (struct train_look *)(void *)job_of(job);
    look->job.error = see(look->job.store, look->model_id, &look->seen);
}

/* ---- Folding ------------------------------------------------------------------------------------------------ */

static struct mr_error fold_leased(struct train_folding *folding)
{
    const struct train_input input = {
        .kind = TRAIN_EVENT_BATCH,
        .run_id = folding->run_id,
        .of = {.batch = {.batch_id = folding->batch_id, .rows = folding->rows, .packed = folding->lease.bytes}},
    };
    return train_fold_apply(folding->fold, &input, &folding->outcome);
}

static struct mr_error fold_record(struct train_folding *folding)
{
    struct train_loaded loaded;
    MR_TRY(train_record_load(&folding->record, folding->fold, &folding->chain, folding->job.store,
                             TRAIN_READING_DECIDES, &loaded));
    const struct mr_error error = train_record_apply(&folding->record, &loaded, folding->fold, &folding->outcome);
    train_loaded_deinit(&loaded);
    return error;
}

static void release(struct train_folding *folding)
{
    if (folding->leased) {
        mr_arena_release(folding->consumer, &folding->lease);
        folding->leased = false;
    }
}

void train_folding_run(struct mr_job *job)
{
    struct train_folding *folding = (struct train_folding *)(void *)job_of(job);
    const int64_t began_us = mr_clock_monotonic_us(&folding->clock);
    folding->job.error = folding->leased ? fold_leased(folding) : fold_record(folding);
    folding->has_outcome = !mr_failed(folding->job.error);
    release(folding); /* the device is done with it */
    folding->seconds = (double)(mr_clock_monotonic_us(&folding->clock) - began_us) / 1e6;
}

/* ---- Sealing ------------------------------------------------------------------------------------------------- */

static struct mr_error store_error(const struct mr_store_result *result, const char *key)
{
    return result->outcome == MR_STORE_DENIED
               ? mr_error_make(MR_ERROR_FATAL, "denied", result->native, "%.150s", key)
               : mr_error_make(MR_ERROR_TRANSIENT, "unavailable", result->native, "%.100s: %.80s", key, result->detail);
}

/* What stands under the key is named by its hash: it can only be ours, or broken. */
static struct mr_error compare(struct mr_store *store, const char *key, struct mr_bytes bytes)
{
    struct mr_buffer body = {0};
    const struct mr_store_result got = mr_store_get(store, key, &body);
    struct mr_error error = mr_ok();
    if (got.outcome != MR_STORE_DONE) {
        error = store_error(&got, key); /* also when it is missing: it is put again */
    } else if (!mr_bytes_equal(mr_buffer_view(&body), bytes)) {
        error = mr_error_make(MR_ERROR_REJECT, "corrupt", 0,
                              "%.120s holds other bytes than its name says: look at it, and remove it", key);
    }
    mr_buffer_deinit(&body);
    return error;
}

static struct mr_error spool(struct mr_store *store, const char *model_id, const struct mr_sha256 *hash,
                             struct mr_bytes bytes)
{
    char key[MR_VERSION_KEY_SIZE];
    mr_key_spool(model_id, hash, key);
    const struct mr_store_result put =
        mr_store_put(store, key, bytes, (struct mr_store_condition){.kind = MR_STORE_IF_ABSENT});
    switch (put.outcome) {
    case MR_STORE_DONE: return mr_ok();
    case MR_STORE_PRECONDITION_FAILED:
    case MR_STORE_UNKNOWN: return compare(store, key, bytes);
    case MR_STORE_MISSING:
    case MR_STORE_CONFLICT:
    case MR_STORE_DENIED:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE: return store_error(&put, key);
    }
    mr_unreachable(__func__);
}

void train_sealing_run(struct mr_job *job)
{
    struct train_sealing *sealing = (struct train_sealing *)(void *)job_of(job);
    struct train_chain chain = sealing->chain;
    struct mr_buffer bytes = {0};
    struct mr_error error = see(sealing->job.store, sealing->model_id, &sealing->seen);
    if (!mr_failed(error)) {
        error = train_cut_seal(&sealing->cut, &chain, &bytes);
    }
    /* A checkpoint that head names already needs no spool: persist has read it, and removes it once. */
    const bool is_head =
        sealing->seen.some && mr_sha256_equal(&sealing->seen.head.content_hash, &chain.last) && !mr_failed(error);
    if (!mr_failed(error) && !is_head) {
        error = spool(sealing->job.store, sealing->model_id, &chain.last, mr_buffer_view(&bytes));
    }
    if (!mr_failed(error)) {
        sealing->chain = chain;
        sealing->size = bytes.size;
    }
    mr_buffer_deinit(&bytes);
    sealing->job.error = error;
}

/* ---- Ends ---------------------------------------------------------------------------------------------------- */

static void folding_deinit(struct train_folding *folding)
{
    release(folding);
    if (folding->has_record) {
        train_record_deinit(&folding->record);
    }
    if (folding->has_outcome) {
        train_outcome_deinit(&folding->outcome);
    }
}

void train_job_free(struct train_job *job)
{
    switch (job->kind) {
    case TRAIN_JOB_HYDRATE: {
        struct train_hydrate *hydrate = (struct train_hydrate *)(void *)job;
        if (hydrate->has_fold) {
            train_fold_deinit(&hydrate->fold);
        }
        break;
    }
    case TRAIN_JOB_FOLD: folding_deinit((struct train_folding *)(void *)job); break;
    case TRAIN_JOB_SEAL: train_cut_deinit(&((struct train_sealing *)(void *)job)->cut); break;
    case TRAIN_JOB_LOOK: break;
    }
    free(job);
}
