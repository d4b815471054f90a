/* Joe and Kuo's directions (new-joe-kuo-6) for six dimensions, and a nested uniform scramble by hashing. */
#include "millrace/sobol.h"

#include "millrace/profile.h"

enum { SOBOL_BITS = 32 };

/* Of dimensions 2 to 6: degree and coefficients of the primitive polynomial, and the first direction numbers. */
static const struct {
    uint32_t degree, coefficients, first[4];
} polynomials[MR_SOBOL_DIMENSIONS - 1] = {
    {1, 0, {1}}, {2, 1, {1, 3}}, {3, 1, {1, 3, 1}}, {3, 2, {1, 1, 1}}, {4, 1, {1, 1, 3, 3}},
};

/* Direction `bit` of each dimension after the first, from those before it (Bratley and Fox's recurrence). */
static void directions_of(uint32_t dimension, uint32_t ret_directions[SOBOL_BITS])
{
    const uint32_t degree = polynomials[dimension - 1].degree;
    for (uint32_t bit = 0; bit < SOBOL_BITS; bit++) {
        if (bit < degree) {
            ret_directions[bit] = polynomials[dimension - 1].first[bit] << (SOBOL_BITS - 1 - bit);
            continue;
        }
        uint32_t direction = ret_directions[bit - degree] ^ (ret_directions[bit - degree] >> degree);
        for (uint32_t k = 1; k < degree; k++) {
            if ((polynomials[dimension - 1].coefficients >> (degree - 1 - k) & 1u) != 0) {
                direction ^= ret_directions[bit - k];
            }
        }
        ret_directions[bit] = direction;
    }
}

void mr_sobol_raw(uint64_t index, uint32_t ret_point[MR_SOBOL_DIMENSIONS])
{
    const uint32_t gray = (uint32_t)(index ^ (index >> 1));
    ret_point[0] = 0;
    for (uint32_t bit = 0; bit < SOBOL_BITS; bit++) {
        ret_point[0] ^= (gray >> bit & 1u) << (SOBOL_BITS - 1 - bit);
    }
    for (uint32_t dimension = 1; dimension < MR_SOBOL_DIMENSIONS; dimension++) {
        uint32_t directions[SOBOL_BITS];
        directions_of(dimension, directions);
        ret_point[dimension] = 0;
        for (uint32_t bit = 0; bit < SOBOL_BITS; bit++) {
            ret_point[dimension] ^= (0u - (gray >> bit & 1u)) & directions[bit];
        }
    }
}

static uint32_t reversed(uint32_t x)
{
    x = (x >> 16) | (x << 16);
    x = ((x & 0x00ff00ffu) << 8) | ((x & 0xff00ff00u) >> 8);
    x = ((x & 0x0f0f0f0fu) << 4) | ((x & 0xf0f0f0f0u) >> 4);
    x = ((x & 0x33333333u) << 2) | ((x & 0xccccccccu) >> 2);
    return ((x & 0x55555555u) << 1) | ((x & 0xaaaaaaaau) >> 1);
}

/* Laine and Karras's permutation with Vegdahl's constants: a bit depends on those below it alone, so that on reversed
 * bits it is a nested uniform (Owen) scramble. */
static uint32_t permuted(uint32_t x, uint32_t seed)
{
    x ^= x * 0x3d20adeau;
    x += seed;
    x *= (seed >> 16) | 1u;
    x ^= x * 0x05526c56u;
    x ^= x * 0x53a22864u;
    return x;
}

void mr_sobol_scrambled(uint64_t index, uint64_t seed, uint32_t ret_point[MR_SOBOL_DIMENSIONS])
{
    mr_sobol_raw(index, ret_point);
    for (uint32_t dimension = 0; dimension < MR_SOBOL_DIMENSIONS; dimension++) {
        const struct mr_philox_words counter = {{dimension, (uint32_t)MR_STREAM_SCRAMBLE << 24, 0, 0}};
        const uint32_t key = mr_philox(counter, seed).word[0];
        ret_point[dimension] = reversed(permuted(reversed(ret_point[dimension]), key));
    }
}

void mr_sobol_contract(const struct mr_pricing_job *job, uint64_t index, float ret_contract[MR_CONTRACT_FIELDS])
{
    uint32_t point[MR_SOBOL_DIMENSIONS];
    mr_sobol_scrambled(index, job->sobol_seed, point);
    for (uint32_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        const struct mr_bound bound = job->domain[i];
        const float value = mr_fma(mr_uniform(point[i]), bound.upper - bound.lower, bound.lower);
        ret_contract[i] = value > bound.upper ? bound.upper : value;
    }
}
