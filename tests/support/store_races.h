/*
 * Writers in processes of their own race for the same keys: one winner a round, no lost update, none applied twice.
 * For any back end: an answer that leaves the outcome open is settled as rule C6 says, by reading.
 */
#ifndef STORE_RACES_H
#define STORE_RACES_H

#include <check.h>

/* The store that each process opens for itself; set before the tests run. */
extern char races_uri[160];
void store_races_add(TCase *tcase);

#endif
