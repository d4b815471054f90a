/* Prices by COS from a characteristic function, by mean payoff, and in closed form. */
#include "millrace/pricing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "millrace/network.h"
#include "millrace/profile.h"

static const double pi = 3.14159265358979323846;

struct mr_pricer {
    struct mr_run_spec spec;
    struct mr_network network;
    float weights[];
};

struct mr_error mr_pricer_new(const struct mr_checkpoint *checkpoint, struct mr_pricer **ret_pricer)
{
    if (checkpoint->spec.job != MR_JOB_PRICING) {
        return mr_error_make(MR_ERROR_REJECT, "not_a_pricing_model", 0,
                             "the model's job is labelled: it has learned no prices");
    }
    struct mr_pricer *pricer = malloc(sizeof *pricer + checkpoint->parameters * sizeof(float));
    if (pricer == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory for a pricer");
    }
    pricer->spec = checkpoint->spec;
    mr_network_plan(&pricer->spec, &pricer->network);
    memcpy(pricer->weights, checkpoint->weights, checkpoint->parameters * sizeof(float));
    *ret_pricer = pricer;
    return mr_ok();
}

void mr_pricer_free(struct mr_pricer *pricer)
{
    free(pricer);
}

/* ---- COS -------------------------------------------------------------------------------------------------- */

/* The integral of e^x cos(u (x - a)) over [a, k]. */
static double cos_chi(double u, double a, double k)
{
    const double angle = u * (k - a);
    return (cos(angle) * exp(k) - exp(a) + u * sin(angle) * exp(k)) / (1.0 + u * u);
}

/* The integral of cos(u (x - a)) over [a, k]. */
static double cos_psi(double u, double a, double k)
{
    return u == 0.0 ? k - a : sin(u * (k - a)) / u;
}

/* The undiscounted put: the sum over j of Re(phi_j e^(i j pi/2)) times the payoff's coefficient, the first halved. */
static double cos_put(const struct mr_cos_terms *terms)
{
    const double half = terms->width * terms->deviation;
    const double strike_log = log(terms->strike / terms->forward);
    const double k = strike_log > half ? half : strike_log;
    double sum = 0.0;
    if (strike_log <= -half) {
        return 0.0;
    }
    for (uint32_t j = 0; j < terms->frequencies; j++) {
        const double u = j * pi / (2.0 * half);
        const double re = j == 0 ? 1.0 : terms->phi_re[j];
        const double im = j == 0 ? 0.0 : terms->phi_im[j];
        /* cos and sin of j pi/2 */
        const double c = j % 2 == 1 ? 0.0 : j % 4 == 0 ? 1.0 : -1.0;
        const double s = j % 2 == 0 ? 0.0 : j % 4 == 1 ? 1.0 : -1.0;
        const double payoff = terms->strike * cos_psi(u, -half, k) - terms->forward * cos_chi(u, -half, k);
        sum += (j == 0 ? 0.5 : 1.0) * (re * c - im * s) * payoff / half;
    }
    return sum;
}

struct mr_price mr_cos_price(const struct mr_cos_terms *terms)
{
    const double carry = terms->forward - terms->strike;
    const double put = terms->deviation < 1e-6 ? (carry < 0.0 ? -carry : 0.0) : cos_put(terms);
    return (struct mr_price){.call = terms->discount * (put + carry), .put = terms->discount * put};
}

void mr_gbm_characteristic_function(double deviation, double width, uint32_t frequencies, double *ret_re,
                                    double *ret_im)
{
    for (uint32_t j = 0; j < frequencies; j++) {
        const double w = j * pi / (2.0 * width);
        ret_re[j] = exp(-w * w / 2.0) * cos(w * deviation / 2.0);
        ret_im[j] = -exp(-w * w / 2.0) * sin(w * deviation / 2.0);
    }
}

/* ---- A trained model --------------------------------------------------------------------------------------- */

/* Where one contract's evaluation happens. */
struct room {
    float *scratch, *re, *im;
    double *phi_re, *phi_im;
};

static void room_deinit(struct room *room)
{
    free(room->scratch);
    free(room->phi_re);
}

static struct mr_error room_init(const struct mr_network *network, struct room *ret_room)
{
    const size_t outputs = network->outputs;
    const size_t scratch = mr_network_scratch(network);
    struct room room = {malloc((scratch + 2 * outputs) * sizeof(float)), NULL, NULL,
                        malloc(2 * outputs * sizeof(double)), NULL};
    if (room.scratch == NULL || room.phi_re == NULL) {
        room_deinit(&room);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "no memory to price");
    }
    room.re = room.scratch + scratch;
    room.im = room.re + outputs;
    room.phi_im = room.phi_re + outputs;
    *ret_room = room;
    return mr_ok();
}

static struct mr_price price_by_cos(const struct mr_pricing_job *job, const struct mr_cos_terms *market,
                                    const struct room *room)
{
    struct mr_cos_terms terms = *market;
    const double width = (double)job->characteristic_function.width;
    terms.width = width;
    terms.frequencies = job->characteristic_function.frequencies;
    terms.phi_re = room->phi_re;
    terms.phi_im = room->phi_im;
    for (uint32_t j = 0; j < terms.frequencies; j++) {
        const double w = j * pi / (2.0 * width);
        const bool enveloped = job->characteristic_function.envelope == MR_ENVELOPE_GAUSSIAN;
        const double base = enveloped ? exp(-w * w / 2.0) : 0.0;
        const double scale = enveloped ? exp(-w * w / 4.0) : 1.0;
        room->phi_re[j] = base + scale * (double)room->re[j];
        room->phi_im[j] = scale * (double)room->im[j];
    }
    return mr_cos_price(&terms);
}

/* The mean discounted payoff is the first Fourier coefficient over N; the call by parity. */
static struct mr_price price_by_payoff(const struct mr_pricing_job *job, const struct mr_cos_terms *market,
                                       const struct room *room)
{
    const double carry = market->forward - market->strike;
    if (market->deviation < 1e-6) {
        return mr_cos_price(market);
    }
    const double put = (double)room->re[0] / job->payoff_fft.network_size;
    return (struct mr_price){.call = put + market->discount * carry, .put = put};
}

static struct mr_price price_one(const struct mr_pricer *pricer, const float *contract, const struct room *room)
{
    const struct mr_pricing_job *job = &pricer->spec.pricing;
    const double years = (double)contract[MR_CONTRACT_T];
    const double rate = (double)contract[MR_CONTRACT_R];
    const double dividend = (double)contract[MR_CONTRACT_D];
    const struct mr_cos_terms market = {
        .forward = (double)contract[MR_CONTRACT_X0] * exp((rate - dividend) * years),
        .strike = (double)contract[MR_CONTRACT_K],
        .discount = exp(-rate * years),
        .deviation = (double)contract[MR_CONTRACT_V] * sqrt(years),
    };
    float inputs[MR_CONTRACT_FIELDS];
    mr_network_scale(job, contract, inputs);
    mr_network_forward(&pricer->network, pricer->weights, inputs, room->scratch, room->re, room->im);
    switch (job->target) {
    case MR_TARGET_CHARACTERISTIC_FUNCTION: return price_by_cos(job, &market, room);
    case MR_TARGET_PAYOFF_FFT: return price_by_payoff(job, &market, room);
    }
    mr_unreachable(__func__);
}

static struct mr_error check_contracts(const struct mr_pricing_job *job, const float *contracts, uint64_t rows,
                                       struct mr_contract_fault *ret_fault)
{
    for (uint64_t i = 0; i < rows * MR_CONTRACT_FIELDS; i++) {
        const enum mr_contract_field field = (enum mr_contract_field)(i % MR_CONTRACT_FIELDS);
        const struct mr_bound bound = job->domain[field];
        /* NaN fails both comparisons. */
        if (!(contracts[i] >= bound.lower && contracts[i] <= bound.upper)) {
            *ret_fault = (struct mr_contract_fault){i / MR_CONTRACT_FIELDS, field, contracts[i], bound};
            return mr_error_make(MR_ERROR_REJECT, "out_of_domain", 0,
                                 "row %llu: %s = %.9g is outside the model's domain [%.9g, %.9g]",
                                 (unsigned long long)ret_fault->row, mr_contract_field_text(field),
                                 (double)contracts[i], (double)bound.lower, (double)bound.upper);
        }
    }
    return mr_ok();
}

struct mr_error mr_pricer_price(const struct mr_pricer *pricer, const float *contracts, uint64_t rows,
                                struct mr_price *ret_prices, struct mr_contract_fault *ret_fault)
{
    struct room room = {0};
    MR_TRY(check_contracts(&pricer->spec.pricing, contracts, rows, ret_fault));
    MR_TRY(room_init(&pricer->network, &room));
    MR_ASSERT(room.re != NULL);
    for (uint64_t i = 0; i < rows; i++) {
        ret_prices[i] = price_one(pricer, contracts + i * MR_CONTRACT_FIELDS, &room);
    }
    room_deinit(&room);
    return mr_ok();
}

/* ---- Closed form ------------------------------------------------------------------------------------------- */

static double normal_below(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

struct mr_price mr_black_scholes(const double contract[MR_CONTRACT_FIELDS])
{
    const double years = contract[MR_CONTRACT_T];
    const double strike = contract[MR_CONTRACT_K];
    const double forward = contract[MR_CONTRACT_X0] * exp((contract[MR_CONTRACT_R] - contract[MR_CONTRACT_D]) * years);
    const double discount = exp(-contract[MR_CONTRACT_R] * years);
    const double deviation = contract[MR_CONTRACT_V] * sqrt(years);
    if (deviation == 0.0) {
        const double carry = forward - strike;
        return (struct mr_price){.call = discount * (carry > 0.0 ? carry : 0.0),
                                 .put = discount * (carry < 0.0 ? -carry : 0.0)};
    }
    const double above = log(forward / strike) / deviation + deviation / 2.0;
    const double below = above - deviation;
    return (struct mr_price){
        .call = discount * (forward * normal_below(above) - strike * normal_below(below)),
        .put = discount * (strike * normal_below(-below) - forward * normal_below(-above)),
    };
}
