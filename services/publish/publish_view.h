/*
 * What the view shows and has not been told yet: the newest numbers and the newest versions of each model. Bounded: a
 * newer value of a key replaces the one that waits, so a sink may be down for as long as it likes. README.md has the
 * keys.
 */
#ifndef PUBLISH_VIEW_H
#define PUBLISH_VIEW_H

#include "publish_codec.h"

enum {
    PUBLISH_VIEW_VERSIONS_MAX = 100,     /* kept in the view for each model, and waiting for it */
    PUBLISH_VIEW_MODELS_MAX = 4096,      /* remembered here: beyond, the one that changed least recently is forgotten */
    PUBLISH_VIEW_WRITE_MODELS_MAX = 256, /* in one write */
    PUBLISH_VIEW_RUN_KEPT_S = 2592000,   /* a run's numbers vanish from the view 30 days after their last change */
};

struct publish_view;
MR_MUST_USE struct publish_view *publish_view_new(void); /* NULL: out of memory */
void publish_view_free(struct publish_view *view);

/* `now_ms` is monotonic, for the step rate; `live` false: a record of the past, which has no rate. FATAL
 * "out_of_memory". *ret_forgot: an unwritten change of another model was given up for it. */
MR_MUST_USE struct mr_error publish_view_progress(struct publish_view *view, const struct publish_progress *progress,
                                                  int64_t now_ms, bool live, bool *ret_forgot);
MR_MUST_USE struct mr_error publish_view_version(struct publish_view *view, const struct publish_version *version,
                                                 bool *ret_forgot);

MR_MUST_USE bool publish_view_pending(const struct publish_view *view);
/* Appends the Redis commands (RESP2) that tell what is pending, and remembers what they cover until
 * publish_view_settle. FATAL "out_of_memory". */
MR_MUST_USE struct mr_error publish_view_render(struct publish_view *view, int64_t now_ms,
                                                struct mr_buffer *ret_commands, size_t *ret_count);
/* Written: what the last render covered is no longer pending. Not written: all of it still is. */
void publish_view_settle(struct publish_view *view, bool written);
/* The count of changes so far; and whether the sink has been told all of the first so many. What was forgotten does not
 * count. */
uint64_t publish_view_changes(const struct publish_view *view);
MR_MUST_USE bool publish_view_told(const struct publish_view *view, uint64_t changes);

/* A part of what it shows of a model, as bytes (millrace.fold.v1.PublishModel): the newest numbers, or the versions
 * that wait; none of a model that it does not know. Given back, all of it is pending. REJECT "bad_state". */
enum publish_view_part { PUBLISH_VIEW_PROGRESS = 1, PUBLISH_VIEW_VERSIONS };
MR_MUST_USE struct mr_error publish_view_save(const struct publish_view *view, enum publish_view_part part,
                                              const char *model_id, struct mr_buffer *state);
MR_MUST_USE struct mr_error publish_view_load(struct publish_view *view, const char *model_id, struct mr_bytes state,
                                              int64_t now_ms, bool *ret_forgot);
/* Of a service that has no view: it can be given to no other one. */
MR_MUST_USE struct mr_error publish_view_save_none(struct mr_buffer *state);

#endif
