/* murmur2 as Kafka's Java client has it (org.apache.kafka.common.utils.Utils.murmur2): every client agrees on it. */
#include "millrace/base.h"

static const uint32_t murmur2_seed = 0x9747b28cU;
static const uint32_t murmur2_multiplier = 0x5bd1e995U;

static uint32_t murmur2(struct mr_bytes key)
{
    const uint32_t m = murmur2_multiplier;
    const uint8_t *p = key.data;
    size_t left = key.size;
    uint32_t h = murmur2_seed ^ (uint32_t)key.size;
    for (; left >= 4; left -= 4, p += 4) {
        uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    if (left > 0) {
        for (size_t i = 0; i < left; i++) {
            h ^= (uint32_t)p[i] << (8 * i);
        }
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return h;
}

uint32_t mr_partition_of(struct mr_bytes key, uint32_t partitions)
{
    MR_ASSERT(partitions > 0);
    return (murmur2(key) & 0x7fffffffU) % partitions; /* Java's toPositive */
}
