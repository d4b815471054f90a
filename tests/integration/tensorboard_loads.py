"""Loads event files by TensorBoard's own accumulator and compares all that is in them with the store.

Usage: tensorboard_loads.py STORE/MODEL LOG_DIR/MODEL
"""

import glob
import json
import os
import sys

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from millrace.checkpoint.v1 import checkpoint_pb2


def load(folder):
    everything = {"scalars": 0, "tensors": 0, "histograms": 0}
    loaded = EventAccumulator(folder, size_guidance=everything)
    loaded.Reload()
    return loaded


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found}, not {expected}")


def close(what, found, expected):
    if not numpy.isclose(found, expected, rtol=1e-6, atol=1e-9):
        sys.exit(f"{what}: {found}, not {expected}")


def at(events, version, what):
    """The one event of the version, at its step and event time."""
    found = [event for event in events if event.step == version["step"]]
    same(f"events of {what} at step {version['step']}", len(found), 1)
    close("wall time", found[0].wall_time * 1000, version["event_time_ms"])
    return found[0]


def texts(run, version):
    for tag in ("semantic_version", "content_hash", "message"):
        event = at(run.Tensors(f"version/{tag}"), version, tag)
        same(tag, event.tensor_proto.string_val[0].decode(), str(version[tag]))
    same("plugin", run.SummaryMetadata("version/message").plugin_data.plugin_name, "text")


def histogram(found, numbers):
    edges = [found.min] + found.bucket_limit
    same("counts", sum(found.bucket), len(numbers))
    close("least", found.min, numbers.min())
    close("greatest", found.bucket_limit[-1], numbers.max())
    close("sum", found.sum, numbers.sum())
    close("sum of squares", found.sum_squares, (numbers**2).sum())
    if numbers.min() < numbers.max():
        same("buckets", found.bucket, list(numpy.histogram(numbers, bins=edges)[0]))


def weights(run, version, payload):
    checkpoint = checkpoint_pb2.Checkpoint.FromString(payload)
    same("tensors", len(checkpoint.parameters) > 4, True)
    for tensor in checkpoint.parameters:
        numbers = numpy.frombuffer(tensor.data, "<f4").astype("f8")
        tag = f"weights/{tensor.name}"
        for name in ("mean", "std", "min", "max"):
            event = at(run.Scalars(f"{tag}/{name}"), version, f"{tag}/{name}")
            close(f"{tag}/{name}", event.value, getattr(numbers, name)())
        histogram(at(run.Histograms(tag), version, tag).histogram_value, numbers)


def is_collected(run, version):
    return at(run.Tensors("version/weights"), version, "weights").tensor_proto.string_val[0] == b"collected"


def check_version(run, version, folder):
    texts(run, version)
    for tag in ("loss", "gradient_norm"):
        close(tag, at(run.Scalars(f"training/{tag}"), version, tag).value, version["metrics"][tag])
    payload = os.path.join(folder, "checkpoint.pb")
    if os.path.exists(payload):
        with open(payload, "rb") as file:
            weights(run, version, file.read())
    else:
        same("collected", is_collected(run, version), True)


def check_totals(totals, versions):
    days = {}
    for version in versions:
        day = version["event_time_ms"] // 86_400_000
        days[day] = days.get(day, 0) + 1
    same("total", [event.value for event in totals.Scalars("versions/total")], [len(versions)])
    same("per day", {event.step: event.value for event in totals.Scalars("versions/per_day")}, days)
    same("more than a day", len(days) > 1, True)


def main(store, log):
    versions = []
    runs = {}
    for folder in sorted(glob.glob(f"{store}/versions/v*")):
        with open(os.path.join(folder, "metadata.json"), encoding="utf-8") as file:
            version = json.load(file)
        if version["run_id"] not in runs:
            runs[version["run_id"]] = load(os.path.join(log, version["run_id"]))
        versions.append(version)
        check_version(runs[version["run_id"]], version, folder)
    for name, run in runs.items():
        own = [version for version in versions if version["run_id"] == name]
        same(f"versions of {name}", len(run.Scalars("training/loss")), len(own))
    same("runs", len(runs), 2)
    check_totals(load(log), versions)


main(sys.argv[1], sys.argv[2])
