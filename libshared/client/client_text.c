#include "millrace/base.h"
#include "millrace/client.h"

const char *mr_client_event_text(enum mr_client_event_kind kind)
{
    switch (kind) {
    case MR_CLIENT_SERVED: return "Served";
    case MR_CLIENT_REFUSED: return "Refused";
    case MR_CLIENT_DELAYED: return "Delayed";
    case MR_CLIENT_WAKE_UP: return "WakeUp";
    }
    mr_unreachable(__func__);
}

const char *mr_client_phase_text(enum mr_client_phase phase)
{
    switch (phase) {
    case MR_CLIENT_BOOTSTRAPPING: return "Bootstrapping";
    case MR_CLIENT_HYDRATING: return "Hydrating";
    case MR_CLIENT_READY: return "Ready";
    }
    mr_unreachable(__func__);
}
