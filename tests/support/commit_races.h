/*
 * Writers in processes of their own commit to one model, round by round, each after the one that won before: one
 * version a round, whoever wins, none lost and none made twice. In every other round all have the same checkpoint, and
 * all must be told that it is committed.
 */
#ifndef COMMIT_RACES_H
#define COMMIT_RACES_H

#include <check.h>

void commit_races_add(TCase *tcase); /* on races_uri: see store_races.h */

#endif
