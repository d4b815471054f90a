/* Dependencies that neither answer nor fail. */
#include "stage_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum { LOOK_EVERY_MS = 500, SILENT_MS = 10000 };

/* What has been asked for so long; NULL: nothing. A broker that is known as down need not answer. */
static const char *silent_one(const struct mr_stage *stage, int64_t ticks_ms, int64_t *ret_silent_ms)
{
    const struct delivery *oldest = stage->deliveries.after;
    *ret_silent_ms = oldest == &stage->deliveries ? 0 : ticks_ms - oldest->sent_ticks_ms;
    if (*ret_silent_ms >= SILENT_MS && !stage->broker_down) {
        return "broker";
    }
    *ret_silent_ms = stage->env.store == NULL ? 0 : mr_store_unanswered_ms(stage->env.store);
    return *ret_silent_ms >= SILENT_MS ? "store" : NULL;
}

void mr_stage_listen(struct mr_stage *stage)
{
    const int64_t ticks_ms = mr_stage_ticks_ms(stage);
    if (ticks_ms < stage->listen_due_ms || stage->stopping) {
        return;
    }
    stage->listen_due_ms = ticks_ms + LOOK_EVERY_MS;
    int64_t silent_ms;
    const char *const before = stage->silent;
    stage->silent = silent_one(stage, ticks_ms, &silent_ms);
    if (stage->silent != NULL && before == NULL) {
        char detail[64];
        (void)snprintf(detail, sizeof detail, "no answer for %" PRId64 " s", silent_ms / 1000);
        mr_stage_dependency_down(stage, stage->silent, detail);
    }
    if (stage->silent != before) {
        mr_stage_show_waiting(stage);
    }
}
