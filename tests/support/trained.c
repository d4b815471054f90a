#include "trained.h"

#include "millrace/step/v1/step.pb-c.h"
#include "millrace/version/v1/version.pb-c.h"
#include "millrace/wire.h"
#include "stamped.h"

#include <stdio.h>
#include <string.h>

static struct mr_stage_stamp stamp_of(const char *model, uint64_t origin, int64_t prev)
{
    return stamped_by(model, service_rig_partition(model), origin, prev);
}

void trained_step(struct service_rig *rig, const char *model, uint64_t origin, int64_t prev, uint64_t step, float loss)
{
    const struct mr_stage_stamp stamp = stamp_of(model, origin, prev);
    struct mr_wire_stamp wire_stamp;
    Millrace__Step__V1__Stepped stepped;
    Millrace__Step__V1__StepTrained trained;
    mr_wire_stamp_init(&wire_stamp, &stamp);
    millrace__step__v1__stepped__init(&stepped);
    millrace__step__v1__step_trained__init(&trained);
    stepped.batch_id = mr_wire_text("b1");
    stepped.loss = loss;
    stepped.samples = 32 * step;
    trained.stamp = &wire_stamp.message;
    trained.run_id = mr_wire_text("r1");
    trained.step = step;
    trained.event_case = MILLRACE__STEP__V1__STEP_TRAINED__EVENT_STEPPED;
    trained.stepped = &stepped;
    (void)stamped_append(rig->broker, MR_TOPIC_TRAINED, &stamp, &trained.base);
}

void trained_nonsense(struct service_rig *rig, const char *model, uint64_t origin, int64_t prev)
{
    const struct mr_stage_stamp stamp = stamp_of(model, origin, prev);
    struct mr_wire_stamp wire_stamp;
    Millrace__Step__V1__StepTrained trained;
    mr_wire_stamp_init(&wire_stamp, &stamp);
    millrace__step__v1__step_trained__init(&trained);
    trained.stamp = &wire_stamp.message;
    (void)stamped_append(rig->broker, MR_TOPIC_TRAINED, &stamp, &trained.base);
}

void trained_commit(struct service_rig *rig, const char *model, uint64_t origin, int64_t prev, uint64_t counter)
{
    const struct mr_stage_stamp stamp = stamp_of(model, origin, prev);
    struct mr_wire_stamp wire_stamp;
    Millrace__Version__V1__Version version;
    Millrace__Version__V1__VersionCommitted committed;
    uint8_t hash[32];
    char version_id[64];
    mr_wire_stamp_init(&wire_stamp, &stamp);
    millrace__version__v1__version__init(&version);
    millrace__version__v1__version_committed__init(&committed);
    memset(hash, (int)counter, sizeof hash);
    (void)snprintf(version_id, sizeof version_id, "v%010llu_%02llx%02llx%02llx%02llx", (unsigned long long)counter,
                   (unsigned long long)counter, (unsigned long long)counter, (unsigned long long)counter,
                   (unsigned long long)counter);
    version.model_id = mr_wire_text(model);
    version.version_id = version_id;
    version.semantic_version = mr_wire_text("1.0.0");
    version.run_id = mr_wire_text("r1");
    version.counter = counter;
    version.content_hash = version.record_hash = version.commit_id = (ProtobufCBinaryData){sizeof hash, hash};
    committed.stamp = &wire_stamp.message;
    committed.version = &version;
    (void)stamped_append(rig->broker, MR_TOPIC_COMMITTED, &stamp, &committed.base);
}
