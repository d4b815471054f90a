/*
 * Whether the view holds all that it should of a partition: the key millrace:view:<partition>, "<log id> <run id of the
 * Redis server>". It is written when everything that was folded at an assignment is told to one and the same server. So
 * a start that finds it, at a server that has not been restarted since, need not tell it all again; one that does not,
 * folds everything. The view may be deleted at any time, and a server may lose what it had.
 */
#ifndef PUBLISH_MARKER_H
#define PUBLISH_MARKER_H

#include "publish_redis.h"
#include "publish_view.h"

#include "millrace/topics.h"

struct publish_markers;
MR_MUST_USE struct publish_markers *publish_markers_new(const struct mr_deployment *deployment); /* NULL: no memory */
void publish_markers_free(struct publish_markers *markers);

/* A partition is assigned: looks whether the marker is there; a marker that cannot be read is not. False: it could not.
 * `redis` may be NULL. */
bool publish_markers_open(struct publish_markers *markers, uint32_t partition, struct publish_redis *redis);
void publish_markers_close(struct publish_markers *markers, uint32_t partition);
MR_MUST_USE bool publish_markers_there(const struct publish_markers *markers, uint32_t partition);
/* The partitions that were opened are folded by now: all that the view has to tell is among its changes. */
void publish_markers_folded(struct publish_markers *markers, const struct publish_view *view);

/* A marker can be written. */
MR_MUST_USE bool publish_markers_due(const struct publish_markers *markers, const struct publish_view *view);
/* Appends its command to those of a write. FATAL "out_of_memory". */
MR_MUST_USE struct mr_error publish_markers_render(struct publish_markers *markers, const struct publish_view *view,
                                                   struct mr_buffer *ret_commands, size_t *ret_count);
/* The outcome of that write; server NULL: it failed. */
void publish_markers_settle(struct publish_markers *markers, const char *server);

#endif
