/* Dead letters as records: which is one, what it says, what its replay and its `resolved` marker are. */
#ifndef CLI_DLQ_RECORD_H
#define CLI_DLQ_RECORD_H

#include "cli_session.h"

#include "millrace/batch/v1/batch.pb-c.h"

enum { DLQ_ID_SIZE = 72, DLQ_TEXT_SIZE = 224, DLQ_HEADERS_MAX = 128 };

enum dlq_kind {
    DLQ_LETTER = 1, /* a dead letter: it has mr_dlq_id and mr_dlq_stage */
    DLQ_MARKER,     /* says that a dead letter is resolved: mr_dlq_resolved */
    DLQ_OTHER,      /* neither: not ours */
};
/* ret_id: of the letter, or of the letter that the marker resolves. */
enum dlq_kind dlq_kind_of(const struct mr_log_record *record, char ret_id[DLQ_ID_SIZE]);

/* What the headers of a dead letter say; "" where one is missing. */
struct dlq_letter {
    char id[DLQ_ID_SIZE], stage[MR_ID_SIZE], reason[DLQ_TEXT_SIZE], detail[DLQ_TEXT_SIZE];
    char attempt[MR_ID_SIZE], topic[DLQ_TEXT_SIZE], partition[MR_ID_SIZE], offset[MR_ID_SIZE], origin[MR_ID_SIZE];
    char model_id[MR_ID_SIZE];
    int64_t time_ms;
};
void dlq_letter_read(const struct mr_log_record *record, struct dlq_letter *ret_letter);

/* The record that submits the original again: its key, value and headers without those of the dead letter, and
 * mr_replay_of. Views of `record`, and of `ingested`, which owns the submitted bytes of a letter of validate and is
 * freed by dlq_replay_deinit. */
struct dlq_replay {
    char id[DLQ_ID_SIZE];
    struct mr_log_header headers[DLQ_HEADERS_MAX];
    struct mr_log_output output;
    Millrace__Batch__V1__Ingested *ingested; /* of validate's dead letters */
    char *names[DLQ_HEADERS_MAX];            /* of the headers in it */
    size_t name_count;
};
/* REJECT "not_replayable" says why. On success `ret_replay` must stay where it is. */
MR_MUST_USE struct mr_error dlq_replay_init(const struct mr_log_record *record, uint32_t partitions,
                                            struct dlq_replay *ret_replay);
void dlq_replay_deinit(struct dlq_replay *replay);

/* The marker that hides a dead letter from ls. `resolution`: "replayed" or "purged". Views of the arguments. */
struct dlq_marker {
    struct mr_log_header headers[3];
    struct mr_log_output output;
};
void dlq_marker_init(const char *id, const char *resolution, uint32_t partition, struct dlq_marker *ret_marker);

#endif
