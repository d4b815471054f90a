/* Run specs that tests begin from. */
#ifndef SAMPLE_SPEC_H
#define SAMPLE_SPEC_H

#include "millrace/spec.h"

/* JSON of small, good specs. */
extern const char sample_pricing_json[];
extern const char sample_payoff_json[];
extern const char sample_labelled_json[];

/* `json` with the first `find` replaced; the caller frees it. Fails the test when `find` is not in it. */
char *sample_replaced(const char *json, const char *find, const char *replace);
/* From JSON through wire to a checked spec; fails the test when it is refused. */
struct mr_run_spec sample_spec(const char *json);
/* The same with one text replaced. */
struct mr_run_spec sample_spec_with(const char *json, const char *find, const char *replace);

#endif
