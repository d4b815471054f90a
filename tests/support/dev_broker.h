/* A millrace-devbroker process for a test, in a directory of its own under /tmp. */
#ifndef DEV_BROKER_H
#define DEV_BROKER_H

#include "millrace/log_kafka.h"

#include <sys/types.h>

struct dev_broker {
    pid_t pid;
    char directory[64], address[64];
};

/* Starts the program and waits until it is ready. Further arguments end with NULL. */
void dev_broker_start(struct dev_broker *broker, const char *program, ...);
/* Starts one that ends by itself, for it refuses what it is asked; its exit code. */
int dev_broker_try(struct dev_broker *broker, const char *program, ...);
/* Asks it to end, if it still runs; its exit code. */
int dev_broker_stop(struct dev_broker *broker);
/* Waits for it to end by itself; its exit code. */
int dev_broker_wait(struct dev_broker *broker);
/* Whether a line of its output has this in it. */
bool dev_broker_said(const struct dev_broker *broker, const char *text);
/* Removes its directory, after it has ended. */
void dev_broker_forget(const struct dev_broker *broker);
/* A log on it, for consuming and producing, with the settings that the broker needs. */
struct mr_log_kafka_config dev_broker_config(const struct dev_broker *broker, const char *group);

#endif
