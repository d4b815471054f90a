/* How far groups have read topics. One client asks for all of it at once, however many groups there are. */
#ifndef MR_LAG_H
#define MR_LAG_H

#include "millrace/base.h"

struct mr_lag {
    const char *group, *topic; /* asked for */
    uint64_t end, lag;         /* records, over all partitions; what the topic no longer has is not behind */
};

struct mr_lag_asker;
/* `settings`: further librdkafka settings, as of mr_log_kafka_config; may be NULL. */
MR_MUST_USE struct mr_error mr_lag_asker_open(const char *brokers, const char *settings,
                                              struct mr_lag_asker **ret_asker);
/* Of every topic, so many partitions. TRANSIENT when a broker does not answer, then some of them may be filled in;
 * REJECT "unknown_topic", which is never created. */
MR_MUST_USE struct mr_error mr_lag_ask(struct mr_lag_asker *asker, uint32_t partitions, struct mr_lag *lags,
                                       size_t count);
void mr_lag_asker_close(struct mr_lag_asker *asker);

#endif
