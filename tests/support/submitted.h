/* What users submit, written as the JSON of millrace.batch.v1.Submitted. */
#ifndef SUBMITTED_H
#define SUBMITTED_H

#include "millrace/base.h"

/* The least spec of each job. The pricing domain: X0 and K in [80, 120], T in [0.25, 2], r in [0, 0.06], d in [0,
 * 0.03], v in [0.1, 0.4]. Labelled: 2 features, 1 target. `limits` is a JSON member with its comma, or "". */
#define SUBMITTED_PRICING_SPEC(more)                                                                      \
    "{\"pricing\":{\"schema\":\"gbm\",\"inputs\":[\"T\",\"r\",\"d\",\"v\"],\"domain\":["                  \
    "{\"field\":\"X0\",\"lower\":80,\"upper\":120},{\"field\":\"K\",\"lower\":80,\"upper\":120},"         \
    "{\"field\":\"T\",\"lower\":0.25,\"upper\":2},{\"field\":\"r\",\"lower\":0,\"upper\":0.06},"          \
    "{\"field\":\"d\",\"lower\":0,\"upper\":0.03},{\"field\":\"v\",\"lower\":0.1,\"upper\":0.4}],"        \
    "\"simulation\":{\"scheme\":\"log_euler\",\"normalisation\":\"forward\",\"timesteps\":1,\"seed\":42," \
    "\"antithetic\":true},\"characteristic_function\":{\"frequencies\":8,\"width\":10,\"paths\":32,"      \
    "\"envelope\":\"gaussian\"},\"sobol_seed\":7}," SUBMITTED_SPEC_REST_ more "}"
#define SUBMITTED_LABELLED_SPEC(more) "{\"labelled\":{\"features\":2,\"targets\":1}," SUBMITTED_SPEC_REST_ more "}"
#define SUBMITTED_SPEC_REST_                                                                       \
    "\"network\":{\"layers\":[{\"linear\":{\"width\":4}},{\"activation\":{\"kind\":\"csilu\"}}]}," \
    "\"optimiser\":{\"beta1\":0.9,\"beta2\":0.999,\"epsilon\":1e-8},"                              \
    "\"schedule\":{\"constant\":{\"learning_rate\":0.001}},\"commit_plan\":{\"final_commit\":{}}," \
    "\"init_seed\":1,\"version_bump\":\"patch\",\"arithmetic_profile\":\"mr-f32-v1\","
#define SUBMITTED_KEEP "\"dtype_policy\":\"keep\""
#define SUBMITTED_CAST "\"dtype_policy\":\"cast_to_bfloat16\""

/* A SUBMITTED_*_SPEC with the JSON member of another commit plan; in a static buffer. */
const char *submitted_planned(const char *spec, const char *plan);

/* The packed message; the caller frees it (mr_buffer_deinit). Fails the test when the JSON is none. */
struct mr_buffer submitted_bytes(const char *format, ...) MR_PRINTF(1, 2);

struct mr_buffer submitted_start(const char *run, const char *model, const char *spec);
struct mr_buffer submitted_stop(const char *run, const char *model);
/* `payload` is the JSON member of the payload; `producer` one of the producer with its comma, or "". */
struct mr_buffer submitted_batch(const char *run, const char *model, const char *producer, const char *payload);
/* One row of the labelled spec; its targets are `target` and 1. */
struct mr_buffer submitted_labelled(const char *run, const char *model, float target);

/* Little-endian float32 as hexadecimal, for a tensor's data; in one of four static buffers. */
const char *submitted_floats(const float *values, size_t count);

#endif
