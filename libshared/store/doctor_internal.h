/* Between the files of the doctor. */
#ifndef DOCTOR_INTERNAL_H
#define DOCTOR_INTERNAL_H

#include "doctor_judge.h"

enum { DOCTOR_PREFIX_SIZE = 48, DOCTOR_KEY_SIZE = 80 };

/* One examination. A check goes on while its steps are good; the first that is not decides its finding. */
struct doctor {
    struct mr_store *store;
    const struct mr_doctor_options *options;
    char prefix[DOCTOR_PREFIX_SIZE]; /* ".doctor/<random>/", of this examination alone */
    struct mr_doctor_finding *finding;
    struct mr_store_result last; /* of the newest request */
    bool versioned;              /* the server told of a version */
};

void doctor_key(const struct doctor *doctor, const char *name, char ret_key[DOCTOR_KEY_SIZE]);
/* Ends the check. */
void doctor_find(struct doctor *doctor, enum mr_doctor_verdict verdict, const char *format, ...) MR_PRINTF(3, 4);
/* The same, by doctor->last. False, so that a chain of steps ends. */
bool doctor_find_answer(struct doctor *doctor, enum mr_doctor_verdict verdict, const char *what);

/* Fails where threads or memory are out; what the store does is in the finding. */
MR_MUST_USE struct mr_error doctor_race(struct doctor *doctor, bool swap);

#endif
