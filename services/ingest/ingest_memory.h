/* The state of one partition: open runs, run ids, producers and replays of its models. It is the fold of ingest's own
 * output (rule O5): records that were accepted, in order, and nothing else, change it. No I/O. */
#ifndef INGEST_MEMORY_H
#define INGEST_MEMORY_H

#include "ingest_codec.h"

struct ingest_memory;

/* `seed` makes the places of names in the table unforeseeable to those who choose them. NULL: out of memory. */
MR_MUST_USE struct ingest_memory *ingest_memory_new(uint64_t seed);
void ingest_memory_free(struct ingest_memory *memory);

/* What the memory says about the names in a record. */
struct ingest_view ingest_memory_view(const struct ingest_memory *memory, const struct ingest_record *record);
/* Adds what an accepted record changes (ingest_change_of). FATAL "out_of_memory": then nothing has changed. */
MR_MUST_USE struct mr_error ingest_memory_accept(struct ingest_memory *memory, const struct ingest_record *record);

/* A model's share of the memory, as bytes (millrace.fold.v1.IngestModel); none of a model that is not known. */
MR_MUST_USE struct mr_error ingest_memory_save(const struct ingest_memory *memory, const char *model_id,
                                               struct mr_buffer *state);
/* Gives it to a memory that does not know the model. REJECT "bad_state": then nothing has changed. */
MR_MUST_USE struct mr_error ingest_memory_load(struct ingest_memory *memory, const char *model_id,
                                               struct mr_bytes state);

#endif
