#include "train_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "millrace/pins.h"

/* ---- Reading --------------------------------------------------------------------------------------------- */

static struct mr_error corrupt(const char *why)
{
    return mr_error_make(MR_ERROR_REJECT, "corrupt_record", 0, "a validated record: %s", why);
}

static struct mr_error read_event(struct train_record *record)
{
    const Millrace__Batch__V1__Submitted *submitted = record->submitted;
    struct mr_field_fault fault;
    switch (submitted->event_case) {
    case MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED:
        record->kind = TRAIN_EVENT_RUN_STARTED;
        if (submitted->run_started->spec == NULL) {
            return corrupt("its start has no spec");
        }
        return mr_run_spec_decode(submitted->run_started->spec, &record->spec, &fault);
    case MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH: record->kind = TRAIN_EVENT_BATCH; return mr_ok();
    case MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED: record->kind = TRAIN_EVENT_RUN_STOPPED; return mr_ok();
    case MILLRACE__BATCH__V1__SUBMITTED__EVENT__NOT_SET:
    case _MILLRACE__BATCH__V1__SUBMITTED__EVENT__CASE_IS_INT_SIZE: break;
    }
    return corrupt("it holds no event that this build knows");
}

struct mr_error train_record_read(struct mr_bytes validated, struct train_record *ret_record)
{
    struct train_record record = {.kind = TRAIN_EVENT_BATCH};
    record.validated = millrace__batch__v1__validated__unpack(NULL, validated.size, validated.data);
    if (record.validated == NULL) {
        return corrupt("its value is no Validated");
    }
    const ProtobufCBinaryData inner = record.validated->submitted;
    record.submitted = millrace__batch__v1__submitted__unpack(NULL, inner.len, inner.data);
    struct mr_error error = record.submitted == NULL ? corrupt("what it holds is no Submitted") : read_event(&record);
    if (!mr_failed(error) && (!mr_id_valid(mr_bytes_of_text(train_record_run_id(&record))) ||
                              strlen(train_record_batch_id(&record)) > MR_ID_MAX)) {
        error = corrupt("its run or batch has no valid id");
    }
    if (mr_failed(error)) {
        train_record_deinit(&record);
        return error;
    }
    *ret_record = record;
    return mr_ok();
}

void train_record_deinit(struct train_record *record)
{
    if (record->submitted != NULL) {
        millrace__batch__v1__submitted__free_unpacked(record->submitted, NULL);
    }
    if (record->validated != NULL) {
        millrace__batch__v1__validated__free_unpacked(record->validated, NULL);
    }
    record->submitted = NULL;
    record->validated = NULL;
}

const char *train_record_run_id(const struct train_record *record)
{
    const Millrace__Batch__V1__Submitted *submitted = record->submitted;
    return record->kind == TRAIN_EVENT_RUN_STARTED ? submitted->run_started->run_id
           : record->kind == TRAIN_EVENT_BATCH     ? submitted->batch->run_id
                                                   : submitted->run_stopped->run_id;
}

const char *train_record_batch_id(const struct train_record *record)
{
    return record->kind == TRAIN_EVENT_BATCH ? record->submitted->batch->batch_id : "";
}

static uint64_t rows_of(const Millrace__Batch__V1__Batch *batch)
{
    struct mr_batch_tensors tensors;
    if (batch->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE) {
        return batch->sobol_range->count;
    }
    mr_batch_tensors_of(batch, &tensors);
    return tensors.count > 0 && tensors.tensor[0]->n_shape > 0 ? tensors.tensor[0]->shape[0] : 0;
}

bool train_record_is_batch_in_memory(const struct train_record *record, uint64_t *ret_rows)
{
    if (record->kind != TRAIN_EVENT_BATCH || record->validated->n_copies > 0) {
        return false;
    }
    *ret_rows = rows_of(record->submitted->batch);
    return true;
}

/* ---- Payloads -------------------------------------------------------------------------------------------- */

void train_loaded_deinit(struct train_loaded *loaded)
{
    mr_buffer_deinit(&loaded->packed);
    if (loaded->has_earlier) {
        mr_checkpoint_deinit(&loaded->earlier);
        loaded->has_earlier = false;
    }
}

/* The bytes of one copy, which the log names by size and hash. */
static struct mr_error fetch_copy(struct mr_store *store, const Millrace__Batch__V1__PayloadCopy *copy,
                                  struct mr_buffer *bytes)
{
    const struct mr_store_result got = mr_store_get(store, copy->key, bytes);
    switch (got.outcome) {
    case MR_STORE_DONE: break;
    case MR_STORE_DENIED: return mr_error_make(MR_ERROR_FATAL, "denied", got.native, "%.80s", copy->key);
    case MR_STORE_MISSING:
        return mr_error_make(MR_ERROR_REJECT, "payload_missing", 0,
                             "%.110s is not in the store: it is part of the model's log", copy->key);
    case MR_STORE_PRECONDITION_FAILED:
    case MR_STORE_CONFLICT:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE:
    case MR_STORE_UNKNOWN:
        return mr_error_make(MR_ERROR_TRANSIENT, "unavailable", got.native, "%.80s: %.80s", copy->key, got.detail);
    }
    const struct mr_sha256 found = mr_sha256_of(mr_buffer_view(bytes));
    const struct mr_bytes named = mr_bytes_of(copy->sha256.data, copy->sha256.len);
    if (bytes->size != copy->size || !mr_bytes_equal(named, mr_bytes_of(found.bytes, sizeof found.bytes))) {
        return mr_error_make(MR_ERROR_REJECT, "payload_missing", 0,
                             "%.80s holds %zu bytes that are not those of the model's log", copy->key, bytes->size);
    }
    return mr_ok();
}

/* Copies stand in the order of the tensors that came by claim check. */
static struct mr_error gather(const Millrace__Batch__V1__Validated *validated, const struct mr_batch_tensors *tensors,
                              struct mr_store *store, struct mr_buffer fetched[MR_BATCH_TENSORS_MAX],
                              struct mr_bytes ret_payloads[MR_BATCH_TENSORS_MAX])
{
    size_t copies = 0;
    for (uint32_t i = 0; i < tensors->count; i++) {
        const Millrace__Common__V1__Tensor *tensor = tensors->tensor[i];
        if (tensor->content_case == MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA) {
            ret_payloads[i] = mr_bytes_of(tensor->data.data, tensor->data.len);
            continue;
        }
        if (copies == validated->n_copies || validated->copies[copies]->role != tensors->role[i]) {
            return corrupt("a tensor has neither bytes nor a copy of its own");
        }
        MR_TRY(fetch_copy(store, validated->copies[copies++], &fetched[i]));
        ret_payloads[i] = mr_buffer_view(&fetched[i]);
    }
    return mr_ok();
}

static struct mr_error load_batch(const struct train_record *record, const struct train_fold *fold,
                                  struct mr_store *store, struct mr_buffer *packed)
{
    const struct mr_batch_limits none = {.max_rows = UINT64_MAX, .max_payload_bytes = UINT64_MAX};
    struct mr_batch_tensors tensors;
    struct mr_batch_shape shape;
    mr_batch_tensors_of(record->submitted->batch, &tensors);
    const struct mr_batch_finding finding = mr_batch_check_shape(&fold->spec, &none, record->submitted->batch, &shape);
    if (finding.verdict != MR_BATCH_GOOD) {
        return corrupt(finding.detail);
    }
    if (shape.kind == MR_BATCH_SOBOL) {
        return mr_ok();
    }
    struct mr_buffer fetched[MR_BATCH_TENSORS_MAX] = {{0}};
    struct mr_bytes payloads[MR_BATCH_TENSORS_MAX] = {{0}};
    struct mr_error error = gather(record->validated, &tensors, store, fetched, payloads);
    if (!mr_failed(error)) {
        error = mr_buffer_reserve(packed, shape.packed_bytes);
    }
    if (!mr_failed(error)) {
        error = mr_batch_pack(&shape, record->validated->precision, payloads, packed->data);
        packed->size = mr_failed(error) ? 0 : shape.packed_bytes;
    }
    for (uint32_t i = 0; i < MR_BATCH_TENSORS_MAX; i++) {
        mr_buffer_deinit(&fetched[i]);
    }
    return error;
}

/* ---- Versions to restart from (rule C9) --------------------------------------------------------------------- */

/* Walks from head to genesis: what stands behind the fold's own last checkpoint did not exist yet when the run began,
 * so that a replay years later finds the same. */
static struct mr_error find_source(struct mr_store *store, const char *model_id, const struct train_chain *chain,
                                   const struct mr_run_spec *spec, bool *ret_found)
{
    struct mr_version_walk walk;
    bool some = false, reached = false;
    *ret_found = false;
    MR_TRY(mr_version_walk_begin(store, model_id, &walk, NULL));
    for (;;) {
        struct mr_version_entry entry;
        MR_TRY(mr_version_walk_next(&walk, &some, &entry));
        if (!some) {
            return mr_ok();
        }
        reached = reached || mr_sha256_equal(&entry.version.content_hash, &chain->last);
        if (reached && strcmp(entry.version.version_id, spec->restart_from.version_id) == 0 &&
            mr_sha256_equal(&entry.version.content_hash, &spec->restart_from.content_hash)) {
            *ret_found = true;
            return mr_ok();
        }
    }
}

static struct mr_error load_source(struct mr_store *store, const char *model_id, const struct mr_run_spec *spec,
                                   struct mr_checkpoint *ret_checkpoint)
{
    struct mr_buffer bytes = {0};
    struct mr_version_entry entry;
    const struct mr_version_choice choice = {.kind = MR_VERSION_ID, .version_id = spec->restart_from.version_id};
    struct mr_error error = mr_version_load(store, model_id, choice, &bytes, &entry);
    if (!mr_failed(error)) {
        error = mr_checkpoint_decode(mr_buffer_view(&bytes), ret_checkpoint);
    }
    mr_buffer_deinit(&bytes);
    return error;
}

static struct mr_error read_start(const struct train_record *record, struct mr_position *ret_start)
{
    const Millrace__Common__V1__Stamp *stamp = record->validated->stamp;
    if (stamp == NULL || stamp->origin == NULL || stamp->origin->log_id.len != sizeof ret_start->log_id) {
        return corrupt("it has no stamp");
    }
    *ret_start = (struct mr_position){.partition = stamp->origin->partition, .offset = stamp->origin->offset};
    memcpy(ret_start->log_id, stamp->origin->log_id.data, sizeof ret_start->log_id);
    return mr_ok();
}

/* *ret_held false: it was collected before the run began. */
static struct mr_error hold_source(struct mr_store *store, const char *model_id, const struct train_record *record,
                                   enum train_reading reading, bool *ret_held)
{
    const char *version_id = record->spec.restart_from.version_id;
    struct mr_position start;
    bool decided = false;
    MR_TRY(read_start(record, &start));
    if (reading == TRAIN_READING_DECIDES) {
        return mr_restart_decide(store, model_id, version_id, &start, ret_held);
    }
    MR_TRY(mr_restart_read(store, model_id, version_id, &start, &decided, ret_held));
    *ret_held = *ret_held || !decided;
    return mr_ok();
}

/* What was held stays until head is past this start: then another train folded it, and this one will hear of it. */
static struct mr_error overtaken(struct mr_error gone)
{
    return mr_error_make(MR_ERROR_TRANSIENT, "head_moved", 0, "head must be past this start: %.120s", gone.detail);
}

static struct mr_error load_held(const struct train_record *record, const char *model_id, struct mr_store *store,
                                 enum train_reading reading, struct train_loaded *loaded)
{
    bool held = false;
    MR_TRY(hold_source(store, model_id, record, reading, &held));
    if (!held) {
        snprintf(loaded->refusal, sizeof loaded->refusal, "restart_from: the payload of version %s was collected",
                 record->spec.restart_from.version_id);
        return mr_ok();
    }
    const struct mr_error error = load_source(store, model_id, &record->spec, &loaded->earlier);
    loaded->has_earlier = !mr_failed(error);
    const bool gone = strcmp(error.code, "version_gone") == 0;
    return gone && reading == TRAIN_READING_DECIDES ? overtaken(error) : error;
}

static struct mr_error load_earlier(const struct train_record *record, const struct train_fold *fold,
                                    const struct train_chain *chain, struct mr_store *store, enum train_reading reading,
                                    struct train_loaded *loaded)
{
    bool found = false;
    if (chain->some) {
        MR_TRY(find_source(store, fold->model_id, chain, &record->spec, &found));
    }
    if (found) {
        return load_held(record, fold->model_id, store, reading, loaded);
    }
    snprintf(loaded->refusal, sizeof loaded->refusal,
             "restart_from: version %s with that content hash is not in the model's chain",
             record->spec.restart_from.version_id);
    return mr_ok();
}

/* ---- One record --------------------------------------------------------------------------------------------- */

struct mr_error train_record_load(const struct train_record *record, const struct train_fold *fold,
                                  const struct train_chain *chain, struct mr_store *store, enum train_reading reading,
                                  struct train_loaded *ret_loaded)
{
    struct train_loaded loaded = {.has_earlier = false};
    struct mr_error error = mr_ok();
    if (train_fold_wants(fold, record->kind, train_record_run_id(record))) {
        if (record->kind == TRAIN_EVENT_BATCH) {
            error = load_batch(record, fold, store, &loaded.packed);
        } else if (record->spec.restarts) {
            error = load_earlier(record, fold, chain, store, reading, &loaded);
        }
    }
    if (mr_failed(error)) {
        train_loaded_deinit(&loaded);
        return error;
    }
    *ret_loaded = loaded;
    return mr_ok();
}

struct mr_error train_record_apply(const struct train_record *record, const struct train_loaded *loaded,
                                   struct train_fold *fold, struct train_outcome *ret_outcome)
{
    struct train_input input = {.kind = record->kind, .run_id = train_record_run_id(record)};
    if (record->kind == TRAIN_EVENT_RUN_STARTED) {
        input.of.started.spec = &record->spec;
        input.of.started.earlier = loaded->has_earlier ? &loaded->earlier : NULL;
        input.of.started.refusal = loaded->refusal;
    } else if (record->kind == TRAIN_EVENT_BATCH) {
        const Millrace__Batch__V1__Batch *batch = record->submitted->batch;
        input.of.batch.batch_id = batch->batch_id;
        input.of.batch.sobol = batch->payload_case == MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE;
        input.of.batch.rows = rows_of(batch);
        if (input.of.batch.sobol) {
            input.of.batch.sobol_start = batch->sobol_range->start;
        } else {
            input.of.batch.packed = mr_buffer_view(&loaded->packed);
        }
    } else {
        input.of.stopped.completed =
            record->submitted->run_stopped->outcome == MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_COMPLETED;
    }
    return train_fold_apply(fold, &input, ret_outcome);
}

struct mr_error train_fold_validated(struct train_fold *fold, const struct train_chain *chain, struct mr_store *store,
                                     struct mr_bytes validated, struct train_outcome *ret_outcome)
{
    struct train_record record;
    struct train_loaded loaded;
    MR_TRY(train_record_read(validated, &record));
    struct mr_error error = train_record_load(&record, fold, chain, store, TRAIN_READING_REPLAYS, &loaded);
    if (!mr_failed(error)) {
        error = train_record_apply(&record, &loaded, fold, ret_outcome);
        train_loaded_deinit(&loaded);
    }
    train_record_deinit(&record);
    return error;
}
