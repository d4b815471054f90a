/* Constant, or linear warm-up and half a cosine. Steps fit float32 exactly: the spec bounds them. */
#include "millrace/schedule.h"

#include "millrace/profile.h"

static float cosine_rate(const struct mr_schedule_spec *schedule, uint64_t step)
{
    float sine;
    float cosine;
    if (step <= schedule->warmup_steps) {
        return schedule->peak_rate * ((float)step / (float)schedule->warmup_steps);
    }
    if (step >= schedule->total_steps) {
        return schedule->final_rate;
    }
    const float done = (float)(step - schedule->warmup_steps) / (float)(schedule->total_steps - schedule->warmup_steps);
    mr_sincos_turns(0.5f * done, &sine, &cosine);
    return mr_fma((schedule->peak_rate - schedule->final_rate) * 0.5f, 1.0f + cosine, schedule->final_rate);
}

float mr_schedule_rate(const struct mr_schedule_spec *schedule, uint64_t step)
{
    switch (schedule->kind) {
    case MR_SCHEDULE_CONSTANT: return schedule->peak_rate;
    case MR_SCHEDULE_COSINE: return cosine_rate(schedule, step);
    }
    mr_unreachable(__func__);
}
