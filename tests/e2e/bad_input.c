/*
 * Sends every kind of bad input to a running stack, between good records of the same model, and checks what became of
 * each: its dead letter's reason, and that the good ones were all trained.
 *
 *   mr_bad_input send BROKERS FOLDER    sends all of it
 *   mr_bad_input stop BROKERS           stops the run, and sends a batch that is too late
 *   mr_bad_input check BROKERS          compares the reasons of the dead letters, prints how many there are
 *
 * send and stop print how many records must be refused.
 *
 * Each bad record carries its expected reason in the header `expect`; dead letters keep headers byte for byte.
 */
#include "millrace/batch/v1/batch.pb-c.h"
#include "millrace/hash.h"
#include "millrace/log_kafka.h"
#include "millrace/topics.h"
#include "submitted.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POISON = 1000, BIG = 900 * 1000 };

#define MODEL "bad"
#define RUN "r1"

struct sender {
    struct mr_log *log;
    const char *folder;
    uint32_t partitions;
    uint64_t sent, expected;
};

static void must(struct mr_error error, const char *what)
{
    if (mr_failed(error)) {
        fprintf(stderr, "%s: %s: %s\n", what, error.code, error.detail);
        exit(EXIT_FAILURE);
    }
}

static struct mr_log *open_log(const char *brokers)
{
    const struct mr_log_kafka_config config = {.brokers = brokers,
                                               .client_id = "mr_bad_input",
                                               .mode = MR_LOG_ASSIGN,
                                               .development_broker = true,
                                               .linger_ms = 1,
                                               .consume = true,
                                               .produce = true};
    struct mr_log *log;
    must(mr_log_kafka_open(&config, &log), "open");
    return log;
}

/* `expect`: the reason of its dead letter; NULL: none, it is good or dropped. */
static void send_to(struct sender *sender, uint32_t partition, const char *key, struct mr_bytes value,
                    const char *expect)
{
    const struct mr_log_header header = {"expect", mr_bytes_of_text(expect == NULL ? "" : expect)};
    const struct mr_log_output output = {
        .topic = MR_TOPIC_SUBMITTED,
        .partition = partition,
        .has_key = key != NULL,
        .key = mr_bytes_of_text(key == NULL ? "" : key),
        .has_value = true,
        .value = value,
        .headers = &header,
        .header_count = 1,
        .token = sender->sent,
    };
    must(sender->log->ops->produce(sender->log, &output), "produce");
    sender->sent++;
    sender->expected += expect != NULL;
    while (sender->log->ops->in_flight(sender->log) > 500) {
        (void)sender->log->ops->poll(sender->log, 100);
    }
}

static void send_keyed(struct sender *sender, const char *key, struct mr_buffer *value, const char *expect)
{
    send_to(sender, mr_partition_of(mr_bytes_of_text(MODEL), sender->partitions), key, mr_buffer_view(value), expect);
    mr_buffer_deinit(value);
}

static void send(struct sender *sender, struct mr_buffer value, const char *expect)
{
    send_keyed(sender, MODEL, &value, expect);
}

static struct mr_buffer contracts_of(const char *producer, const char *dtype, unsigned rows, unsigned columns,
                                     const float *values, size_t count)
{
    char payload[4096];
    snprintf(payload, sizeof payload, "\"contracts\":{\"rows\":{\"dtype\":\"%s\",\"shape\":[%u,%u],\"data\":\"%s\"}}",
             dtype, rows, columns, submitted_floats(values, count));
    return submitted_batch(RUN, MODEL, producer, payload);
}

static const float good_row[] = {100, 110, 1, 0.05f, 0.02f, 0.2f};

static void send_good(struct sender *sender)
{
    send(sender, contracts_of("", "float32", 1, 6, good_row, 6), NULL);
}

/* A good row but for one field. */
static void send_row(struct sender *sender, unsigned field, float value, const char *expect)
{
    float row[6];
    memcpy(row, good_row, sizeof row);
    row[field] = value;
    send(sender, contracts_of("", "float32", 1, 6, row, 6), expect);
}

static void send_sequence(struct sender *sender, unsigned epoch, unsigned sequence)
{
    char producer[96];
    snprintf(producer, sizeof producer, "\"producer\":{\"producer_id\":\"p\",\"epoch\":%u,\"sequence\":%u},", epoch,
             sequence);
    send(sender, contracts_of(producer, "float32", 1, 6, good_row, 6), NULL);
}

static void send_claim(struct sender *sender, const char *file, unsigned size, const uint8_t sha[MR_SHA256_SIZE],
                       const char *expect)
{
    char payload[1024], hash[2 * MR_SHA256_SIZE + 1];
    mr_hex(mr_bytes_of(sha, MR_SHA256_SIZE), hash);
    snprintf(payload, sizeof payload,
             "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[1,6],\"claim\":{\"uri\":\"file://%s/%s\","
             "\"size\":%u,\"sha256\":\"%s\"}}}",
             sender->folder, file, size, hash);
    send(sender, submitted_batch(RUN, MODEL, "", payload), expect);
}

static void write_file(const struct sender *sender, const char *name, const void *data, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", sender->folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "%s: cannot write\n", path);
        exit(EXIT_FAILURE);
    }
}

static void send_claims(struct sender *sender)
{
    const struct mr_sha256 right = mr_sha256_of(mr_bytes_of(good_row, sizeof good_row));
    struct mr_sha256 wrong = right;
    wrong.bytes[0] ^= 1;
    write_file(sender, "payload.bin", good_row, sizeof good_row);
    write_file(sender, "short.bin", good_row, sizeof good_row - 4);
    send_claim(sender, "payload.bin", sizeof good_row, right.bytes, NULL);
    send_claim(sender, "payload.bin", sizeof good_row, wrong.bytes, "checksum_mismatch");
    send_claim(sender, "short.bin", sizeof good_row, right.bytes, "claim_size_mismatch");
    send_claim(sender, "late.bin", sizeof good_row, right.bytes, "claim_missing");
}

static void send_envelopes(struct sender *sender)
{
    const uint32_t own = mr_partition_of(mr_bytes_of_text(MODEL), sender->partitions);
    struct mr_buffer good = contracts_of("", "float32", 1, 6, good_row, 6);
    send_to(sender, own, MODEL, mr_bytes_of_text("\xff\xff garbage \x01"), "undecodable");
    send_to(sender, own, NULL, mr_bytes_of_text("garbage without a key"), "undecodable");
    send_to(sender, own, MODEL, mr_bytes_of_text(""), "empty_value");
    send_to(sender, (own + 1) % sender->partitions, MODEL, mr_buffer_view(&good), "wrong_partition");
    send_to(sender, own, "other", mr_buffer_view(&good), "key_mismatch");
    send_to(sender, own, "NOT AN ID", mr_buffer_view(&good), "key_mismatch");
    mr_buffer_deinit(&good);
    send(sender, submitted_batch("nosuch", MODEL, "", "\"sobol_range\":{\"start\":0,\"count\":8}"), "unknown_run");
    send(sender, submitted_batch("NO ID", MODEL, "", "\"sobol_range\":{\"start\":0,\"count\":8}"), "bad_id");
    send(sender, submitted_start("r2", MODEL, SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)), "conflict");
    static uint8_t big[BIG];
    struct mr_buffer whole = {0};
    must(mr_buffer_append(&whole, big, sizeof big), "buffer");
    send(sender, whole, "too_large");
}

static void send_values(struct sender *sender)
{
    send(sender, contracts_of("", "float64", 1, 6, good_row, 6), "dtype_incompatible");
    send(sender, contracts_of("", "float32", 1, 5, good_row, 5), "shape_mismatch");
    send(sender, contracts_of("", "float32", 2, 6, good_row, 6), "shape_mismatch");
    send(sender, contracts_of("", "float32", 0, 6, good_row, 0), NULL); /* EmptyBatch: not a failure */
    send_row(sender, 0, (float)NAN, "non_finite");
    send_row(sender, 5, INFINITY, "non_finite");
    send_row(sender, 1, 121, "out_of_domain");
    send_row(sender, 2, -1, "out_of_domain");
    char payload[512];
    snprintf(payload, sizeof payload,
             "\"contracts\":{\"rows\":{\"dtype\":\"float32\",\"shape\":[1,6],\"data\":\"%s\",\"sha256\":\"%064d\"}}",
             submitted_floats(good_row, 6), 0);
    send(sender, submitted_batch(RUN, MODEL, "", payload), "checksum_mismatch");
}

static void send_all(struct sender *sender)
{
    send(sender, submitted_start(RUN, MODEL, SUBMITTED_PRICING_SPEC(SUBMITTED_KEEP)), NULL);
    send_good(sender);
    send_envelopes(sender);
    send_good(sender);
    send_values(sender);
    send_good(sender);
    send_claims(sender); /* one of them is good */
    send_sequence(sender, 1, 1);
    send_sequence(sender, 1, 2);
    send_sequence(sender, 1, 2); /* repeated: dropped */
    send_sequence(sender, 1, 1); /* reordered: dropped */
    send_sequence(sender, 2, 1); /* a new epoch begins anew */
    send_sequence(sender, 1, 9); /* of the old epoch: dropped */
    for (unsigned i = 0; i < POISON; i++) {
        send_row(sender, 1, 1e6f + (float)i, "out_of_domain");
    }
    send_good(sender);
}

static void send_stop(struct sender *sender)
{
    send(sender, submitted_stop(RUN, MODEL), NULL);
    send(sender, contracts_of("", "float32", 1, 6, good_row, 6), "run_closed");
}

static int run_send(const char *brokers, const char *folder, void (*what)(struct sender *))
{
    struct sender sender = {.log = open_log(brokers), .folder = folder};
    must(sender.log->ops->partition_count(sender.log, MR_TOPIC_SUBMITTED, &sender.partitions), "partitions");
    what(&sender);
    while (sender.log->ops->in_flight(sender.log) > 0) {
        const struct mr_log_event event = sender.log->ops->poll(sender.log, 100);
        if (event.kind == MR_LOG_EVENT_DELIVERY_FAILED) {
            must(event.of.delivery_failed.error, "delivery");
        }
    }
    printf("%llu\n", (unsigned long long)sender.expected);
    sender.log->ops->close(sender.log);
    return EXIT_SUCCESS;
}

/* The header `expect` that the record was submitted with: a dead letter of validate holds it inside. */
static bool expected_of(const struct mr_log_record *record, char ret_text[64])
{
    struct mr_bytes text;
    memset(ret_text, 0, 64);
    if (mr_log_header_find(record, "expect", &text)) {
        memcpy(ret_text, text.data, text.size < 63 ? text.size : 63);
        return true;
    }
    bool found = false;
    Millrace__Batch__V1__Ingested *ingested =
        millrace__batch__v1__ingested__unpack(NULL, record->value.size, record->value.data);
    for (size_t i = 0; ingested != NULL && i < ingested->n_headers; i++) {
        const Millrace__Batch__V1__SubmittedHeader *header = ingested->headers[i];
        if (mr_bytes_equal(mr_bytes_of(header->name.data, header->name.len), mr_bytes_of_text("expect"))) {
            memcpy(ret_text, header->value.data, header->value.len < 63 ? header->value.len : 63);
            found = true;
        }
    }
    if (ingested != NULL) {
        millrace__batch__v1__ingested__free_unpacked(ingested, NULL);
    }
    return found;
}

static bool reason_is_right(const struct mr_log_record *record)
{
    struct mr_bytes reason, detail;
    char expect[64];
    if (!expected_of(record, expect) || !mr_log_header_find(record, "mr_dlq_reason", &reason) ||
        !mr_log_header_find(record, "mr_dlq_detail", &detail)) {
        fprintf(stderr, "a dead letter without its headers\n");
        return false;
    }
    if (!mr_bytes_equal(reason, mr_bytes_of_text(expect)) || detail.size == 0) {
        fprintf(stderr, "expected %s, got %.*s (%.*s)\n", expect, (int)reason.size, (const char *)reason.data,
                (int)detail.size, (const char *)detail.data);
        return false;
    }
    return true;
}

static int run_check(const char *brokers)
{
    struct mr_log *log = open_log(brokers);
    uint32_t partitions;
    uint64_t count = 0;
    bool good = true;
    must(log->ops->partition_count(log, MR_TOPIC_DEADLETTERS, &partitions), "partitions");
    for (uint32_t i = 0; i < partitions; i++) {
        uint64_t low, high;
        struct mr_log_reader *reader;
        must(log->ops->watermarks(log, MR_TOPIC_DEADLETTERS, i, &low, &high), "watermarks");
        must(log->ops->reader_open(log, MR_TOPIC_DEADLETTERS, i, low, &reader), "reader");
        for (uint64_t next = low; next < high;) {
            struct mr_log_record record;
            bool some;
            must(log->ops->reader_next(log, reader, 5000, &some, &record), "read");
            if (!some) {
                fprintf(stderr, "dead letters cannot be read\n");
                return EXIT_FAILURE;
            }
            next = record.offset + 1;
            struct mr_bytes stage;
            if (mr_log_header_find(&record, "mr_dlq_stage", &stage)) { /* else it marks one as resolved */
                count++;
                good = reason_is_right(&record) && good;
            }
        }
        log->ops->reader_close(log, reader);
    }
    log->ops->close(log);
    printf("%llu\n", (unsigned long long)count);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int argument_count;
static char **arguments;
static int exit_code = 64;

/* The helpers that make records are Check's: they must run inside a test. */
START_TEST(as_told)
{
    if (argument_count == 4 && strcmp(arguments[1], "send") == 0) {
        exit_code = run_send(arguments[2], arguments[3], send_all);
    } else if (argument_count == 3 && strcmp(arguments[1], "stop") == 0) {
        exit_code = run_send(arguments[2], "", send_stop);
    } else if (argument_count == 3 && strcmp(arguments[1], "check") == 0) {
        exit_code = run_check(arguments[2]);
    } else {
        fprintf(stderr, "mr_bad_input send BROKERS FOLDER | stop BROKERS | check BROKERS\n");
    }
}
END_TEST

int main(int argc, char *argv[])
{
    argument_count = argc;
    arguments = argv;
    Suite *suite = suite_create("bad_input");
    TCase *tcase = tcase_create("bad_input");
    tcase_add_test(tcase, as_told);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0 ? EXIT_FAILURE : exit_code;
}
