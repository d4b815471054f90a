/* Stamped records in the in-memory log, as the stages of a deployment whose log id is 16 bytes of 0xab write them. */
#ifndef STAMPED_H
#define STAMPED_H

#include "memory_log.h"
#include "millrace/stage.h"

#include <protobuf-c/protobuf-c.h>

/* prev < 0: none. Lends the model's id. */
struct mr_stage_stamp stamped_by(const char *model, uint32_t partition, uint64_t origin, int64_t prev);
/* Appends the message, whose stamp the caller has set, to the stamp's partition under its model. Returns the offset. */
uint64_t stamped_append(struct memory_broker *broker, const char *topic, const struct mr_stage_stamp *stamp,
                        const ProtobufCMessage *message);
/* The origins of a topic's records of one model, in the order in which they stand there: "1 2 3", until the next call.
 */
const char *stamped_origins(struct memory_broker *broker, const char *topic, uint32_t partition, const char *model);

#endif
