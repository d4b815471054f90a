/* Option prices: from a trained model, from a characteristic function by COS, and in closed form. */
#ifndef MR_PRICING_H
#define MR_PRICING_H

#include "millrace/base.h"
#include "millrace/checkpoint.h"
#include "millrace/contract.h"
#include "millrace/spec.h"

/* A model ready to price; many threads may use one at once. It keeps its own copy of what it needs. */
struct mr_pricer;
/* REJECT "not_a_pricing_model" for a labelled job. */
MR_MUST_USE struct mr_error mr_pricer_new(const struct mr_checkpoint *checkpoint, struct mr_pricer **ret_pricer);
void mr_pricer_free(struct mr_pricer *pricer);
/* Prices `rows` contracts of six floats. All are checked first: REJECT "out_of_domain" names row and field in the
 * detail and in `ret_fault`, and nothing is priced. */
MR_MUST_USE struct mr_error mr_pricer_price(const struct mr_pricer *pricer, const float *contracts, uint64_t rows,
                                            struct mr_price *ret_prices, struct mr_contract_fault *ret_fault);

/* The COS method (Fang and Oosterlee) on [-c s, c s] of x = log(S_T/F): phi_j = E[exp(i w_j x/s)], w_j = j pi/(2c),
 * phi_0 is taken as 1. The call follows by parity. s < 1e-6 prices the discounted intrinsic value on the forward. */
struct mr_cos_terms {
    double forward, strike, discount;
    double deviation; /* s = v sqrt(T) */
    double width;     /* c */
    uint32_t frequencies;
    const double *phi_re, *phi_im;
};
struct mr_price mr_cos_price(const struct mr_cos_terms *terms);

/* The characteristic function of geometric Brownian motion in the same terms: exp(-(w_j^2 + i w_j s)/2). */
void mr_gbm_characteristic_function(double deviation, double width, uint32_t frequencies, double *ret_re,
                                    double *ret_im);

/* Black and Scholes with dividend yield, in double, for comparison only. */
struct mr_price mr_black_scholes(const double contract[MR_CONTRACT_FIELDS]);

#endif
