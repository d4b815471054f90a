/* The lanes of a stage: found by input, partition and model. */
#include "stage_internal.h"

#include <stdlib.h>
#include <string.h>

static size_t bucket_of(uint32_t input, uint32_t partition, struct mr_bytes model)
{
    uint64_t hash = mr_mix64(((uint64_t)input << 32) | partition);
    for (size_t i = 0; i < model.size; i++) {
        hash = mr_mix64(hash ^ model.data[i]);
    }
    return (size_t)(hash % MR_LANE_BUCKETS);
}

struct lane *mr_lane_find(struct mr_stage *stage, uint32_t input, uint32_t partition, struct mr_bytes model)
{
    for (struct lane *lane = stage->lanes[bucket_of(input, partition, model)]; lane != NULL; lane = lane->hash_next) {
        if (lane->pub.input == input && lane->pub.partition == partition &&
            mr_bytes_equal(mr_bytes_of_text(lane->pub.model_id), model)) {
            return lane;
        }
    }
    return NULL;
}

struct lane *mr_lane_get(struct mr_stage *stage, uint32_t input, uint32_t partition, struct mr_bytes model)
{
    struct lane *lane = mr_lane_find(stage, input, partition, model);
    if (lane != NULL) {
        return lane;
    }
    MR_ASSERT(model.size <= MR_ID_MAX);
    lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        mr_stage_fail(stage, MR_EXIT_FAILED, "OutOfMemory", "a lane");
        return NULL;
    }
    lane->pub.input = input;
    lane->pub.partition = partition;
    if (model.size > 0) {
        memcpy(lane->pub.model_id, model.data, model.size);
    }
    lane->phase = LANE_OPENING;
    lane->folds = mr_folds_find(stage, partition);
    struct lane **bucket = &stage->lanes[bucket_of(input, partition, model)];
    lane->hash_next = *bucket;
    *bucket = lane;
    return lane;
}

void mr_lane_make_ready(struct mr_stage *stage, struct lane *lane)
{
    if (lane->ready) {
        return;
    }
    lane->ready = true;
    lane->ready_next = NULL;
    if (stage->ready_last == NULL) {
        stage->ready_first = lane;
    } else {
        stage->ready_last->ready_next = lane;
    }
    stage->ready_last = lane;
}

struct lane *mr_lane_take_ready(struct mr_stage *stage)
{
    struct lane *lane = stage->ready_first;
    if (lane == NULL) {
        return NULL;
    }
    stage->ready_first = lane->ready_next;
    if (stage->ready_first == NULL) {
        stage->ready_last = NULL;
    }
    lane->ready = false;
    return lane;
}

void mr_lane_push(struct lane *lane, struct item *item)
{
    item->next = NULL;
    if (lane->tail == NULL) {
        lane->head = item;
    } else {
        lane->tail->next = item;
    }
    lane->tail = item;
}

void mr_lane_push_front(struct lane *lane, struct item *first, struct item *last)
{
    last->next = lane->head;
    lane->head = first;
    if (lane->tail == NULL) {
        lane->tail = last;
    }
}

struct item *mr_lane_pop(struct lane *lane)
{
    struct item *item = lane->head;
    if (item != NULL) {
        lane->head = item->next;
        if (lane->head == NULL) {
            lane->tail = NULL;
        }
        item->next = NULL;
    }
    return item;
}

void mr_lane_list_parked(struct mr_stage *stage, struct lane *lane)
{
    if (!lane->in_parked) {
        lane->in_parked = true;
        stage->parked_lanes++;
        lane->parked_next = stage->parked_first;
        stage->parked_first = lane;
    }
}

static void lane_close(struct mr_stage *stage, struct lane *lane)
{
    for (struct item *item = mr_lane_pop(lane); item != NULL; item = mr_lane_pop(lane)) {
        mr_item_free(stage, item);
    }
    if (stage->spec.ops->lane_close != NULL) {
        stage->spec.ops->lane_close(stage->spec.self, &lane->pub);
    }
    if (lane->phase == LANE_STOPPED) {
        mr_stage_count_stopped(stage, -1);
    }
    mr_park_deinit(&lane->park);
    mr_buffer_deinit(&lane->verdict_bytes);
    free(lane);
}

void mr_lanes_close(struct mr_stage *stage)
{
    stage->ready_first = stage->ready_last = NULL;
    stage->parked_first = NULL;
    stage->parked_lanes = 0;
    stage->kept_bytes = 0;
    for (size_t i = 0; i < MR_LANE_BUCKETS; i++) {
        while (stage->lanes[i] != NULL) {
            struct lane *lane = stage->lanes[i];
            stage->lanes[i] = lane->hash_next;
            lane_close(stage, lane);
        }
    }
}

void mr_lanes_close_partition(struct mr_stage *stage, uint32_t partition)
{
    for (size_t i = 0; i < MR_LANE_BUCKETS; i++) {
        for (struct lane **link = &stage->lanes[i]; *link != NULL;) {
            struct lane *lane = *link;
            if (lane->pub.partition == partition) {
                MR_ASSERT(!lane->asked && !lane->ready && !lane->in_parked);
                *link = lane->hash_next;
                lane_close(stage, lane);
            } else {
                link = &lane->hash_next;
            }
        }
    }
}
