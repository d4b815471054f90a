/* How a new version's semantic version follows from its parent's. */
#ifndef MR_BUMP_H
#define MR_BUMP_H

enum mr_bump { MR_BUMP_PATCH = 1, MR_BUMP_MINOR, MR_BUMP_MAJOR, MR_BUMP_LAST = MR_BUMP_MAJOR };

#endif
