/* A contract's paths and what they say: the target of one row. Part of cpu_kernels.c. */
#ifndef CPU_SIMULATE_H
#define CPU_SIMULATE_H

#include <string.h>

#include "cpu_kernels.h"

/* What the paths of one contract share. */
struct cpu_market {
    float years, drift, volatility; /* T, r - d, v */
    float deviation;                /* s = v sqrt(T) */
    float strike, spot, discount;
    uint64_t counter; /* of the contract, in the random number generator */
};

/* Below this s, x/s has no meaning (rule P1). */
#define CPU_DEVIATION_MIN 1e-6f

static inline struct cpu_market cpu_market_of(const float contract[MR_CONTRACT_FIELDS], uint64_t counter)
{
    const float years = contract[MR_CONTRACT_T];
    return (struct cpu_market){.years = years,
                               .drift = contract[MR_CONTRACT_R] - contract[MR_CONTRACT_D],
                               .volatility = contract[MR_CONTRACT_V],
                               .deviation = contract[MR_CONTRACT_V] * mr_sqrt(years),
                               .strike = contract[MR_CONTRACT_K],
                               .spot = contract[MR_CONTRACT_X0],
                               .discount = mr_exp(-(contract[MR_CONTRACT_R] * years)),
                               .counter = counter};
}

/* Normals of a chunk's paths at one time step. Block q of the generator (c0 = chunk * blocks + q) gives the normals
 * q, q + blocks, q + 2 blocks and q + 3 blocks. Antithetic: the second half of the paths is the first, negated. */
static inline void cpu_normals(const struct mr_simulation *simulation, const struct cpu_market *market, uint32_t chunk,
                               uint32_t timestep, uint32_t paths, float *restrict normals)
{
    const uint32_t blocks = simulation->antithetic ? MR_CHUNK_PATHS / 8 : MR_CHUNK_PATHS / 4;
    const uint32_t stream = (uint32_t)MR_STREAM_PATHS << 24 | timestep;
    const uint32_t low = (uint32_t)market->counter;
    const uint32_t high = (uint32_t)(market->counter >> 32);
    const uint64_t seed = simulation->seed;
    for (uint32_t q = 0; q < blocks; q++) {
        const struct mr_philox_words words =
            mr_philox((struct mr_philox_words){{chunk * blocks + q, stream, low, high}}, seed);
        mr_normals(words.word[0], words.word[1], &normals[q], &normals[blocks + q]);
        mr_normals(words.word[2], words.word[3], &normals[2 * blocks + q], &normals[3 * blocks + q]);
    }
    if (simulation->antithetic) {
        const uint32_t half = paths / 2;
        for (size_t p = 0; p < half; p++) {
            normals[half + p] = -normals[p];
        }
    }
}

/* y = x/s with x = log(S_T/F), of every path: in law -s/2 + Z, whatever the number of steps. */
static inline void cpu_log_euler(const struct mr_simulation *simulation, const struct cpu_market *market,
                                 uint32_t chunk, uint32_t paths, struct cpu_room *room)
{
    float *restrict y = room->y;
    const float *restrict normals = room->normals;
    const float spread = 1.0f / mr_sqrt((float)simulation->timesteps);
    const float shift = -0.5f * market->deviation;
    memset(y, 0, MR_CHUNK_PATHS * sizeof *y);
    for (uint32_t timestep = 0; timestep < simulation->timesteps; timestep++) {
        cpu_normals(simulation, market, chunk, timestep, paths, room->normals);
        for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
            y[p] += normals[p];
        }
    }
    for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
        y[p] = mr_fma(spread, y[p], shift);
    }
}

/* S_T/F of every path; exact at y = x/s. */
static inline void cpu_ratios(const struct cpu_market *market, struct cpu_room *room)
{
    const float *restrict y = room->y;
    float *restrict ratio = room->ratio;
    const float deviation = market->deviation;
    for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
        ratio[p] = mr_exp(deviation * y[p]);
    }
}

/* The simple Euler scheme with absolute values, from 1; y from its logarithm. */
static inline void cpu_simple_euler(const struct mr_simulation *simulation, const struct cpu_market *market,
                                    uint32_t chunk, uint32_t paths, struct cpu_room *room)
{
    float *restrict ratio = room->ratio;
    float *restrict y = room->y;
    const float *restrict normals = room->normals;
    const float dt = market->years / (float)simulation->timesteps;
    const float drift = market->drift * dt;
    const float spread = market->volatility * mr_sqrt(dt);
    const float discount = mr_exp(-(market->drift * market->years));
    const float inverse = market->deviation < CPU_DEVIATION_MIN ? 0.0f : 1.0f / market->deviation;
    for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
        ratio[p] = 1.0f;
    }
    for (uint32_t timestep = 0; timestep < simulation->timesteps; timestep++) {
        cpu_normals(simulation, market, chunk, timestep, paths, room->normals);
        for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
            const float growth = mr_fma(spread, normals[p], drift);
            const float next = mr_fma(ratio[p], growth, ratio[p]);
            ratio[p] = next < 0.0f ? -next : next;
        }
    }
    for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
        ratio[p] = ratio[p] * discount;
        y[p] = mr_log(ratio[p]) * inverse;
    }
}

/* y of every path of a chunk, and its ratio S_T/F. Beyond `paths` both are unspecified but finite. */
static inline void cpu_paths(const struct mr_simulation *simulation, const struct cpu_market *market, uint32_t chunk,
                             uint32_t paths, struct cpu_room *room)
{
    switch (simulation->scheme) {
    case MR_SCHEME_LOG_EULER:
        cpu_log_euler(simulation, market, chunk, paths, room);
        cpu_ratios(market, room);
        return;
    case MR_SCHEME_SIMPLE_EULER: cpu_simple_euler(simulation, market, chunk, paths, room); return;
    }
    mr_unreachable(__func__);
}

/* Eight lanes in one register, where there is one. */
typedef float cpu_lanes8 __attribute__((vector_size(32)));

static inline void cpu_add8(cpu_lanes8 *sum, const float *terms)
{
    cpu_lanes8 loaded;
    memcpy(&loaded, terms, sizeof loaded);
    *sum += loaded;
}

/* Rule A5 for one chunk. */
static inline float cpu_chunk_sum(const float *terms, size_t count)
{
    cpu_lanes8 sum[MR_LANES / 8] = {{0}};
    float lanes[MR_LANES];
    size_t at = 0;
    for (; at + MR_LANES <= count; at += MR_LANES) {
        cpu_add8(&sum[0], terms + at);
        cpu_add8(&sum[1], terms + at + 8);
        cpu_add8(&sum[2], terms + at + 16);
        cpu_add8(&sum[3], terms + at + 24);
    }
    memcpy(lanes, sum, sizeof lanes);
    for (size_t lane = 0; at + lane < count; lane++) {
        lanes[lane] += terms[at + lane];
    }
    return mr_sum_lanes(lanes);
}

/* sin and cos of every path at frequency j, from turns. */
static inline void cpu_start_angles(uint32_t j, float turns_per_y, struct cpu_room *room)
{
    const float *restrict y = room->y;
    float *restrict sine = room->sine;
    float *restrict cosine = room->cosine;
    const float frequency = (float)j;
    for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
        mr_sincos_turns(frequency * (y[p] * turns_per_y), &sine[p], &cosine[p]);
    }
}

/* The angle of frequency 1: what each rotation adds. */
static inline void cpu_start_turn(float turns_per_y, struct cpu_room *room)
{
    const float *restrict y = room->y;
    float *restrict sine = room->turn_sine;
    float *restrict cosine = room->turn_cosine;
    for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
        mr_sincos_turns(y[p] * turns_per_y, &sine[p], &cosine[p]);
    }
}

static inline void cpu_rotate(struct cpu_room *room)
{
    float *restrict sine = room->sine;
    float *restrict cosine = room->cosine;
    const float *restrict turn_sine = room->turn_sine;
    const float *restrict turn_cosine = room->turn_cosine;
    for (size_t p = 0; p < MR_CHUNK_PATHS; p++) {
        const float c = mr_fma(cosine[p], turn_cosine[p], -(sine[p] * turn_sine[p]));
        sine[p] = mr_fma(sine[p], turn_cosine[p], cosine[p] * turn_sine[p]);
        cosine[p] = c;
    }
}

/* Sums of cos and sin over the chunk's paths at every frequency, by rotation, restarted (rule A8). */
static inline void cpu_frequencies(const struct cpu_job *job, uint32_t paths, struct cpu_room *room)
{
    const float turns_per_y = 1.0f / (4.0f * job->spec.pricing.characteristic_function.width);
    float *cosines = room->sums;
    float *sines = room->sums + job->outputs;
    cpu_start_turn(turns_per_y, room);
    for (uint32_t j = 0; j < job->outputs; j++) {
        if (j % MR_ROTATION_RESTART == 0) {
            cpu_start_angles(j, turns_per_y, room);
        } else {
            cpu_rotate(room);
        }
        cosines[j] = cpu_chunk_sum(room->cosine, paths);
        sines[j] = cpu_chunk_sum(room->sine, paths);
    }
    cpu_tree_add(&room->cosine_tree, cosines);
    cpu_tree_add(&room->sine_tree, sines);
}

/* Forward normalisation as a phase: e^(-i w_j delta/s), delta = log(mean(S_T)/F) (rule P1). */
static inline void cpu_forward_phase(const struct cpu_job *job, const struct cpu_market *market, float mean,
                                     struct cpu_room *room)
{
    const float turns_per_y = 1.0f / (4.0f * job->spec.pricing.characteristic_function.width);
    if (market->deviation < CPU_DEVIATION_MIN) {
        return;
    }
    const float turns = (mr_log(mean) / market->deviation) * turns_per_y;
    for (uint32_t j = 0; j < job->outputs; j++) {
        float sine;
        float cosine;
        mr_sincos_turns((float)j * turns, &sine, &cosine);
        const float re = room->target_re[j];
        const float im = room->target_im[j];
        room->target_re[j] = mr_fma(re, cosine, im * sine);
        room->target_im[j] = mr_fma(im, cosine, -(re * sine));
    }
}

static inline uint32_t cpu_chunk_paths(uint32_t paths, uint32_t chunk)
{
    const uint32_t left = paths - chunk * MR_CHUNK_PATHS;
    return left < MR_CHUNK_PATHS ? left : MR_CHUNK_PATHS;
}

static inline void cpu_characteristic_function(const struct cpu_job *job, const struct cpu_market *market,
                                               struct cpu_room *room)
{
    const struct mr_simulation *simulation = &job->spec.pricing.simulation;
    const uint32_t paths = job->spec.pricing.characteristic_function.paths;
    cpu_tree_reset(&room->cosine_tree);
    cpu_tree_reset(&room->sine_tree);
    cpu_tree_reset(&room->ratio_tree);
    for (uint32_t chunk = 0; chunk * MR_CHUNK_PATHS < paths; chunk++) {
        const uint32_t count = cpu_chunk_paths(paths, chunk);
        cpu_paths(simulation, market, chunk, count, room);
        const float ratio = cpu_chunk_sum(room->ratio, count);
        cpu_tree_add(&room->ratio_tree, &ratio);
        cpu_frequencies(job, count, room);
    }
    const float *cosines = cpu_tree_total(&room->cosine_tree);
    const float *sines = cpu_tree_total(&room->sine_tree);
    for (uint32_t j = 0; j < job->outputs; j++) {
        room->target_re[j] = cosines[j] / (float)paths;
        room->target_im[j] = sines[j] / (float)paths;
    }
    if (simulation->normalisation == MR_NORMALISATION_FORWARD) {
        cpu_forward_phase(job, market, cpu_tree_total(&room->ratio_tree)[0] / (float)paths, room);
    }
}

/* In-place FFT of target_re, target_im, unnormalised, e^(-2 pi i jk/N): radix 2, decimation in time. */
static inline void cpu_fft(const struct cpu_job *job, struct cpu_room *room)
{
    const uint32_t size = job->outputs;
    float *re = room->target_re;
    float *im = room->target_im;
    for (uint32_t i = 1, j = 0; i < size; i++) {
        uint32_t bit = size / 2;
        for (; (j & bit) != 0; bit /= 2) {
            j ^= bit;
        }
        j ^= bit;
        if (i < j) {
            const float spare = re[i]; /* the input is real */
            re[i] = re[j];
            re[j] = spare;
        }
    }
    for (uint32_t half = 1; half < size; half *= 2) {
        for (uint32_t i = 0; i < size; i++) {
            if ((i & half) != 0) {
                continue;
            }
            const uint32_t k = (i & (half - 1)) * (size / (2 * half));
            const float wr = job->twiddle_re[k];
            const float wi = job->twiddle_im[k];
            const float tr = mr_fma(wr, re[i + half], -(wi * im[i + half]));
            const float ti = mr_fma(wr, im[i + half], wi * re[i + half]);
            re[i + half] = re[i] - tr;
            im[i + half] = im[i] - ti;
            re[i] += tr;
            im[i] += ti;
        }
    }
}

/* Discounted put payoffs, path b N + n added up over b in order for each n, over B; then the FFT along n. */
static inline void cpu_payoff_fft(const struct cpu_job *job, const struct cpu_market *market, struct cpu_room *room)
{
    const struct mr_simulation *simulation = &job->spec.pricing.simulation;
    const uint32_t size = job->outputs;
    const uint32_t batches = job->spec.pricing.payoff_fft.batches;
    const uint32_t paths = size * batches;
    cpu_tree_reset(&room->ratio_tree);
    for (uint32_t chunk = 0; chunk * MR_CHUNK_PATHS < paths; chunk++) {
        const uint32_t count = cpu_chunk_paths(paths, chunk);
        cpu_paths(simulation, market, chunk, count, room);
        const float ratio = cpu_chunk_sum(room->ratio, count);
        cpu_tree_add(&room->ratio_tree, &ratio);
        memcpy(room->paths + (size_t)chunk * MR_CHUNK_PATHS, room->ratio, count * sizeof(float));
    }
    const float forward = market->spot * mr_exp(market->drift * market->years);
    const float mean = cpu_tree_total(&room->ratio_tree)[0] / (float)paths;
    const float scale = simulation->normalisation == MR_NORMALISATION_FORWARD ? forward / mean : forward;
    memset(room->target_re, 0, size * sizeof(float));
    memset(room->target_im, 0, size * sizeof(float));
    for (uint32_t b = 0; b < batches; b++) {
        const float *ratios = room->paths + (size_t)b * size;
        for (uint32_t n = 0; n < size; n++) {
            room->target_re[n] += mr_relu(market->strike - scale * ratios[n]);
        }
    }
    for (uint32_t n = 0; n < size; n++) {
        room->target_re[n] = market->discount * (room->target_re[n] / (float)batches);
    }
    cpu_fft(job, room);
}

static inline void cpu_simulate(const struct cpu_job *job, const float contract[MR_CONTRACT_FIELDS], uint64_t counter,
                                struct cpu_room *room)
{
    const struct cpu_market market = cpu_market_of(contract, counter);
    switch (job->spec.pricing.target) {
    case MR_TARGET_CHARACTERISTIC_FUNCTION: cpu_characteristic_function(job, &market, room); return;
    case MR_TARGET_PAYOFF_FFT: cpu_payoff_fft(job, &market, room); return;
    }
    mr_unreachable(__func__);
}

#endif
