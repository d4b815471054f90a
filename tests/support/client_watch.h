/* What a client tells, for a test to wait for. */
#ifndef CLIENT_WATCH_H
#define CLIENT_WATCH_H

#include "millrace/client.h"

struct client_watch;
struct client_watch *client_watch_new(void);
void client_watch_free(struct client_watch *watch);
/* For mr_client_options: on_event = client_watch_event, self = the watch. */
void client_watch_event(void *self, const struct mr_client_event *event);

/* Waits, up to a minute, until the version is served; the test fails otherwise. */
void client_watch_served(struct client_watch *watch, uint64_t counter);
/* Waits until an event of that kind and code ("ok" for none) has been told that no such call has returned for yet. */
struct mr_client_event client_watch_told(struct client_watch *watch, enum mr_client_event_kind kind, const char *code);
uint64_t client_watch_count(struct client_watch *watch, enum mr_client_event_kind kind);

#endif
