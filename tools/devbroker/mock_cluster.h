/* librdkafka's mock cluster, and the handle that hosts it. */
#ifndef DEVBROKER_MOCK_CLUSTER_H
#define DEVBROKER_MOCK_CLUSTER_H

#include "millrace/topics.h"
#include "watch.h"

struct devbroker_cluster;

/* port 0: any. FATAL "port_in_use" or "mock_failed". */
MR_MUST_USE struct mr_error devbroker_cluster_open(uint16_t port, struct devbroker_cluster **ret_cluster);
/* host:port, until close. */
const char *devbroker_cluster_address(const struct devbroker_cluster *cluster);
/* Every topic of Millrace. */
MR_MUST_USE struct mr_error devbroker_cluster_create(struct devbroker_cluster *cluster, uint32_t partitions);
/* Adds topics that the watch does not know (any client that names one creates it) and starts fetching them. */
MR_MUST_USE struct mr_error devbroker_cluster_watch(struct devbroker_cluster *cluster, struct mr_log *log,
                                                    struct devbroker_watch *watch);
void devbroker_cluster_close(struct devbroker_cluster *cluster);

#endif
