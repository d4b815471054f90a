/*
 * What a test does to processes while they run. libmr_faults.so is preloaded (LD_PRELOAD) and stands between a process
 * and the C library: its wall clock is moved, files of the store's file system do not answer or fail, claimed files
 * fail a number of times. The products know nothing of it.
 *
 * A test says what is so by the file MR_FAULTS (tools: e2e/faults.bash), which every process maps.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdint.h>

enum faults_store {
    FAULTS_STORE_GOOD = 0,
    FAULTS_STORE_FROZEN, /* calls do not return */
    FAULTS_STORE_FAILING /* calls fail with EIO */
};

/* The file, as it is; numbers in the machine's order. Only the test writes it, but for `claims`. */
struct faults {
    int64_t clock_shift_s; /* added to the wall clock */
    int64_t store;         /* enum faults_store */
    int64_t claims_count;
    _Atomic uint32_t claims[]; /* how often each claimed file was asked for: counted by the processes */
};

/* NULL: without the file a process goes on as if nothing were preloaded. */
volatile struct faults *faults_of_test(void);

/* Ends the process: a fault that cannot be set up would test nothing. */
_Noreturn void faults_refuse(const char *why);

#endif
