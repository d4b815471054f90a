/* Rule A5's tree over chunks, as they come: pairs of equal size are added, an odd one passes up. */
#include <string.h>

#include "cpu_kernels.h"

void cpu_tree_reset(struct cpu_tree *tree)
{
    tree->chunks = 0;
}

static void add(float *left, const float *right, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        left[i] += right[i];
    }
}

void cpu_tree_add(struct cpu_tree *tree, const float *sums)
{
    const float *carried = sums;
    uint32_t level = 0;
    for (; (tree->chunks >> level & 1u) != 0; level++) {
        float *left = tree->level + level * tree->width;
        add(left, carried, tree->width);
        carried = left;
    }
    memcpy(tree->level + level * tree->width, carried, tree->width * sizeof(float));
    tree->chunks++;
}

const float *cpu_tree_total(struct cpu_tree *tree)
{
    const float *total = NULL;
    for (uint32_t level = 0; level < CPU_CHUNK_LEVELS; level++) {
        float *left = tree->level + level * tree->width;
        if ((tree->chunks >> level & 1u) == 0) {
            continue;
        }
        if (total != NULL) {
            add(left, total, tree->width);
        }
        total = left;
    }
    return total;
}
