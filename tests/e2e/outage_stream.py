"""One run on each of six models as JSON lines for `millrace submit --jsonl`: outage_stream.py FOLDER RUN BATCHES.

FOLDER/RUN.jsonl has the starts, BATCHES batches dealt to the models in turn, and the stops. Two models each learn from
ranges of the Sobol sequence, from tensors that are carried inline, and from tensors that are claimed by file://
(FOLDER/RUN/*.bin). All of it depends on RUN and BATCHES alone.
"""
import hashlib
import json
import pathlib
import random
import struct
import sys

MODELS = ["sobol-a", "sobol-b", "inline-a", "inline-b", "claim-a", "claim-b"]
ROWS, FEATURES, TARGETS = 8, 3, 2
SPEC = pathlib.Path(__file__).parent / "small_run.json"


def spec_of(model):
    spec = json.loads(SPEC.read_text())
    spec["commit_plan"] = {"final_and_interval_commit": {"every_steps": 20}}
    if not model.startswith("sobol"):
        del spec["pricing"]
        spec["labelled"] = {"features": FEATURES, "targets": TARGETS}
    return spec


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def tensor(shape, data, file):
    carried = {"dtype": "float32", "shape": shape}
    if file is None:
        return {**carried, "data": data.hex()}
    file.write_bytes(data)
    claim = {"uri": f"file://{file}", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {**carried, "claim": claim}


def payload(model, folder, run, number):
    if model.startswith("sobol"):
        return {"sobol_range": {"start": number * ROWS, "count": ROWS}}
    draw = random.Random(f"{run} {model} {number}")
    x = [[draw.uniform(-1, 1) for _ in range(FEATURES)] for _ in range(ROWS)]
    y = [[row[0] * row[1], row[2], row[0] - row[2], row[1] * row[1]] for row in x]
    files = (folder / f"{model}-{number}-{name}.bin" if model.startswith("claim") else None for name in "xy")
    tensors = [tensor(shape, floats(sum(values, [])), file)
               for shape, values, file in zip(([ROWS, FEATURES], [ROWS, TARGETS, 2]), (x, y), files)]
    return {"labelled": {"features": tensors[0], "targets": tensors[1]}}


def main():
    folder, run, batches = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3])
    claims = folder / run
    claims.mkdir(parents=True)
    with open(folder / f"{run}.jsonl", "w", encoding="ascii") as lines:
        def write(event, model, **fields):
            print(json.dumps({event: {"model_id": model, "run_id": run, **fields}}), file=lines)

        for model in MODELS:
            write("run_started", model, spec=spec_of(model))
        for number in range(batches):
            model = MODELS[number % len(MODELS)]
            write("batch", model, **payload(model, claims, run, number // len(MODELS)))
        for model in MODELS:
            write("run_stopped", model, outcome="completed")


main()
