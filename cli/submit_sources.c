#include "submit.h"

#include "contracts_csv.h"
#include "event_json.h"
#include "npy.h"

#include "millrace/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SPEC_FILE_MAX = 1024 * 1024, ROW_BYTES = MR_CONTRACT_FIELDS * sizeof(float) };

/* protobuf-c has no const fields; what is packed is not changed. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static struct mr_error out_of_memory(const char *what)
{
    return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "%s", what);
}

/* ---- Start and stop ------------------------------------------------------------------------------------ */

static struct mr_error read_file(const char *path, struct mr_buffer *ret_bytes)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL) {
        return mr_error_make(MR_ERROR_REJECT, errno == ENOENT ? "not_found" : "unreadable", errno, "%s: %s", path,
                             strerror(errno));
    }
    struct mr_error error = mr_buffer_reserve(ret_bytes, SPEC_FILE_MAX);
    if (!mr_failed(error)) {
        ret_bytes->size = fread(ret_bytes->data, 1, SPEC_FILE_MAX, file);
        if (ferror(file) != 0 || ret_bytes->size == SPEC_FILE_MAX) {
            error = mr_error_make(MR_ERROR_REJECT, "unreadable", 0, "%s: cannot be read, or is over 1 MiB", path);
        }
    }
    if (file != stdin) {
        (void)fclose(file);
    }
    return error;
}

/* Checked here as ingest will check it, so that a mistake is told at once. */
static struct mr_error read_spec(const char *path, Millrace__Run__V1__RunSpec **ret_spec)
{
    struct mr_buffer text = {0};
    struct mr_error error = read_file(path, &text);
    struct mr_field_fault fault;
    Millrace__Run__V1__RunSpec *spec = NULL;
    if (!mr_failed(error)) {
        error = mr_run_spec_from_json(mr_buffer_view(&text), &spec, &fault);
    }
    mr_buffer_deinit(&text);
    MR_TRY(error);
    struct mr_run_spec *checked = calloc(1, sizeof *checked);
    error = checked == NULL ? out_of_memory("a run spec") : mr_run_spec_decode(spec, checked, &fault);
    free(checked);
    if (mr_failed(error)) {
        millrace__run__v1__run_spec__free_unpacked(spec, NULL);
        return error;
    }
    *ret_spec = spec;
    return mr_ok();
}

struct mr_error submit_start_run(struct submitter *submitter)
{
    const struct submit_config *config = submitter->config;
    Millrace__Run__V1__RunSpec *spec = NULL;
    MR_TRY(read_spec(config->spec, &spec));
    Millrace__Run__V1__RunStarted started;
    millrace__run__v1__run_started__init(&started);
    started.model_id = text_of(config->model);
    started.run_id = text_of(config->run);
    started.spec = spec;
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STARTED;
    event.run_started = &started;
    const struct mr_error error = submit_event(submitter, &event);
    millrace__run__v1__run_spec__free_unpacked(spec, NULL);
    return error;
}

static Millrace__Run__V1__RunOutcome outcome_of(const char *text)
{
    return strcmp(text, "completed") == 0 ? MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_COMPLETED
           : strcmp(text, "failed") == 0  ? MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_FAILED
                                          : MILLRACE__RUN__V1__RUN_OUTCOME__RUN_OUTCOME_CANCELLED;
}

struct mr_error submit_stop_run(struct submitter *submitter)
{
    const struct submit_config *config = submitter->config;
    Millrace__Run__V1__RunStopped stopped;
    millrace__run__v1__run_stopped__init(&stopped);
    stopped.model_id = text_of(config->model);
    stopped.run_id = text_of(config->run);
    stopped.outcome = outcome_of(config->outcome);
    stopped.reason = text_of(config->reason);
    Millrace__Batch__V1__Submitted event;
    millrace__batch__v1__submitted__init(&event);
    event.event_case = MILLRACE__BATCH__V1__SUBMITTED__EVENT_RUN_STOPPED;
    event.run_stopped = &stopped;
    return submit_event(submitter, &event);
}

/* ---- JSON lines ---------------------------------------------------------------------------------------- */

static struct mr_error submit_line(struct submitter *submitter, struct mr_bytes line)
{
    const struct cli_event_defaults defaults = {submitter->config->model, submitter->config->run};
    Millrace__Batch__V1__Submitted *event = NULL;
    MR_TRY(cli_event_from_json(line, &defaults, &event));
    const struct mr_error error = event->event_case == MILLRACE__BATCH__V1__SUBMITTED__EVENT_BATCH
                                      ? submit_batch(submitter, event->batch)
                                      : submit_event(submitter, event);
    millrace__batch__v1__submitted__free_unpacked(event, NULL);
    return error;
}

static struct mr_error submit_lines(struct submitter *submitter, FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    uint64_t number = 0;
    struct mr_error error = mr_ok();
    ssize_t length;
    while (!mr_failed(error) && (length = getline(&line, &capacity, file)) >= 0) {
        number++;
        if (strspn(line, " \t\r\n") < (size_t)length) {
            error = submit_line(submitter, mr_bytes_of(line, (size_t)length));
        }
    }
    free(line);
    if (error.kind == MR_ERROR_REJECT) {
        return mr_error_make(error.kind, error.code, error.native, "line %" PRIu64 ": %.160s", number, error.detail);
    }
    if (!mr_failed(error) && ferror(file) != 0) {
        return mr_error_make(MR_ERROR_TRANSIENT, "unreadable", errno, "line %" PRIu64 ": %s", number, strerror(errno));
    }
    return error;
}

struct mr_error submit_jsonl(struct submitter *submitter)
{
    const char *path = submitter->config->jsonl;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL) {
        return mr_error_make(MR_ERROR_REJECT, errno == ENOENT ? "not_found" : "unreadable", errno, "%s: %s", path,
                             strerror(errno));
    }
    const struct mr_error error = submit_lines(submitter, file);
    if (file != stdin) {
        (void)fclose(file);
    }
    return error;
}

/* ---- Batches ------------------------------------------------------------------------------------------- */

static void batch_init(const struct submitter *submitter, Millrace__Batch__V1__Batch *ret_batch)
{
    millrace__batch__v1__batch__init(ret_batch);
    ret_batch->model_id = text_of(submitter->config->model);
    ret_batch->run_id = text_of(submitter->config->run);
}

/* The tensor's shape and data are the caller's. */
static void tensor_init(Millrace__Common__V1__Tensor *ret_tensor, uint64_t *shape, size_t axes, void *data, size_t size)
{
    millrace__common__v1__tensor__init(ret_tensor);
    ret_tensor->dtype = MILLRACE__COMMON__V1__DTYPE__DTYPE_FLOAT32;
    ret_tensor->n_shape = axes;
    ret_tensor->shape = shape;
    ret_tensor->content_case = MILLRACE__COMMON__V1__TENSOR__CONTENT_DATA;
    ret_tensor->data = (ProtobufCBinaryData){size, data};
}

static struct mr_error check_rows(uint64_t rows, uint64_t row_bytes)
{
    if (rows > SUBMIT_INLINE_MAX / row_bytes) {
        return mr_error_make(MR_ERROR_REJECT, "too_large", 0,
                             "--rows-per-batch=%" PRIu64 ": a row has %" PRIu64 " bytes and 512 KiB go inline: at most "
                             "%" PRIu64 " rows; JSON lines take claim checks",
                             rows, row_bytes, SUBMIT_INLINE_MAX / row_bytes);
    }
    return mr_ok();
}

static struct mr_error submit_rows(struct submitter *submitter, float (*rows)[MR_CONTRACT_FIELDS], size_t count)
{
    uint64_t shape[2] = {count, MR_CONTRACT_FIELDS};
    Millrace__Common__V1__Tensor tensor;
    tensor_init(&tensor, shape, 2, rows, count * ROW_BYTES);
    Millrace__Batch__V1__Contracts contracts;
    millrace__batch__v1__contracts__init(&contracts);
    contracts.rows = &tensor;
    Millrace__Batch__V1__Batch batch;
    batch_init(submitter, &batch);
    batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_CONTRACTS;
    batch.contracts = &contracts;
    submitter->rows += count;
    return submit_batch(submitter, &batch);
}

struct mr_error submit_contracts(struct submitter *submitter)
{
    const struct submit_config *config = submitter->config;
    const size_t rows_max = (size_t)config->rows_per_batch;
    MR_TRY(check_rows(rows_max, ROW_BYTES));
    struct cli_contracts_csv csv;
    MR_TRY(cli_contracts_csv_open(config->contracts, &csv));
    float(*rows)[MR_CONTRACT_FIELDS] = calloc(rows_max, sizeof *rows);
    struct mr_error error = rows == NULL ? out_of_memory("contracts") : mr_ok();
    size_t count = rows_max;
    while (!mr_failed(error) && count == rows_max) {
        error = cli_contracts_csv_read(&csv, rows_max, rows, &count);
        if (!mr_failed(error) && count > 0) {
            error = submit_rows(submitter, rows, count);
        }
    }
    free(rows);
    cli_contracts_csv_close(&csv);
    return error;
}

bool submit_parse_range(const char *text, uint64_t *ret_start, uint64_t *ret_count)
{
    uint64_t start = 0, count = 0;
    int used = -1;
    if (text[strspn(text, "0123456789:")] != '\0' || strlen(text) > 40 ||
        sscanf(text, "%19" SCNu64 ":%19" SCNu64 "%n", &start, &count, &used) != 2 || used < 0 || text[used] != '\0') {
        return false;
    }
    *ret_start = start;
    *ret_count = count;
    return true;
}

struct mr_error submit_sobol(struct submitter *submitter)
{
    uint64_t next = 0, left = 0;
    if (!submit_parse_range(submitter->config->sobol, &next, &left)) {
        return mr_error_make(MR_ERROR_REJECT, "bad_range", 0, "--sobol=%.60s: expected START:COUNT",
                             submitter->config->sobol);
    }
    while (left > 0) {
        const uint64_t count = left < submitter->config->rows_per_batch ? left : submitter->config->rows_per_batch;
        Millrace__Batch__V1__SobolRange range;
        millrace__batch__v1__sobol_range__init(&range);
        range.start = next;
        range.count = count;
        Millrace__Batch__V1__Batch batch;
        batch_init(submitter, &batch);
        batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_SOBOL_RANGE;
        batch.sobol_range = &range;
        MR_TRY(submit_batch(submitter, &batch));
        submitter->rows += count;
        next += count;
        left -= count;
    }
    return mr_ok();
}

/* ---- Tensors ------------------------------------------------------------------------------------------- */

/* Rows first .. first + count - 1 of the file as a tensor over `data`, which has room for them. */
static struct mr_error tensor_rows(const struct cli_npy *npy, uint64_t first, uint64_t count, void *data,
                                   uint64_t shape[CLI_NPY_AXES_MAX], Millrace__Common__V1__Tensor *ret_tensor)
{
    MR_TRY(cli_npy_read(npy, first, count, data));
    memcpy(shape, npy->header.shape, npy->header.axes * sizeof *shape);
    shape[0] = count;
    tensor_init(ret_tensor, shape, npy->header.axes, data, (size_t)(count * npy->row_elements * sizeof(float)));
    return mr_ok();
}

static struct mr_error submit_labelled(struct submitter *submitter, const struct cli_npy *features,
                                       const struct cli_npy *targets, uint64_t first, uint64_t count, uint8_t *memory)
{
    uint64_t feature_shape[CLI_NPY_AXES_MAX], target_shape[CLI_NPY_AXES_MAX];
    Millrace__Common__V1__Tensor feature_tensor, target_tensor;
    MR_TRY(tensor_rows(features, first, count, memory, feature_shape, &feature_tensor));
    MR_TRY(tensor_rows(targets, first, count, memory + feature_tensor.data.len, target_shape, &target_tensor));
    Millrace__Batch__V1__Labelled labelled;
    millrace__batch__v1__labelled__init(&labelled);
    labelled.features = &feature_tensor;
    labelled.targets = &target_tensor;
    Millrace__Batch__V1__Batch batch;
    batch_init(submitter, &batch);
    batch.payload_case = MILLRACE__BATCH__V1__BATCH__PAYLOAD_LABELLED;
    batch.labelled = &labelled;
    submitter->rows += count;
    return submit_batch(submitter, &batch);
}

static struct mr_error submit_files(struct submitter *submitter, const struct cli_npy *features,
                                    const struct cli_npy *targets)
{
    if (features->rows != targets->rows) {
        return mr_error_make(MR_ERROR_REJECT, "shape_mismatch", 0, "features have %" PRIu64 " rows, targets %" PRIu64,
                             features->rows, targets->rows);
    }
    const uint64_t rows = submitter->config->rows_per_batch;
    MR_TRY(check_rows(rows, (features->row_elements + targets->row_elements) * sizeof(float)));
    uint8_t *memory = malloc(SUBMIT_INLINE_MAX);
    struct mr_error error = memory == NULL ? out_of_memory("a batch") : mr_ok();
    for (uint64_t first = 0; first < features->rows && !mr_failed(error); first += rows) {
        const uint64_t left = features->rows - first;
        error = submit_labelled(submitter, features, targets, first, left < rows ? left : rows, memory);
    }
    free(memory);
    return error;
}

struct mr_error submit_tensors(struct submitter *submitter)
{
    struct cli_npy features, targets;
    MR_TRY(cli_npy_open(submitter->config->features, &features));
    struct mr_error error = cli_npy_open(submitter->config->targets, &targets);
    if (!mr_failed(error)) {
        error = submit_files(submitter, &features, &targets);
        cli_npy_close(&targets);
    }
    cli_npy_close(&features);
    return error;
}
