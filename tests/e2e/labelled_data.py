"""Labelled tensors for the end-to-end tests, from a fixed seed and without numpy: labelled_data.py FOLDER.

features.npy, targets.npy    ROWS rows
poisoned.npy                 the same targets, one of them too large for a finite loss: in the batch of row POISONED
claims.jsonl, claims/*.bin   the same rows as batches of BATCH rows, claimed by file:// instead of carried inline
"""
import hashlib
import json
import pathlib
import random
import struct
import sys

ROWS, BATCH, FEATURES, TARGETS, POISONED = 160, 8, 3, 2, 44


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def write_npy(path, shape, data):
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)


def claim(path, shape, data):
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return {"dtype": "float32", "shape": shape, "claim": {"uri": f"file://{path}", "size": len(data), "sha256": sha256}}


def rows():
    draw = random.Random(3)
    for _ in range(ROWS):
        x = [draw.uniform(-1, 1) for _ in range(FEATURES)]
        yield x, [x[0] * x[1], x[2], x[0] - x[2], x[1] * x[1]]


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    (folder / "claims").mkdir()
    data = list(rows())
    features = [floats(x) for x, _ in data]
    targets = [floats(y) for _, y in data]
    poisoned = targets[:POISONED] + [floats([1e30] * 2 * TARGETS)] + targets[POISONED + 1:]
    write_npy(folder / "features.npy", (ROWS, FEATURES), b"".join(features))
    write_npy(folder / "targets.npy", (ROWS, TARGETS, 2), b"".join(targets))
    write_npy(folder / "poisoned.npy", (ROWS, TARGETS, 2), b"".join(poisoned))
    with open(folder / "claims.jsonl", "w", encoding="ascii") as lines:
        for first in range(0, ROWS, BATCH):
            own = slice(first, first + BATCH)
            x = claim(folder / f"claims/x{first}.bin", [BATCH, FEATURES], b"".join(features[own]))
            y = claim(folder / f"claims/y{first}.bin", [BATCH, TARGETS, 2], b"".join(targets[own]))
            lines.write(json.dumps({"batch": {"labelled": {"features": x, "targets": y}}}) + "\n")


main()
