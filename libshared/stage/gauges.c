/* What an operator watches besides decisions: what is unresolved and since when, and what waits for a retry. */
#include "stage_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum { GAUGES_EVERY_MS = 1000 };

static void set(struct mr_stage *stage, const char *name, const char *help, double value)
{
    mr_metric_set(mr_metrics_gauge(stage->env.metrics, name, help, &(struct mr_label){"stage", stage->spec.name}, 1),
                  value);
}

/* The age is that in the input topic, so that it grows with a backlog too. */
static void show_unresolved(struct mr_stage *stage)
{
    uint64_t count = 0;
    const int64_t now_ms = mr_stage_now_ms(stage);
    int64_t oldest_ms = now_ms;
    for (size_t i = 0; i < MR_ITEM_BUCKETS; i++) {
        for (const struct item *item = stage->items[i]; item != NULL; item = item->hash_next) {
            count++;
            const int64_t written_ms = item->record.timestamp_ms; /* 0: the log does not say */
            oldest_ms = written_ms > 0 && written_ms < oldest_ms ? written_ms : oldest_ms;
        }
    }
    set(stage, "millrace_unresolved_records", "Records that were read and are not resolved.", (double)count);
    set(stage, "millrace_oldest_unresolved_seconds", "How long the oldest of them has been in its topic.",
        (double)(now_ms - oldest_ms) / 1e3);
}

static void show_parked(struct mr_stage *stage)
{
    uint64_t models = 0;
    uint64_t records = 0;
    for (const struct lane *lane = stage->parked_first; lane != NULL; lane = lane->parked_next) {
        models += lane->park.count > 0 ? 1 : 0;
        records += lane->park.count;
    }
    set(stage, "millrace_parked_models", "Models whose records wait for a retry.", (double)models);
    set(stage, "millrace_parked_records", "Records that wait for a retry.", (double)records);
}

static void set_lag(const struct mr_stage *stage, const struct partition *partition, uint64_t records)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%" PRIu32, partition->index);
    const struct mr_label labels[] = {
        {"stage", stage->spec.name}, {"topic", stage->spec.inputs[partition->input].topic}, {"partition", number}};
    mr_metric_set(mr_metrics_gauge(stage->env.metrics, "millrace_input_lag_records",
                                   "Records from the first that is not resolved to the end, as the last fetch saw it.",
                                   labels, MR_COUNT_OF(labels)),
                  (double)records);
}

static void show_lag(const struct mr_stage *stage)
{
    const struct mr_log *log = stage->env.log;
    for (const struct partition *p = stage->partitions; p != NULL; p = p->next) {
        const uint64_t low = mr_window_low(&p->window);
        uint64_t end = 0;
        if (log->ops->fetched_end(log, stage->spec.inputs[p->input].topic, p->index, &end)) {
            set_lag(stage, p, end > low ? end - low : 0);
        }
    }
}

/* Its next owner shows it. */
void mr_stage_forget_lag(const struct mr_stage *stage, const struct partition *partition)
{
    set_lag(stage, partition, 0);
}

void mr_stage_count_stopped(struct mr_stage *stage, int by)
{
    mr_metric_add(mr_metrics_gauge(stage->env.metrics, "millrace_models_stopped", "Models that stopped with an alarm.",
                                   &(struct mr_label){"stage", stage->spec.name}, 1),
                  by);
}

void mr_stage_gauges(struct mr_stage *stage)
{
    const int64_t ticks = mr_stage_ticks_ms(stage);
    if (ticks < stage->gauges_due_ms) {
        return;
    }
    stage->gauges_due_ms = ticks + GAUGES_EVERY_MS;
    show_unresolved(stage);
    show_lag(stage);
    if (stage->spec.retry_topic != NULL) {
        show_parked(stage);
    }
}
