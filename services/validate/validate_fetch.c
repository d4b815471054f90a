#include "validate_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum validate_fetched answer(struct validate_fetch *fetch, enum validate_fetched outcome, const char *format,
                                    ...) MR_PRINTF(3, 4);
static enum validate_fetched answer(struct validate_fetch *fetch, enum validate_fetched outcome, const char *format,
                                    ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(fetch->result.detail, sizeof fetch->result.detail, format, arguments);
    va_end(arguments);
    return outcome;
}

/* ---- Before: on the loop's thread ----------------------------------------------------------------------------------
 */

static struct mr_error source_init(struct validate_source *source, const Millrace__Common__V1__Tensor *tensor,
                                   const char *model_id)
{
    if (tensor->content_case != MILLRACE__COMMON__V1__TENSOR__CONTENT_CLAIM) {
        const struct mr_error error = mr_buffer_append(&source->bytes, tensor->data.data, tensor->data.len);
        return mr_failed(error) ? mr_error_make(MR_ERROR_TRANSIENT, "out_of_memory", 0, "a payload") : mr_ok();
    }
    MR_ASSERT(tensor->claim->sha256.len == MR_SHA256_SIZE);
    memcpy(source->hash.bytes, tensor->claim->sha256.data, MR_SHA256_SIZE);
    validate_codec_payload_key(model_id, &source->hash, source->key);
    MR_ASSERT(mr_file_uri_path(tensor->claim->uri, source->path));
    return mr_ok();
}

struct mr_error validate_fetch_init(struct validate_fetch *fetch, struct mr_store *store, const char *model_id,
                                    const struct mr_run_spec *spec, const struct validate_inspection *inspection,
                                    struct validate_precision precision)
{
    struct mr_error error = mr_ok();
    memset(fetch, 0, sizeof *fetch);
    fetch->store = store;
    fetch->spec = *spec;
    fetch->shape = inspection->shape;
    fetch->precision = precision;
    for (uint32_t i = 0; i < inspection->tensors.count && !mr_failed(error); i++) {
        error = source_init(&fetch->source[i], inspection->tensors.tensor[i], model_id);
    }
    if (mr_failed(error)) {
        validate_fetch_deinit(fetch);
    }
    return error;
}

void validate_fetch_deinit(struct validate_fetch *fetch)
{
    for (uint32_t i = 0; i < MR_BATCH_TENSORS_MAX; i++) {
        mr_buffer_deinit(&fetch->source[i].bytes);
    }
}

/* ---- Reading: on the worker
 * ------------------------------------------------------------------------------------------ */

/* What an errno says about a claim's file. Not our enum, so an if-chain: what is not known to be final may pass. */
static enum validate_fetched classify(struct validate_fetch *fetch, const char *path, int number)
{
    if (number == ENOENT || number == ENOTDIR || number == ENAMETOOLONG || number == ELOOP) {
        return answer(fetch, VALIDATE_FETCHED_MISSING, "claim.uri: %.100s: %s", path, strerror(number));
    }
    if (number == ENOMEM) {
        return answer(fetch, VALIDATE_FETCHED_OUT_OF_MEMORY, "reading %.100s", path);
    }
    return answer(fetch, VALIDATE_FETCHED_UNREADABLE, "claim.uri: %.100s: %s", path, strerror(number));
}

/* Exactly `size` bytes. */
static enum validate_fetched read_all(struct validate_fetch *fetch, struct validate_source *source, int file,
                                      size_t size)
{
    if (mr_failed(mr_buffer_reserve(&source->bytes, size))) {
        return answer(fetch, VALIDATE_FETCHED_OUT_OF_MEMORY, "%zu bytes of %.100s", size, source->path);
    }
    while (source->bytes.size < size) {
        const ssize_t got = read(file, source->bytes.data + source->bytes.size, size - source->bytes.size);
        if (got < 0 && errno != EINTR) {
            return classify(fetch, source->path, errno);
        }
        if (got == 0) {
            return answer(fetch, VALIDATE_FETCHED_SIZE_MISMATCH, "claim: %.100s ended after %zu of %zu bytes",
                          source->path, source->bytes.size, size);
        }
        source->bytes.size += got > 0 ? (size_t)got : 0;
    }
    return VALIDATE_FETCHED_COPIED;
}

static enum validate_fetched read_file(struct validate_fetch *fetch, struct validate_source *source, uint64_t size)
{
    struct stat status;
    /* Without waiting for the other end of a pipe. */
    const int file = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    enum validate_fetched outcome;
    if (file < 0) {
        return classify(fetch, source->path, errno);
    }
    if (fstat(file, &status) != 0) {
        outcome = classify(fetch, source->path, errno);
    } else if (!S_ISREG(status.st_mode)) {
        outcome = answer(fetch, VALIDATE_FETCHED_NOT_A_FILE, "claim.uri: %.100s is not a regular file", source->path);
    } else if ((uint64_t)status.st_size != size) {
        outcome =
            answer(fetch, VALIDATE_FETCHED_SIZE_MISMATCH, "claim.size: %" PRIu64 ", but %.100s has %" PRIu64 " bytes",
                   size, source->path, (uint64_t)status.st_size);
    } else {
        outcome = read_all(fetch, source, file, (size_t)size);
    }
    (void)close(file);
    return outcome;
}

static enum validate_fetched read_claims(struct validate_fetch *fetch)
{
    enum validate_fetched outcome = VALIDATE_FETCHED_COPIED;
    for (uint32_t i = 0; i < fetch->shape.tensors && outcome == VALIDATE_FETCHED_COPIED; i++) {
        struct validate_source *source = &fetch->source[i];
        if (source->path[0] == '\0') {
            continue;
        }
        outcome = read_file(fetch, source, fetch->shape.tensor_bytes[i]);
        if (outcome == VALIDATE_FETCHED_COPIED) {
            const struct mr_sha256 actual = mr_sha256_of(mr_buffer_view(&source->bytes));
            if (!mr_sha256_equal(&actual, &source->hash)) {
                char text[MR_SHA256_TEXT_SIZE];
                mr_sha256_text(&actual, text);
                outcome =
                    answer(fetch, VALIDATE_FETCHED_CHECKSUM_MISMATCH, "claim.sha256: %.90s has %s", source->path, text);
            }
        }
    }
    return outcome;
}

static enum validate_fetched check_values(struct validate_fetch *fetch)
{
    struct mr_bytes payloads[MR_BATCH_TENSORS_MAX];
    struct mr_batch_finding finding;
    for (uint32_t i = 0; i < MR_BATCH_TENSORS_MAX; i++) {
        payloads[i] = mr_buffer_view(&fetch->source[i].bytes);
    }
    const enum validate_values values =
        validate_codec_values(&fetch->spec, &fetch->shape, fetch->precision, payloads, &finding);
    fetch->result.place = validate_codec_place(&finding);
    switch (values) {
    case VALIDATE_VALUES_GOOD: return VALIDATE_FETCHED_COPIED;
    case VALIDATE_VALUES_NON_FINITE: return answer(fetch, VALIDATE_FETCHED_NON_FINITE, "%s", finding.detail);
    case VALIDATE_VALUES_OUT_OF_DOMAIN: return answer(fetch, VALIDATE_FETCHED_OUT_OF_DOMAIN, "%s", finding.detail);
    }
    mr_unreachable(__func__);
}

/* ---- Copying: on the worker
 * ------------------------------------------------------------------------------------------- */

static enum validate_fetched copy_one(struct validate_fetch *fetch, const struct validate_source *source)
{
    const struct mr_bytes body = mr_buffer_view(&source->bytes);
    const struct mr_store_condition absent = {.kind = MR_STORE_IF_ABSENT};
    struct mr_store_result result = mr_store_put(fetch->store, source->key, body, absent);
    enum validate_copy copy = validate_copy_after_put(result.outcome);
    if (copy == VALIDATE_COPY_READ_BACK) {
        result = mr_store_head(fetch->store, source->key);
        copy = validate_copy_after_head(result.outcome, result.size == body.size);
    }
    switch (copy) {
    case VALIDATE_COPY_STORED: return VALIDATE_FETCHED_COPIED;
    case VALIDATE_COPY_CORRUPT:
        return answer(fetch, VALIDATE_FETCHED_COPY_CORRUPT,
                      "%s has %" PRIu64 " bytes in the store; expected %zu: look at it, and remove it if it is broken",
                      source->key, result.size, body.size);
    case VALIDATE_COPY_DOWN:
        return answer(fetch, VALIDATE_FETCHED_STORE_DOWN, "store: %s: %.120s", mr_store_outcome_text(result.outcome),
                      result.detail);
    case VALIDATE_COPY_READ_BACK: break;
    }
    mr_unreachable(__func__);
}

static enum validate_fetched copy_claims(struct validate_fetch *fetch)
{
    enum validate_fetched outcome = VALIDATE_FETCHED_COPIED;
    for (uint32_t i = 0; i < fetch->shape.tensors && outcome == VALIDATE_FETCHED_COPIED; i++) {
        if (fetch->source[i].path[0] != '\0') {
            outcome = copy_one(fetch, &fetch->source[i]);
        }
    }
    return outcome;
}

void validate_fetch_run(struct validate_fetch *fetch)
{
    enum validate_fetched outcome = read_claims(fetch);
    if (outcome == VALIDATE_FETCHED_COPIED) {
        outcome = check_values(fetch);
    }
    if (outcome == VALIDATE_FETCHED_COPIED) {
        outcome = copy_claims(fetch);
    }
    fetch->result.outcome = outcome;
    for (uint32_t i = 0; i < MR_BATCH_TENSORS_MAX; i++) {
        mr_buffer_deinit(&fetch->source[i].bytes); /* results wait for the loop; payloads need not */
    }
}
