/* Rule C14: what a run has not committed is trained again after a restart, so the model's log must still be there. */
#include "retention.h"

#include "millrace/topics_create.h"

#include <stdlib.h>
#include <string.h>

static const struct mr_topic_values *values_of(const struct mr_topics_found *found, const char *topic)
{
    for (size_t i = 0; i < MR_TOPICS_COUNT; i++) {
        if (strcmp(mr_topic_name(i), topic) == 0 && found->topics[i].has_values) {
            return &found->topics[i].values;
        }
    }
    return NULL;
}

static void tell_bounds(const struct mr_trace *trace, const struct mr_topic_values *values)
{
    for (size_t i = 0; i < MR_TOPIC_SETTINGS_COUNT; i++) {
        const char *const name = mr_topic_setting_names[i];
        if (strncmp(name, "retention.", strlen("retention.")) == 0 && strcmp(values->text[i], "-1") != 0) {
            MR_TRACE(trace, MR_TRACE_WARN, "RetentionBounded", mr_text("topic", MR_TOPIC_VALIDATED),
                     mr_text("setting", name), mr_text("value", values->text[i]),
                     mr_text("detail", "a run that commits nothing for longer than this cannot be trained again after "
                                       "a restart, and stops with LogGap"));
        }
    }
}

void mr_retention_tell(const struct mr_trace *trace, const char *brokers, const char *settings)
{
    struct mr_topics_admin *admin = NULL;
    struct mr_topics_found *const found = calloc(1, sizeof *found);
    const struct mr_topic_values *values = NULL;
    struct mr_error error = found == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the topics")
                                          : mr_topics_admin_open(brokers, settings, &admin);
    if (!mr_failed(error)) {
        error = mr_topics_find(admin, true, found);
        mr_topics_admin_close(admin);
        values = mr_failed(error) ? NULL : values_of(found, MR_TOPIC_VALIDATED);
    }
    if (values != NULL) {
        tell_bounds(trace, values);
    } else {
        MR_TRACE(trace, MR_TRACE_WARN, "RetentionUnknown", mr_text("topic", MR_TOPIC_VALIDATED),
                 mr_text("detail", mr_failed(error) ? error.detail : "the broker does not tell its settings"));
    }
    free(found);
}
