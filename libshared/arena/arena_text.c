#include "millrace/arena.h"

const char *mr_lease_loss_text(enum mr_lease_loss loss)
{
    switch (loss) {
    case MR_LEASE_HELD: return "held";
    case MR_LEASE_NONE: return "none";
    case MR_LEASE_NOT_CONNECTED: return "not_connected";
    case MR_LEASE_EPOCH_PASSED: return "epoch_passed";
    case MR_LEASE_OUT_OF_BOUNDS: return "out_of_bounds";
    case MR_LEASE_GENERATION_PASSED: return "generation_passed";
    case MR_LEASE_CHECKSUM_MISMATCH: return "checksum_mismatch";
    }
    mr_unreachable(__func__);
}
