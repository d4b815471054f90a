#include "progress.h"

#include "cli_table.h"
#include "cli_version.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct progress_stage progress_stages[PROGRESS_STAGES] = {
    {"ingest", MR_TOPIC_SUBMITTED, "millrace-ingest"},       {"validate", MR_TOPIC_INGESTED, "millrace-validate"},
    {"stage_gpu", MR_TOPIC_VALIDATED, "millrace-stage_gpu"}, {"train", MR_TOPIC_STAGED, "millrace-train"},
    {"persist", MR_TOPIC_PRODUCED, "millrace-persist"},      {"publish", MR_TOPIC_TRAINED, "millrace-publish"},
    {"publish", MR_TOPIC_COMMITTED, "millrace-publish"},
};

struct mr_error progress_open(struct progress *progress, struct cli_session *session, const struct cli_brokers *brokers)
{
    char *settings = NULL;
    *progress = (struct progress){.session = session};
    for (size_t i = 0; i < PROGRESS_STAGES; i++) {
        progress->lags[i] = (struct mr_lag){.group = progress_stages[i].group, .topic = progress_stages[i].topic};
    }
    MR_TRY(cli_read_settings(brokers->settings_file, &settings));
    const struct mr_error error = mr_lag_asker_open(brokers->list, settings, &progress->asker);
    free(settings);
    return error;
}

void progress_close(struct progress *progress)
{
    mr_lag_asker_close(progress->asker);
    cli_seen_deinit(&progress->seen_metrics);
    cli_seen_deinit(&progress->seen_versions);
}

struct mr_error progress_measure(struct progress *progress)
{
    return mr_lag_ask(progress->asker, progress->session->deployment.partitions, progress->lags, PROGRESS_STAGES);
}

/* ---- Models -------------------------------------------------------------------------------------------- */

static struct progress_model *model_of(struct progress *progress, const char *model_id)
{
    for (size_t i = 0; i < progress->model_count; i++) {
        if (strcmp(progress->models[i].model_id, model_id) == 0) {
            return &progress->models[i];
        }
    }
    if (progress->model_count == PROGRESS_MODELS_MAX) {
        progress->models_left_out++;
        return NULL;
    }
    struct progress_model *model = &progress->models[progress->model_count++];
    *model = (struct progress_model){.phase = "unknown"};
    (void)snprintf(model->model_id, sizeof model->model_id, "%s", model_id);
    return model;
}

static struct mr_error note_metric(struct progress *progress, const struct mr_log_record *record)
{
    struct cli_metric metric;
    bool is_new = false;
    MR_TRY(cli_metric_read(record, &metric));
    MR_TRY(cli_seen_note(&progress->seen_metrics, &metric.stamp, &is_new));
    struct progress_model *model = is_new ? model_of(progress, metric.stamp.model_id) : NULL;
    if (model == NULL) {
        return mr_ok();
    }
    memcpy(model->run_id, metric.run_id, sizeof model->run_id);
    model->step = metric.step;
    if (strcmp(metric.event, "stepped") == 0) {
        model->phase = "training";
        model->has_loss = true;
        model->loss = metric.loss;
        model->samples = metric.samples;
        model->steps_seen++;
    } else if (strcmp(metric.event, "run_opened") == 0) {
        model->phase = "training";
        model->has_loss = false;
        model->samples = 0;
    } else if (strcmp(metric.event, "diverged") == 0) {
        model->phase = "diverged";
    } else if (strcmp(metric.event, "run_closed") == 0) {
        model->phase = metric.outcome;
    }
    return mr_ok();
}

static struct mr_error note_version(struct progress *progress, const struct mr_log_record *record)
{
    struct cli_published version;
    bool is_new = false;
    MR_TRY(cli_published_read(record, &version));
    MR_TRY(cli_seen_note(&progress->seen_versions, &version.stamp, &is_new));
    struct progress_model *model = is_new ? model_of(progress, version.stamp.model_id) : NULL;
    if (model != NULL) {
        if (model->run_id[0] == '\0') {
            memcpy(model->run_id, version.run_id, sizeof model->run_id);
            model->step = version.step;
        }
        model->has_version = true;
        model->version = version.counter;
        memcpy(model->semantic_version, version.semantic_version, sizeof model->semantic_version);
    }
    return mr_ok();
}

struct mr_error progress_note(void *self, const struct mr_log_record *record)
{
    if (strcmp(record->topic, MR_TOPIC_METRICS) == 0) {
        return note_metric(self, record);
    }
    return strcmp(record->topic, MR_TOPIC_VERSIONS) == 0 ? note_version(self, record) : mr_ok();
}

void progress_take_rates(struct progress *progress, double seconds)
{
    for (size_t i = 0; i < progress->model_count; i++) {
        struct progress_model *model = &progress->models[i];
        model->steps_per_second = seconds > 0 ? (double)model->steps_seen / seconds : 0;
        model->steps_seen = 0;
    }
}

/* ---- Answers ------------------------------------------------------------------------------------------- */

json_t *progress_json(const struct progress *progress)
{
    json_t *stage_array = json_array(), *model_array = json_array();
    for (size_t i = 0; i < PROGRESS_STAGES; i++) {
        const struct mr_lag *lag = &progress->lags[i];
        json_array_append_new(stage_array,
                              json_pack("{s:s, s:s, s:I, s:I}", "stage", progress_stages[i].stage, "topic", lag->topic,
                                        "end", (json_int_t)lag->end, "lag", (json_int_t)lag->lag));
    }
    for (size_t i = 0; i < progress->model_count; i++) {
        const struct progress_model *model = &progress->models[i];
        json_array_append_new(model_array,
                              json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:f, s:o, s:o}", "model_id", model->model_id,
                                        "run_id", model->run_id, "phase", model->phase, "step", (json_int_t)model->step,
                                        "samples", (json_int_t)model->samples, "loss",
                                        model->has_loss ? cli_json_real((double)model->loss) : json_null(),
                                        "steps_per_second", model->steps_per_second, "version",
                                        model->has_version ? json_integer((json_int_t)model->version) : json_null(),
                                        "semantic_version",
                                        model->has_version ? cli_json_text(model->semantic_version) : json_null()));
    }
    return json_pack("{s:o, s:o}", "stages", stage_array, "models", model_array);
}

static struct mr_error print_stages(const struct progress *progress, FILE *out)
{
    static const char *const titles[] = {"STAGE", "READS", ">RECORDS", ">LAG"};
    struct cli_table table;
    cli_table_init(&table, titles, MR_COUNT_OF(titles));
    struct mr_error error = mr_ok();
    for (size_t i = 0; i < PROGRESS_STAGES && !mr_failed(error); i++) {
        const struct mr_lag *lag = &progress->lags[i];
        error = cli_table_add(&table, "%s", progress_stages[i].stage);
        error = mr_failed(error) ? error : cli_table_add(&table, "%s", lag->topic);
        error = mr_failed(error) ? error : cli_table_add(&table, "%" PRIu64, lag->end);
        error = mr_failed(error) ? error : cli_table_add(&table, "%" PRIu64, lag->lag);
    }
    if (!mr_failed(error)) {
        cli_table_print(&table, out);
    }
    cli_table_deinit(&table);
    return error;
}

static struct mr_error add_model(struct cli_table *table, const struct progress_model *model)
{
    MR_TRY(cli_table_add(table, "%s", model->model_id));
    MR_TRY(cli_table_add(table, "%s", model->run_id));
    MR_TRY(cli_table_add(table, "%s", model->phase));
    MR_TRY(cli_table_add(table, "%" PRIu64, model->step));
    MR_TRY(cli_table_add(table, "%.1f", model->steps_per_second));
    MR_TRY(model->has_loss ? cli_table_add(table, "%.6g", (double)model->loss) : cli_table_add(table, "-"));
    MR_TRY(cli_table_add(table, "%" PRIu64, model->samples));
    return model->has_version ? cli_table_add(table, "%" PRIu64 " (%s)", model->version, model->semantic_version)
                              : cli_table_add(table, "-");
}

static struct mr_error print_models(const struct progress *progress, FILE *out)
{
    static const char *const titles[] = {"MODEL", "RUN", "PHASE", ">STEP", ">STEPS/S", ">LOSS", ">SAMPLES", "VERSION"};
    struct cli_table table;
    cli_table_init(&table, titles, MR_COUNT_OF(titles));
    struct mr_error error = mr_ok();
    for (size_t i = 0; i < progress->model_count && !mr_failed(error); i++) {
        error = add_model(&table, &progress->models[i]);
    }
    if (!mr_failed(error)) {
        cli_table_print(&table, out);
    }
    cli_table_deinit(&table);
    return error;
}

struct mr_error progress_print(const struct progress *progress, FILE *out)
{
    MR_TRY(print_stages(progress, out));
    (void)fputc('\n', out);
    MR_TRY(print_models(progress, out));
    if (progress->models_left_out > 0) {
        (void)fprintf(out, "(only the first %d models are shown)\n", PROGRESS_MODELS_MAX);
    }
    return mr_ok();
}
