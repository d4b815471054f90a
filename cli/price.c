/* millrace price: calls and puts of contracts, from a version that is loaded and checked against its hash. */
#include "cli_table.h"
#include "cli_version.h"
#include "contracts_csv.h"

#include "millrace/checkpoint.h"
#include "millrace/pricing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_ROWS = 4096, ROWS_MAX = 10 * 1000 * 1000 };

struct price_config {
    const char *store, *model, *version, *contracts, *compare, *format;
};
#define TYPE struct price_config
static const struct mr_option rows[] = {
    CLI_ROW_TEXT(TYPE, "store", store, NULL, "Object store: file:///dir or s3://bucket/prefix."),
    CLI_ROW_TEXT(TYPE, "model", model, NULL, "Model id."),
    CLI_ROW_TEXT(TYPE, "version", version, "head", "head, a counter, or a version id."),
    CLI_ROW_TEXT(TYPE, "contracts", contracts, "", "CSV with the header X0,K,T,r,d,v; - is standard input."),
    CLI_ROW(TYPE, "compare", compare, MR_OPTION_CHOICE, "none", 0, 0, "none|black-scholes",
            "Adds the closed form's prices, reference_call and reference_put."),
    CLI_ROW_FORMAT(TYPE),
};
static const struct mr_option_table table = {"millrace price", "Calls and puts from any version of a model.", rows,
                                             MR_COUNT_OF(rows)};

struct contracts {
    float (*rows)[MR_CONTRACT_FIELDS];
    size_t count;
};

static struct mr_error read_all(struct cli_contracts_csv *csv, struct contracts *contracts)
{
    size_t read = CHUNK_ROWS;
    while (read == CHUNK_ROWS) {
        if (contracts->count > ROWS_MAX - CHUNK_ROWS) {
            return mr_error_make(MR_ERROR_REJECT, "too_large", 0, "at most %d contracts at once", ROWS_MAX);
        }
        void *grown = realloc(contracts->rows, (contracts->count + CHUNK_ROWS) * sizeof *contracts->rows);
        if (grown == NULL) {
            return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "contracts");
        }
        contracts->rows = grown;
        MR_TRY(cli_contracts_csv_read(csv, CHUNK_ROWS, contracts->rows + contracts->count, &read));
        contracts->count += read;
    }
    return mr_ok();
}

static struct mr_error contracts_of_file(const char *path, struct contracts *contracts)
{
    struct cli_contracts_csv csv;
    MR_TRY(cli_contracts_csv_open(path, &csv));
    const struct mr_error error = read_all(&csv, contracts);
    cli_contracts_csv_close(&csv);
    return error;
}

static struct mr_error contract_of_words(const struct cli_rest *rest, struct contracts *contracts)
{
    contracts->rows = calloc(1, sizeof *contracts->rows);
    if (contracts->rows == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a contract");
    }
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        const char *word = rest->words[i];
        if (!cli_parse_float(word, strlen(word), &contracts->rows[0][i])) {
            return mr_error_make(MR_ERROR_REJECT, "bad_number", 0, "%s: \"%.40s\" is no finite number",
                                 mr_contract_field_text((enum mr_contract_field)i), word);
        }
    }
    contracts->count = 1;
    return mr_ok();
}

static struct mr_error load_pricer(const struct price_config *config, struct mr_store *store,
                                   struct mr_pricer **ret_pricer)
{
    struct mr_version_choice choice;
    MR_TRY(cli_version_choice(config->version, &choice));
    struct mr_buffer bytes = {0};
    struct mr_version_entry entry;
    struct mr_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    struct mr_error error = checkpoint == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a checkpoint")
                                               : mr_version_load(store, config->model, choice, &bytes, &entry);
    if (!mr_failed(error)) {
        error = mr_checkpoint_decode(mr_buffer_view(&bytes), checkpoint);
    }
    mr_buffer_deinit(&bytes);
    if (!mr_failed(error)) {
        error = mr_pricer_new(checkpoint, ret_pricer);
    }
    if (checkpoint != NULL) {
        mr_checkpoint_deinit(checkpoint);
    }
    free(checkpoint);
    return error;
}

/* ---- Answers ------------------------------------------------------------------------------------------- */

enum { FLOAT_TEXT_SIZE = 32 };

/* A float32 as the shortest decimal that reads as the same float32, so that 0.1 stays 0.1. */
static const char *float_text(float value, char ret_text[FLOAT_TEXT_SIZE])
{
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(ret_text, FLOAT_TEXT_SIZE, "%.*g", digits, (double)value);
        if (strtof(ret_text, NULL) == value) {
            break;
        }
    }
    return ret_text;
}

static json_t *float_json(float value)
{
    char text[FLOAT_TEXT_SIZE];
    return json_real(strtod(float_text(value, text), NULL));
}

/* A contract that the model does not know: which one, for people who count lines of a file. */
static struct mr_error out_of_domain(const struct price_config *config, const struct mr_contract_fault *fault)
{
    const bool of_file = config->contracts[0] != '\0';
    char value[FLOAT_TEXT_SIZE], lower[FLOAT_TEXT_SIZE], upper[FLOAT_TEXT_SIZE];
    return mr_error_make(MR_ERROR_REJECT, "out_of_domain", 0,
                         "%.60s%srow %" PRIu64 "%s: %s = %s is outside the model's domain [%s, %s]", config->contracts,
                         of_file ? " " : "", fault->row, of_file ? ", counted from 0 behind the header" : "",
                         mr_contract_field_text(fault->field), float_text(fault->value, value),
                         float_text(fault->bound.lower, lower), float_text(fault->bound.upper, upper));
}

static bool compares(const struct price_config *config)
{
    return strcmp(config->compare, "none") != 0;
}

static struct mr_price reference_of(const float contract[MR_CONTRACT_FIELDS])
{
    double exact[MR_CONTRACT_FIELDS];
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        exact[i] = (double)contract[i];
    }
    return mr_black_scholes(exact);
}

static json_t *contract_json(const struct price_config *config, const float contract[MR_CONTRACT_FIELDS],
                             const struct mr_price *price)
{
    json_t *object = json_object();
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        json_object_set_new(object, mr_contract_field_text((enum mr_contract_field)i), float_json(contract[i]));
    }
    json_object_set_new(object, "call", cli_json_real(price->call));
    json_object_set_new(object, "put", cli_json_real(price->put));
    if (compares(config)) {
        const struct mr_price reference = reference_of(contract);
        json_object_set_new(object, "reference_call", cli_json_real(reference.call));
        json_object_set_new(object, "reference_put", cli_json_real(reference.put));
    }
    return object;
}

static int print_json(const struct price_config *config, const struct contracts *contracts,
                      const struct mr_price *prices)
{
    json_t *array = json_array();
    for (size_t i = 0; i < contracts->count; i++) {
        json_array_append_new(array, contract_json(config, contracts->rows[i], &prices[i]));
    }
    return cli_print_json(array, false);
}

static struct mr_error add_row(const struct price_config *config, struct cli_table *out,
                               const float contract[MR_CONTRACT_FIELDS], const struct mr_price *price)
{
    for (size_t i = 0; i < MR_CONTRACT_FIELDS; i++) {
        MR_TRY(cli_table_add(out, "%.6g", (double)contract[i]));
    }
    MR_TRY(cli_table_add(out, "%.6f", price->call));
    MR_TRY(cli_table_add(out, "%.6f", price->put));
    if (!compares(config)) {
        return mr_ok();
    }
    const struct mr_price reference = reference_of(contract);
    MR_TRY(cli_table_add(out, "%.6f", reference.call));
    return cli_table_add(out, "%.6f", reference.put);
}

static int print_table(const struct price_config *config, const struct contracts *contracts,
                       const struct mr_price *prices)
{
    static const char *const titles[] = {
        ">X0", ">K", ">T", ">r", ">d", ">v", ">CALL", ">PUT", ">REFERENCE CALL", ">REFERENCE PUT"};
    struct cli_table out;
    cli_table_init(&out, titles, MR_COUNT_OF(titles) - (compares(config) ? 0 : 2));
    struct mr_error error = mr_ok();
    for (size_t i = 0; i < contracts->count && !mr_failed(error); i++) {
        error = add_row(config, &out, contracts->rows[i], &prices[i]);
    }
    if (!mr_failed(error)) {
        cli_table_print(&out, stdout);
    }
    cli_table_deinit(&out);
    return mr_failed(error) ? cli_fail(&error) : MR_EXIT_OK;
}

static int price(const struct price_config *config, const struct mr_pricer *pricer, const struct contracts *contracts)
{
    struct mr_price *prices = calloc(contracts->count + 1, sizeof *prices);
    struct mr_contract_fault fault;
    struct mr_error error = prices == NULL ? mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "prices")
                                           : mr_pricer_price(pricer, contracts->count == 0 ? NULL : contracts->rows[0],
                                                             contracts->count, prices, &fault);
    if (mr_failed(error) && strcmp(error.code, "out_of_domain") == 0) {
        error = out_of_domain(config, &fault);
    }
    const int code = mr_failed(error)                 ? cli_fail(&error)
                     : cli_wants_json(config->format) ? print_json(config, contracts, prices)
                                                      : print_table(config, contracts, prices);
    free(prices);
    return code;
}

static int run(const void *options, const struct cli_rest *rest)
{
    const struct price_config *config = options;
    if ((config->contracts[0] != '\0') == (rest->count > 0) || (rest->count > 0 && rest->count != MR_CONTRACT_FIELDS)) {
        return cli_usage("millrace price: give either --contracts FILE.csv, or the six numbers X0 K T r d v");
    }
    struct contracts contracts = {0};
    struct mr_store *store = NULL;
    struct mr_pricer *pricer = NULL;
    struct mr_error error =
        rest->count > 0 ? contract_of_words(rest, &contracts) : contracts_of_file(config->contracts, &contracts);
    if (!mr_failed(error)) {
        error = mr_store_open(config->store, &store);
    }
    if (!mr_failed(error)) {
        error = load_pricer(config, store, &pricer);
    }
    const int code = mr_failed(error) ? cli_fail(&error) : price(config, pricer, &contracts);
    mr_pricer_free(pricer);
    mr_store_close(store);
    free(contracts.rows);
    return code;
}

const struct cli_verb cli_verb_price = {"price", "[X0 K T r d v]", MR_CONTRACT_FIELDS, &table, sizeof(TYPE), run};
