/*
 * Writers in processes of their own race for the same keys: one winner a round, no lost update, none applied twice.
 * For any back end: an answer that leaves the outcome open is settled as rule C6 says, by reading.
 */
#ifndef STORE_RACES_H
#define STORE_RACES_H

#include <check.h>
#include <stdint.h>

/* The store that each process opens for itself; set before the tests run. */
extern char races_uri[160];
extern uint32_t races_writers, races_rounds;
/* MILLRACE_TEST_WRITERS and MILLRACE_TEST_ROUNDS, or these. */
void races_sizes(uint32_t writers, uint32_t rounds);
double races_timeout_s(void);
void store_races_add(TCase *tcase);

/* Zeroed memory that the writers share with the test. */
void *races_shared_memory(size_t size);
/* Runs each writer in a process of its own, which must give 0. */
void races_run(int (*writer)(void *self, uint32_t me), void *self);

#endif
