/* An option contract and its prices. A public header: installed with the client library, for C and C++. */
#ifndef MR_CONTRACT_H
#define MR_CONTRACT_H

#include "millrace/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The order of a contract's fields in every row: spot, strike, maturity in years, rate, dividend yield, volatility. */
enum { MR_CONTRACT_FIELDS = 6 };
enum mr_contract_field {
    MR_CONTRACT_X0 = 0,
    MR_CONTRACT_K,
    MR_CONTRACT_T,
    MR_CONTRACT_R,
    MR_CONTRACT_D,
    MR_CONTRACT_V,
};
/* "X0", "K", "T", "r", "d", "v". */
MR_API const char *mr_contract_field_text(enum mr_contract_field field);

struct mr_bound {
    float lower, upper; /* inclusive */
};

struct mr_price {
    double call, put;
};

/* A contract that the model does not price: the row and the field that is outside the domain or not finite. */
struct mr_contract_fault {
    uint64_t row;
    enum mr_contract_field field;
    float value;
    struct mr_bound bound;
};

#ifdef __cplusplus
}
#endif

#endif
