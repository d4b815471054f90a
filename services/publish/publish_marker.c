#include "publish_marker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 40, VALUE_SIZE = 2 * MR_LOG_ID_SIZE + 2 + PUBLISH_REDIS_SERVER_SIZE };

enum marker_state {
    MARKER_CLOSED = 0,
    MARKER_FOLDING, /* not there; the fold has not ended */
    MARKER_DUE,     /* once all changes up to `changes` are told */
    MARKER_SENT,
    MARKER_THERE,
    MARKER_VOID, /* what was told went to more than one server */
};

struct marker {
    enum marker_state state;
    uint64_t changes;
    char server[PUBLISH_REDIS_SERVER_SIZE]; /* that was told everything so far; "": nothing was told yet */
};

struct publish_markers {
    char log_id[2 * MR_LOG_ID_SIZE + 1];
    uint32_t count;
    struct marker list[];
};

struct publish_markers *publish_markers_new(const struct mr_deployment *deployment)
{
    struct publish_markers *markers = calloc(1, sizeof *markers + deployment->partitions * sizeof markers->list[0]);
    if (markers != NULL) {
        markers->count = deployment->partitions;
        mr_hex(mr_bytes_of(deployment->log_id.bytes, MR_LOG_ID_SIZE), markers->log_id);
    }
    return markers;
}

void publish_markers_free(struct publish_markers *markers)
{
    free(markers);
}

static void key_of(uint32_t partition, char ret_key[KEY_SIZE])
{
    (void)snprintf(ret_key, KEY_SIZE, "millrace:view:%u", (unsigned)partition);
}

static void value_of(const struct publish_markers *markers, const char *server, char ret_value[VALUE_SIZE])
{
    (void)snprintf(ret_value, VALUE_SIZE, "%s %s", markers->log_id, server);
}

bool publish_markers_open(struct publish_markers *markers, uint32_t partition, struct publish_redis *redis)
{
    struct marker *marker = &markers->list[partition];
    char key[KEY_SIZE], value[VALUE_SIZE], found[VALUE_SIZE];
    *marker = (struct marker){.state = MARKER_FOLDING};
    key_of(partition, key);
    if (redis == NULL || mr_failed(publish_redis_get(redis, key, found, sizeof found))) {
        return false;
    }
    (void)snprintf(marker->server, sizeof marker->server, "%s", publish_redis_server(redis));
    value_of(markers, marker->server, value);
    if (marker->server[0] != '\0' && strcmp(found, value) == 0) {
        marker->state = MARKER_THERE;
    }
    return true;
}

void publish_markers_close(struct publish_markers *markers, uint32_t partition)
{
    markers->list[partition].state = MARKER_CLOSED;
}

bool publish_markers_there(const struct publish_markers *markers, uint32_t partition)
{
    return markers->list[partition].state == MARKER_THERE;
}

void publish_markers_folded(struct publish_markers *markers, const struct publish_view *view)
{
    for (uint32_t i = 0; i < markers->count; i++) {
        if (markers->list[i].state == MARKER_FOLDING) {
            markers->list[i].state = MARKER_DUE;
            markers->list[i].changes = publish_view_changes(view);
        }
    }
}

static bool is_due(const struct marker *marker, const struct publish_view *view)
{
    return marker->state == MARKER_DUE && marker->server[0] != '\0' && publish_view_told(view, marker->changes);
}

bool publish_markers_due(const struct publish_markers *markers, const struct publish_view *view)
{
    for (uint32_t i = 0; i < markers->count; i++) {
        if (is_due(&markers->list[i], view)) {
            return true;
        }
    }
    return false;
}

struct mr_error publish_markers_render(struct publish_markers *markers, const struct publish_view *view,
                                       struct mr_buffer *ret_commands, size_t *ret_count)
{
    for (uint32_t i = 0; i < markers->count; i++) {
        struct marker *marker = &markers->list[i];
        char key[KEY_SIZE], value[VALUE_SIZE];
        if (!is_due(marker, view)) {
            continue;
        }
        key_of(i, key);
        value_of(markers, marker->server, value);
        MR_TRY(publish_redis_append(ret_commands, ret_count, (const char *const[]){"SET", key, value}, 3));
        marker->state = MARKER_SENT;
    }
    return mr_ok();
}

void publish_markers_settle(struct publish_markers *markers, const char *server)
{
    for (uint32_t i = 0; i < markers->count; i++) {
        struct marker *marker = &markers->list[i];
        if (server == NULL) {
            marker->state = marker->state == MARKER_SENT ? MARKER_DUE : marker->state;
            continue;
        }
        marker->state = marker->state == MARKER_SENT ? MARKER_THERE : marker->state;
        if (marker->state != MARKER_DUE && marker->state != MARKER_FOLDING) {
            continue;
        }
        if (marker->server[0] == '\0') {
            (void)snprintf(marker->server, sizeof marker->server, "%s", server);
        } else if (strcmp(marker->server, server) != 0) {
            marker->state = MARKER_VOID;
        }
    }
}
