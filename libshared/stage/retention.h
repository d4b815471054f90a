/* Whether the brokers keep the models' log. */
#ifndef MR_RETENTION_H
#define MR_RETENTION_H

#include "millrace/trace.h"

/* Writes a line if the brokers will remove records of batches.validated, or do not tell. settings: as of
 * mr_log_kafka_config. */
void mr_retention_tell(const struct mr_trace *trace, const char *brokers, const char *settings);

#endif
