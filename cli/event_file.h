/* Files that TensorBoard reads: records of TensorFlow's TFRecord format, each an event as tensorboard_event.h makes. */
#ifndef CLI_EVENT_FILE_H
#define CLI_EVENT_FILE_H

#include "millrace/base.h"

#include <limits.h>
#include <stdio.h>

/* Appends the record in its frame: length, its checksum, the record, its checksum. */
MR_MUST_USE struct mr_error cli_event_frame(struct mr_bytes record, struct mr_buffer *ret_framed);

/* A file that is written beside its place and takes it when it is whole. Zeroed memory is none, which discard takes. */
struct cli_event_file {
    FILE *file;
    char draft[PATH_MAX], path[PATH_MAX];
};

/* Makes the folder, with those above it. FATAL "not_written" says what could not be made. */
MR_MUST_USE struct mr_error cli_event_file_open(const char *folder, const char *name, struct cli_event_file *ret_file);
MR_MUST_USE struct mr_error cli_event_file_append(struct cli_event_file *file, struct mr_bytes record);
/* Puts it in its place, over an earlier one; when that fails nothing is left of it. It is closed either way. */
MR_MUST_USE struct mr_error cli_event_file_finish(struct cli_event_file *file);
void cli_event_file_discard(struct cli_event_file *file);

#endif
