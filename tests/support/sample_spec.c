#include "sample_spec.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_TAIL                                                                              \
    "\"optimiser\": {\"beta1\": 0.9, \"beta2\": 0.999, \"epsilon\": 1e-8},"                      \
    "\"schedule\": {\"constant\": {\"learning_rate\": 0.004}},"                                  \
    "\"commit_plan\": {\"interval_commit\": {\"every_steps\": 10}},"                             \
    "\"init_seed\": 11, \"dtype_policy\": \"keep\", \"version_bump\": \"minor\","                \
    "\"message_template\": \"{model} at {step}\","                                               \
    "\"tags\": [{\"key\": \"alpha\", \"value\": \"1\"}, {\"key\": \"beta\", \"value\": \"2\"}]," \
    "\"limits\": {\"max_rows\": 100}, \"arithmetic_profile\": \"mr-f32-v1\"}"
#define SAMPLE_NETWORK                                                                                   \
    "\"network\": {\"layers\": [{\"linear\": {\"width\": 12}}, {\"activation\": {\"kind\": \"csilu\"}}," \
    "{\"linear\": {\"width\": 9}}, {\"activation\": {\"kind\": \"modrelu\"}}]},"
#define SAMPLE_MARKET                                                                                        \
    "\"schema\": \"gbm\", \"inputs\": [\"T\", \"r\", \"d\", \"v\"], \"sobol_seed\": 5, \"domain\": ["        \
    "{\"field\": \"X0\", \"lower\": 80, \"upper\": 120}, {\"field\": \"K\", \"lower\": 80, \"upper\": 120}," \
    "{\"field\": \"T\", \"lower\": 0.25, \"upper\": 2}, {\"field\": \"r\", \"lower\": 0, \"upper\": 0.06},"  \
    "{\"field\": \"d\", \"lower\": 0, \"upper\": 0.03}, {\"field\": \"v\", \"lower\": 0.1, \"upper\": 0.4}],"

const char sample_pricing_json[] =
    "{\"pricing\": {" SAMPLE_MARKET
    "\"simulation\": {\"scheme\": \"log_euler\", \"normalisation\": \"forward\", \"timesteps\": 1, \"seed\": 3,"
    " \"antithetic\": true},"
    "\"characteristic_function\": {\"frequencies\": 40, \"width\": 10, \"paths\": 1280, \"envelope\": "
    "\"gaussian\"}}," SAMPLE_NETWORK SAMPLE_TAIL;

const char sample_payoff_json[] =
    "{\"pricing\": {" SAMPLE_MARKET
    "\"simulation\": {\"scheme\": \"simple_euler\", \"normalisation\": \"raw\", \"timesteps\": 3, \"seed\": 3},"
    "\"payoff_fft\": {\"network_size\": 16, \"batches\": 70}}," SAMPLE_NETWORK SAMPLE_TAIL;

const char sample_labelled_json[] = "{\"labelled\": {\"features\": 5, \"targets\": 3}," SAMPLE_NETWORK SAMPLE_TAIL;

char *sample_replaced(const char *json, const char *find, const char *replace)
{
    const char *at = strstr(json, find);
    ck_assert_msg(at != NULL, "\"%s\" is not in the sample", find);
    const size_t size = strlen(json) + strlen(replace) + 1;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    const int before = (int)(at - json);
    (void)snprintf(text, size, "%.*s%s%s", before, json, replace, at + strlen(find));
    return text;
}

struct mr_run_spec sample_spec(const char *json)
{
    Millrace__Run__V1__RunSpec *wire = NULL;
    struct mr_field_fault fault;
    struct mr_run_spec spec;
    struct mr_error error = mr_run_spec_from_json(mr_bytes_of_text(json), &wire, &fault);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    error = mr_run_spec_decode(wire, &spec, &fault);
    ck_assert_msg(!mr_failed(error), "%s", error.detail);
    millrace__run__v1__run_spec__free_unpacked(wire, NULL);
    return spec;
}

struct mr_run_spec sample_spec_with(const char *json, const char *find, const char *replace)
{
    char *text = sample_replaced(json, find, replace);
    const struct mr_run_spec spec = sample_spec(text);
    free(text);
    return spec;
}
