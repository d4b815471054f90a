#include "dlq_record.h"

#include <stdlib.h>
#include <string.h>

static const char own_prefix[] = "mr_dlq_";

enum dlq_kind dlq_kind_of(const struct mr_log_record *record, char ret_id[DLQ_ID_SIZE])
{
    char stage[MR_ID_SIZE];
    /* A user's record may have had a header of a marker's name; a marker has no stage. */
    cli_header_text(record, "mr_dlq_stage", stage, sizeof stage);
    cli_header_text(record, "mr_dlq_id", ret_id, DLQ_ID_SIZE);
    if (ret_id[0] != '\0' && stage[0] != '\0') {
        return DLQ_LETTER;
    }
    cli_header_text(record, "mr_dlq_resolved", ret_id, DLQ_ID_SIZE);
    return ret_id[0] != '\0' ? DLQ_MARKER : DLQ_OTHER;
}

void dlq_letter_read(const struct mr_log_record *record, struct dlq_letter *ret_letter)
{
    struct dlq_letter *l = ret_letter;
    const struct {
        const char *name;
        char *text;
        size_t size;
    } fields[] = {
        {"mr_dlq_id", l->id, sizeof l->id},
        {"mr_dlq_stage", l->stage, sizeof l->stage},
        {"mr_dlq_reason", l->reason, sizeof l->reason},
        {"mr_dlq_detail", l->detail, sizeof l->detail},
        {"mr_dlq_attempt", l->attempt, sizeof l->attempt},
        {"mr_dlq_topic", l->topic, sizeof l->topic},
        {"mr_dlq_partition", l->partition, sizeof l->partition},
        {"mr_dlq_offset", l->offset, sizeof l->offset},
        {"mr_dlq_origin", l->origin, sizeof l->origin},
        {"mr_dlq_model", l->model_id, sizeof l->model_id},
    };
    for (size_t i = 0; i < MR_COUNT_OF(fields); i++) {
        cli_header_text(record, fields[i].name, fields[i].text, fields[i].size);
    }
    l->time_ms = record->timestamp_ms;
}

/* ---- Replay -------------------------------------------------------------------------------------------- */

static struct mr_error not_replayable(const char *id, const char *why)
{
    return mr_error_make(MR_ERROR_REJECT, "not_replayable", 0, "dead letter %.*s: %s", DLQ_ID_SIZE, id, why);
}

static bool is_own(const char *name)
{
    return strncmp(name, own_prefix, sizeof own_prefix - 1) == 0 || strcmp(name, "mr_replay_of") == 0;
}

static struct mr_error add_header(struct dlq_replay *replay, struct mr_log_header header)
{
    if (replay->output.header_count == DLQ_HEADERS_MAX) {
        return not_replayable(replay->id, "it has more than 127 headers");
    }
    replay->headers[replay->output.header_count++] = header;
    return mr_ok();
}

/* The headers that the record was submitted with: those of ingest's dead letters are on them, those of validate's are
 * in the ingested record. */
static struct mr_error copy_headers(const struct mr_log_record *record, struct dlq_replay *replay)
{
    const Millrace__Batch__V1__Ingested *ingested = replay->ingested;
    replay->output.headers = replay->headers;
    for (size_t i = 0; ingested == NULL && i < record->header_count; i++) {
        if (!is_own(record->headers[i].name)) {
            MR_TRY(add_header(replay, record->headers[i]));
        }
    }
    for (size_t i = 0; ingested != NULL && i < ingested->n_headers; i++) {
        const Millrace__Batch__V1__SubmittedHeader *header = ingested->headers[i];
        /* Bytes in a message are not ended by NUL; a header's name is, and holds none. */
        char *name = strndup((const char *)header->name.data, header->name.len);
        if (name == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a header");
        }
        replay->names[replay->name_count++] = name;
        if (!is_own(name)) {
            MR_TRY(
                add_header(replay, (struct mr_log_header){name, mr_bytes_of(header->value.data, header->value.len)}));
        }
        if (replay->name_count == DLQ_HEADERS_MAX) {
            return not_replayable(replay->id, "it has more than 127 headers");
        }
    }
    return add_header(replay, (struct mr_log_header){"mr_replay_of", mr_bytes_of_text(replay->id)});
}

static struct mr_error unwrap(const struct mr_log_record *record, struct dlq_replay *replay)
{
    replay->ingested = millrace__batch__v1__ingested__unpack(NULL, record->value.size, record->value.data);
    if (replay->ingested == NULL) {
        return not_replayable(replay->id, "its value is no ingested record");
    }
    replay->output.has_value = true;
    replay->output.value = mr_bytes_of(replay->ingested->submitted.data, replay->ingested->submitted.len);
    return mr_ok();
}

struct mr_error dlq_replay_init(const struct mr_log_record *record, uint32_t partitions, struct dlq_replay *ret_replay)
{
    struct dlq_replay *replay = ret_replay;
    char topic[DLQ_TEXT_SIZE];
    *replay = (struct dlq_replay){.ingested = NULL};
    if (dlq_kind_of(record, replay->id) != DLQ_LETTER) {
        return mr_error_make(MR_ERROR_REJECT, "not_replayable", 0, "not a dead letter of Millrace");
    }
    cli_header_text(record, "mr_dlq_topic", topic, sizeof topic);
    const bool ingested = strcmp(topic, MR_TOPIC_INGESTED) == 0;
    /* A record without a key has no model: it is rejected again, wherever it goes. */
    replay->output = (struct mr_log_output){
        .topic = MR_TOPIC_SUBMITTED,
        .partition = record->has_key ? mr_partition_of(record->key, partitions) : record->partition,
        .has_key = record->has_key,
        .has_value = record->has_value,
        .key = record->key,
        .value = record->value,
    };
    struct mr_error error = ingested ? unwrap(record, replay) : mr_ok();
    if (!mr_failed(error)) {
        error = copy_headers(record, replay);
    }
    if (mr_failed(error)) {
        dlq_replay_deinit(replay);
    }
    return error;
}

void dlq_replay_deinit(struct dlq_replay *replay)
{
    for (size_t i = 0; i < replay->name_count; i++) {
        free(replay->names[i]);
    }
    replay->name_count = 0;
    if (replay->ingested != NULL) {
        millrace__batch__v1__ingested__free_unpacked(replay->ingested, NULL);
        replay->ingested = NULL;
    }
}

void dlq_marker_init(const char *id, const char *resolution, uint32_t partition, struct dlq_marker *ret_marker)
{
    *ret_marker = (struct dlq_marker){
        .headers = {{"mr_dlq_resolved", mr_bytes_of_text(id)},
                    {"mr_dlq_resolution", mr_bytes_of_text(resolution)},
                    {"ce_type", mr_bytes_of_text("millrace.deadletter.v1.Resolved")}},
    };
    ret_marker->output = (struct mr_log_output){
        .topic = MR_TOPIC_DEADLETTERS,
        .partition = partition,
        .has_value = true,
        .headers = ret_marker->headers,
        .header_count = MR_COUNT_OF(ret_marker->headers),
    };
}
