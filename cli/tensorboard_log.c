#include "tensorboard_log.h"

#include "event_file.h"
#include "tensorboard_event.h"

#include "millrace/checkpoint.h"
#include "millrace/network.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { TAG_SIZE = MR_TENSOR_NAME_SIZE + 32, MS_A_DAY = 24 * 60 * 60 * 1000 };

struct day {
    int64_t day; /* since 1970, UTC */
    uint64_t versions;
};

struct log {
    struct mr_store *store;
    const char *model_id, *folder;
    bool metadata_only;
    FILE *chain; /* version entries, head first */
    struct cli_event_file file;
    char run_id[MR_ID_SIZE]; /* of the versions in the file, if one is open */
    struct mr_buffer days;   /* in order */
    struct cli_tensorboard_log done;
};

/* ---- The chain, turned round ------------------------------------------------------------------------------ *
 *
 * It can be followed from head to genesis alone, and is shown from genesis to head. */

static struct mr_error chain_error(void)
{
    return mr_error_make(MR_ERROR_FATAL, "not_written", errno, "a temporary file for the chain: %s", strerror(errno));
}

static struct mr_error read_chain(struct log *log)
{
    struct mr_version_walk walk;
    MR_TRY(mr_version_walk_begin(log->store, log->model_id, &walk, NULL));
    log->chain = tmpfile();
    if (log->chain == NULL) {
        return chain_error();
    }
    for (;;) {
        bool some = false;
        struct mr_version_entry entry;
        MR_TRY(mr_version_walk_next(&walk, &some, &entry));
        if (!some) {
            return mr_ok();
        }
        if (fwrite(&entry, sizeof entry, 1, log->chain) != 1) {
            return chain_error();
        }
        log->done.versions++;
    }
}

/* The n-th from genesis. */
static struct mr_error chain_at(struct log *log, uint64_t n, struct mr_version_entry *ret_entry)
{
    const off_t at = (off_t)((log->done.versions - 1 - n) * sizeof *ret_entry);
    errno = 0; /* a file that is too short sets none */
    return fseeko(log->chain, at, SEEK_SET) == 0 && fread(ret_entry, sizeof *ret_entry, 1, log->chain) == 1
               ? mr_ok()
               : chain_error();
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

static struct mr_error begin_file(struct log *log, const char *run_id, uint64_t counter, int64_t time_ms)
{
    char folder[PATH_MAX], name[64];
    struct mr_buffer event = {0};
    const int size =
        snprintf(folder, sizeof folder, "%s/%s%s%s", log->folder, log->model_id, run_id[0] == '\0' ? "" : "/", run_id);
    if (size >= (int)sizeof folder) {
        return mr_error_make(MR_ERROR_FATAL, "not_written", ENAMETOOLONG, "the path of the folder is too long");
    }
    (void)snprintf(name, sizeof name, "events.out.tfevents.%010" PRIu64 ".millrace", counter);
    MR_TRY(cli_event_file_open(folder, name, &log->file));
    (void)snprintf(log->run_id, sizeof log->run_id, "%s", run_id);
    log->done.files++;
    struct mr_error error = cli_event_of_beginning(time_ms, &event);
    if (!mr_failed(error)) {
        error = cli_event_file_append(&log->file, mr_buffer_view(&event));
    }
    mr_buffer_deinit(&event);
    return error;
}

static struct mr_error end_file(struct log *log)
{
    return log->file.file == NULL ? mr_ok() : cli_event_file_finish(&log->file);
}

/* Frees the summary. */
static struct mr_error append(struct log *log, int64_t time_ms, uint64_t step, struct mr_error filled,
                              struct mr_buffer *summary)
{
    struct mr_buffer event = {0};
    struct mr_error error = filled;
    if (!mr_failed(error)) {
        error = cli_event_of_summary(time_ms, step, mr_buffer_view(summary), &event);
    }
    if (!mr_failed(error)) {
        error = cli_event_file_append(&log->file, mr_buffer_view(&event));
    }
    mr_buffer_deinit(&event);
    mr_buffer_deinit(summary);
    return error;
}

/* ---- Versions --------------------------------------------------------------------------------------------- */

static struct mr_error add_tensor(const struct mr_tensor_place *place, const float *weights, struct mr_buffer *summary)
{
    char tag[TAG_SIZE];
    struct cli_statistics statistics;
    cli_statistics_of(weights + place->at, place->size, &statistics);
    const struct {
        const char *name;
        double value;
    } scalars[] = {
        {"mean", statistics.mean}, {"std", statistics.deviation}, {"min", statistics.min}, {"max", statistics.max}};
    (void)snprintf(tag, sizeof tag, "weights/%s", place->name);
    MR_TRY(cli_summary_histogram(summary, tag, &statistics));
    for (size_t i = 0; i < MR_COUNT_OF(scalars); i++) {
        (void)snprintf(tag, sizeof tag, "weights/%s/%s", place->name, scalars[i].name);
        MR_TRY(cli_summary_scalar(summary, tag, (float)scalars[i].value));
    }
    return mr_ok();
}

static struct mr_error add_tensors(struct mr_bytes payload, struct mr_buffer *summary)
{
    struct mr_checkpoint checkpoint = {0};
    struct mr_network network;
    MR_TRY(mr_checkpoint_decode(payload, &checkpoint));
    mr_network_plan(&checkpoint.spec, &network);
    struct mr_error error = mr_ok();
    for (uint32_t i = 0; i < network.tensors && !mr_failed(error); i++) {
        error = add_tensor(&network.tensor[i], checkpoint.weights, summary);
    }
    mr_checkpoint_deinit(&checkpoint);
    return error;
}

/* GC may come between: what it collects is no error. */
static struct mr_error add_weights(struct log *log, const struct mr_version *version, struct mr_buffer *summary)
{
    struct mr_buffer payload = {0};
    if (log->metadata_only) {
        return cli_summary_text(summary, "version/weights", "left out");
    }
    struct mr_error error = mr_version_payload(log->store, version, &payload);
    if (mr_failed(error) && strcmp(error.code, "version_gone") == 0) {
        log->done.collected++;
        error = cli_summary_text(summary, "version/weights", "collected");
    } else if (!mr_failed(error)) {
        error = add_tensors(mr_buffer_view(&payload), summary);
    }
    mr_buffer_deinit(&payload);
    return error;
}

static struct mr_error add_metric(const char *tag, float value, struct mr_buffer *summary)
{
    /* Not finite: metadata.json has none. */
    return isfinite(value) ? cli_summary_scalar(summary, tag, value) : mr_ok();
}

static struct mr_error add_metadata(const struct mr_version *version, struct mr_buffer *summary)
{
    char semantic[MR_SEMVER_SIZE], hash[MR_SHA256_TEXT_SIZE];
    mr_semver_text(version->semantic_version, semantic);
    mr_sha256_text(&version->content_hash, hash);
    MR_TRY(cli_summary_text(summary, "version/id", version->version_id));
    MR_TRY(cli_summary_text(summary, "version/semantic_version", semantic));
    MR_TRY(cli_summary_text(summary, "version/content_hash", hash));
    MR_TRY(cli_summary_text(summary, "version/message", version->message));
    MR_TRY(add_metric("training/loss", version->loss, summary));
    return add_metric("training/gradient_norm", version->gradient_norm, summary);
}

static struct mr_error add_version(struct log *log, const struct mr_version *version)
{
    struct mr_buffer summary = {0};
    /* A run's steps begin again at 0: each has a folder, which TensorBoard shows as a run. */
    if (log->file.file == NULL || strcmp(log->run_id, version->run_id) != 0) {
        MR_TRY(end_file(log));
        MR_TRY(begin_file(log, version->run_id, version->counter, version->event_time_ms));
    }
    struct mr_error error = add_metadata(version, &summary);
    if (!mr_failed(error)) {
        error = add_weights(log, version, &summary);
    }
    return append(log, version->event_time_ms, version->step, error, &summary);
}

/* ---- Over all versions ------------------------------------------------------------------------------------ */

/* Event times come from those who submit: mostly, and not always, in order. */
static struct mr_error count_day(struct log *log, int64_t time_ms)
{
    const int64_t day = time_ms / MS_A_DAY - (time_ms % MS_A_DAY < 0 ? 1 : 0);
    const struct day new = {day, 1};
    size_t count = log->days.size / sizeof new, at = count;
    const struct day *seen = (const struct day *)log->days.data;
    while (at > 0 && seen[at - 1].day > day) {
        at--;
    }
    if (at > 0 && seen[at - 1].day == day) {
        ((struct day *)log->days.data)[at - 1].versions++;
        return mr_ok();
    }
    MR_TRY(mr_buffer_append(&log->days, &new, sizeof new));
    struct day *days = (struct day *)log->days.data;
    memmove(days + at + 1, days + at, (count - at) * sizeof new);
    days[at] = new;
    return mr_ok();
}

static struct mr_error write_totals(struct log *log, const struct mr_version *head)
{
    const struct day *days = (const struct day *)log->days.data;
    MR_TRY(end_file(log));
    MR_TRY(begin_file(log, "", 0, head->event_time_ms));
    for (size_t i = 0; i < log->days.size / sizeof *days; i++) {
        struct mr_buffer summary = {0};
        const struct mr_error error = cli_summary_scalar(&summary, "versions/per_day", (float)days[i].versions);
        MR_TRY(append(log, days[i].day * MS_A_DAY, (uint64_t)days[i].day, error, &summary));
    }
    struct mr_buffer summary = {0};
    const struct mr_error error = cli_summary_scalar(&summary, "versions/total", (float)log->done.versions);
    MR_TRY(append(log, head->event_time_ms, head->counter, error, &summary));
    return end_file(log);
}

static struct mr_error write_log(struct log *log)
{
    struct mr_version_entry entry = {0};
    MR_TRY(read_chain(log));
    for (uint64_t i = 0; i < log->done.versions; i++) {
        MR_TRY(chain_at(log, i, &entry));
        MR_TRY(count_day(log, entry.version.event_time_ms));
        MR_TRY(add_version(log, &entry.version));
    }
    return write_totals(log, &entry.version);
}

struct mr_error cli_tensorboard_log(struct mr_store *store, const char *model_id, const char *folder,
                                    bool metadata_only, struct cli_tensorboard_log *ret_log)
{
    struct log log = {.store = store, .model_id = model_id, .folder = folder, .metadata_only = metadata_only};
    const struct mr_error error = write_log(&log);
    cli_event_file_discard(&log.file);
    if (log.chain != NULL) {
        (void)fclose(log.chain);
    }
    mr_buffer_deinit(&log.days);
    *ret_log = log.done;
    return error;
}
