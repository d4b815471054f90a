/* The state of one partition: the open run of each of its models, and its spec. It is the fold of validate's own output
 * (rule O5). No I/O. */
#ifndef VALIDATE_MEMORY_H
#define VALIDATE_MEMORY_H

#include "validate_codec.h"

struct validate_memory;

/* NULL: out of memory. */
MR_MUST_USE struct validate_memory *validate_memory_new(void);
void validate_memory_free(struct validate_memory *memory);

/* The run that the record names; *ret_spec is its spec if it is OPEN, until the next validated record of the model. */
enum validate_run validate_memory_run(const struct validate_memory *memory, const struct validate_record *record,
                                      const struct mr_run_spec **ret_spec);
/* Adds what a validated record changes: a start opens its run, a stop closes it. `spec` is of a start. TRANSIENT
 * "out_of_memory": then nothing has changed. */
MR_MUST_USE struct mr_error validate_memory_accept(struct validate_memory *memory, const struct validate_record *record,
                                                   const struct mr_run_spec *spec);

/* A model's share of the memory, as bytes (millrace.fold.v1.ValidateModel); none of a model that is not known. */
MR_MUST_USE struct mr_error validate_memory_save(const struct validate_memory *memory, const char *model_id,
                                                 struct mr_buffer *state);
/* Gives it to a memory. REJECT "bad_state": then nothing has changed. */
MR_MUST_USE struct mr_error validate_memory_load(struct validate_memory *memory, const char *model_id,
                                                 struct mr_bytes state);

#endif
