/* Sobol points in six dimensions: Joe and Kuo's directions in Gray-code order, with a scramble of our own. */
#ifndef MR_SOBOL_H
#define MR_SOBOL_H

#include "millrace/spec.h"

enum { MR_SOBOL_DIMENSIONS = 6 };
/* Indices below this exist. */
#define MR_SOBOL_INDEX_END ((uint64_t)1 << 32)

/* Point `index` (< MR_SOBOL_INDEX_END), unscrambled: a fraction of 2^32 per dimension. */
void mr_sobol_raw(uint64_t index, uint32_t ret_point[MR_SOBOL_DIMENSIONS]);
/* The same after the nested uniform scramble that `seed` selects (docs/numerics.md). */
void mr_sobol_scrambled(uint64_t index, uint64_t seed, uint32_t ret_point[MR_SOBOL_DIMENSIONS]);
/* A contract of the job's domain: point `index` of its scrambled sequence. Never outside the bounds. */
void mr_sobol_contract(const struct mr_pricing_job *job, uint64_t index, float ret_contract[MR_CONTRACT_FIELDS]);

#endif
