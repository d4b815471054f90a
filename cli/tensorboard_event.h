/*
 * TensorBoard's events, as bytes of TensorFlow's protobuf messages.
 *
 * A summary is made of values, in a buffer that begins empty; an event holds one. A tag names one kind of value in a
 * file. Equal values give equal bytes. The only error is FATAL "out_of_memory".
 */
#ifndef CLI_TENSORBOARD_EVENT_H
#define CLI_TENSORBOARD_EVENT_H

#include "millrace/base.h"

enum { CLI_HISTOGRAM_BUCKETS = 30 };

/* Of finite numbers. Zeros when there is none. */
struct cli_statistics {
    uint64_t count;
    double min, max, sum, sum_of_squares, mean, deviation; /* the population's */
    uint64_t buckets[CLI_HISTOGRAM_BUCKETS];               /* equally wide from min to max */
};
void cli_statistics_of(const float *numbers, uint64_t count, struct cli_statistics *ret_statistics);

MR_MUST_USE struct mr_error cli_summary_scalar(struct mr_buffer *summary, const char *tag, float value);
/* Of UTF-8; shown as Markdown. */
MR_MUST_USE struct mr_error cli_summary_text(struct mr_buffer *summary, const char *tag, const char *text);
MR_MUST_USE struct mr_error cli_summary_histogram(struct mr_buffer *summary, const char *tag,
                                                  const struct cli_statistics *statistics);

/* Appends the event of a summary; time_ms is since 1970. */
MR_MUST_USE struct mr_error cli_event_of_summary(int64_t time_ms, uint64_t step, struct mr_bytes summary,
                                                 struct mr_buffer *ret_event);
/* Appends the event that a file begins with. */
MR_MUST_USE struct mr_error cli_event_of_beginning(int64_t time_ms, struct mr_buffer *ret_event);

#endif
