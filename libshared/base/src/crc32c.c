/* CRC-32C (Castagnoli), eight bytes at a time. */
#include "millrace/base.h"

/*
 * slice[k][b] is what byte b followed by k zero bytes does to the register. That is linear in the bits of b, so each
 * slice follows from the values of its eight single bits, which are what is written here.
 */
#define BIT(i, n, value) (((i) >> (n)) & 1U ? (value) : 0U)
#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                                    \
    BIT(i, 0, b0) ^ BIT(i, 1, b1) ^ BIT(i, 2, b2) ^ BIT(i, 3, b3) ^ BIT(i, 4, b4) ^ BIT(i, 5, b5) ^ BIT(i, 6, b6) ^ \
        BIT(i, 7, b7)
#define ENTRIES_4(i, ...) \
    ENTRY((i), __VA_ARGS__), ENTRY((i) + 1U, __VA_ARGS__), ENTRY((i) + 2U, __VA_ARGS__), ENTRY((i) + 3U, __VA_ARGS__)
#define ENTRIES_16(i, ...)                                                                           \
    ENTRIES_4((i), __VA_ARGS__), ENTRIES_4((i) + 4U, __VA_ARGS__), ENTRIES_4((i) + 8U, __VA_ARGS__), \
        ENTRIES_4((i) + 12U, __VA_ARGS__)
#define ENTRIES_64(i, ...)                                                                                \
    ENTRIES_16((i), __VA_ARGS__), ENTRIES_16((i) + 16U, __VA_ARGS__), ENTRIES_16((i) + 32U, __VA_ARGS__), \
        ENTRIES_16((i) + 48U, __VA_ARGS__)
#define SLICE(...)                                                                                \
    {                                                                                             \
        ENTRIES_64(0U, __VA_ARGS__), ENTRIES_64(64U, __VA_ARGS__), ENTRIES_64(128U, __VA_ARGS__), \
            ENTRIES_64(192U, __VA_ARGS__)                                                         \
    }

static const uint32_t slice[8][256] = {
    SLICE(0xf26b8303U, 0xe13b70f7U, 0xc79a971fU, 0x8ad958cfU, 0x105ec76fU, 0x20bd8edeU, 0x417b1dbcU, 0x82f63b78U),
    SLICE(0x13a29877U, 0x274530eeU, 0x4e8a61dcU, 0x9d14c3b8U, 0x3fc5f181U, 0x7f8be302U, 0xff17c604U, 0xfbc3faf9U),
    SLICE(0xa541927eU, 0x4f6f520dU, 0x9edea41aU, 0x38513ec5U, 0x70a27d8aU, 0xe144fb14U, 0xc76580d9U, 0x8b277743U),
    SLICE(0xdd45aab8U, 0xbf672381U, 0x7b2231f3U, 0xf64463e6U, 0xe964b13dU, 0xd725148bU, 0xaba65fe7U, 0x52a0c93fU),
    SLICE(0x38116facU, 0x7022df58U, 0xe045beb0U, 0xc5670b91U, 0x8f2261d3U, 0x1ba8b557U, 0x37516aaeU, 0x6ea2d55cU),
    SLICE(0xef306b19U, 0xdb8ca0c3U, 0xb2f53777U, 0x6006181fU, 0xc00c303eU, 0x85f4168dU, 0x0e045bebU, 0x1c08b7d6U),
    SLICE(0x68032cc8U, 0xd0065990U, 0xa5e0c5d1U, 0x4e2dfd53U, 0x9c5bfaa6U, 0x3d5b83bdU, 0x7ab7077aU, 0xf56e0ef4U),
    SLICE(0x493c7d27U, 0x9278fa4eU, 0x211d826dU, 0x423b04daU, 0x847609b4U, 0x0d006599U, 0x1a00cb32U, 0x34019664U),
};

static uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t mr_crc32c(uint32_t seed, struct mr_bytes bytes)
{
    uint32_t crc = ~seed;
    const uint8_t *p = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; left -= 8, p += 8) {
        const uint32_t low = crc ^ load_le32(p);
        const uint32_t high = load_le32(p + 4);
        crc = slice[7][low & 255U] ^ slice[6][low >> 8 & 255U] ^ slice[5][low >> 16 & 255U] ^ slice[4][low >> 24] ^
              slice[3][high & 255U] ^ slice[2][high >> 8 & 255U] ^ slice[1][high >> 16 & 255U] ^ slice[0][high >> 24];
    }
    for (; left > 0; left--, p++) {
        crc = crc >> 8 ^ slice[0][(crc ^ *p) & 255U];
    }
    return ~crc;
}
