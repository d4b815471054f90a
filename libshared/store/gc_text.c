#include "millrace/gc.h"

const char *mr_gc_reason_text(enum mr_gc_reason reason)
{
    switch (reason) {
    case MR_GC_NOT_KEPT: return "garbage";
    case MR_GC_KEPT_HEAD: return "head";
    case MR_GC_KEPT_GENESIS: return "genesis";
    case MR_GC_KEPT_RECENT: return "recent";
    case MR_GC_KEPT_PROTECTED: return "protected";
    case MR_GC_KEPT_PINNED: return "pinned";
    case MR_GC_KEPT_SOURCE: return "source";
    }
    mr_unreachable(__func__);
}
