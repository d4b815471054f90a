#!/usr/bin/env python3
"""Submits a whole run of the pricing job: start, Sobol ranges, one batch of explicit contracts, stop.

Three things matter to a producer: the key is the model id, the partitioner is murmur2, and batches are numbered, so
that one that is sent twice counts once.
"""

import argparse
import struct
import sys
import time

from confluent_kafka import Producer
from google.protobuf import json_format
from millrace.batch.v1 import batch_pb2
from millrace.common.v1 import common_pb2
from millrace.run.v1 import run_pb2

TOPIC = "millrace.batches.submitted.v1"

# Everything that the weights depend on besides the batches; docs/formats.md explains each field.
SPEC = {
    "pricing": {
        "schema": "CONTRACT_SCHEMA_GBM",
        "inputs": ["CONTRACT_FIELD_T", "CONTRACT_FIELD_R", "CONTRACT_FIELD_D", "CONTRACT_FIELD_V"],
        "domain": [
            {"field": "CONTRACT_FIELD_X0", "lower": 80, "upper": 120},
            {"field": "CONTRACT_FIELD_K", "lower": 80, "upper": 120},
            {"field": "CONTRACT_FIELD_T", "lower": 0.25, "upper": 2},
            {"field": "CONTRACT_FIELD_R", "lower": 0, "upper": 0.06},
            {"field": "CONTRACT_FIELD_D", "lower": 0, "upper": 0.03},
            {"field": "CONTRACT_FIELD_V", "lower": 0.1, "upper": 0.4},
        ],
        "simulation": {
            "scheme": "SCHEME_LOG_EULER",
            "normalisation": "NORMALISATION_FORWARD",
            "timesteps": 1,
            "seed": 42,
            "antithetic": True,
        },
        "characteristicFunction": {"frequencies": 64, "width": 10, "paths": 256, "envelope": "ENVELOPE_GAUSSIAN"},
        "sobolSeed": 7,
    },
    "network": {
        "layers": [{"linear": {"width": 16}}, {"activation": {"kind": "ACTIVATION_KIND_CSILU"}}],
    },
    "optimiser": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "schedule": {"constant": {"learningRate": 0.002}},
    "commitPlan": {"finalCommit": {}},
    "initSeed": 1,
    "dtypePolicy": "DTYPE_POLICY_KEEP",
    "versionBump": "VERSION_BUMP_PATCH",
    "arithmeticProfile": "mr-f32-v1",
}
CONTRACTS = [
    # X0, K, T, r, d, v
    (100.0, 95.0, 1.0, 0.03, 0.01, 0.2),
    (90.0, 100.0, 0.5, 0.02, 0.0, 0.35),
]
ROWS = 16


def run_started(model, run):
    event = batch_pb2.Submitted()
    event.run_started.run_id = run
    event.run_started.model_id = model
    json_format.ParseDict(SPEC, event.run_started.spec)
    return event


def batch(model, run, sequence, epoch):
    event = batch_pb2.Submitted()
    event.batch.run_id = run
    event.batch.model_id = model
    event.batch.batch_id = f"batch-{sequence}"
    event.batch.producer.producer_id = "example-python"
    event.batch.producer.epoch = epoch
    event.batch.producer.sequence = sequence
    return event


def events(model, run, ranges):
    epoch = int(time.time())  # a later start of this program counts anew
    yield run_started(model, run)
    for number in range(ranges):
        event = batch(model, run, number + 1, epoch)
        event.batch.sobol_range.start = number * ROWS
        event.batch.sobol_range.count = ROWS
        yield event
    event = batch(model, run, ranges + 1, epoch)
    rows = event.batch.contracts.rows
    rows.dtype = common_pb2.DTYPE_FLOAT32
    rows.shape.extend([len(CONTRACTS), 6])
    rows.data = b"".join(struct.pack("<6f", *contract) for contract in CONTRACTS)
    yield event
    event = batch_pb2.Submitted()
    event.run_stopped.run_id = run
    event.run_stopped.model_id = model
    event.run_stopped.outcome = run_pb2.RUN_OUTCOME_COMPLETED
    yield event


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--brokers", required=True)
    options.add_argument("--model", required=True)
    options.add_argument("--run", required=True)
    options.add_argument("--ranges", type=int, default=20, help=f"batches of {ROWS} Sobol points")
    args = options.parse_args()

    failures = []
    acknowledged = []

    def delivered(error, message):
        (failures if error else acknowledged).append(error or message.offset())

    producer = Producer({
        "bootstrap.servers": args.brokers,
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        # The development broker does not enforce idempotence: one request at a time keeps the order there.
        "max.in.flight.requests.per.connection": 1,
    })
    sent = 0
    for event in events(args.model, args.run, args.ranges):
        producer.produce(TOPIC, key=args.model, value=event.SerializeToString(), on_delivery=delivered)
        sent += 1
    producer.flush(10)
    print(f"{len(acknowledged)} of {sent} events acknowledged")
    for error in failures:
        print(f"not delivered: {error}", file=sys.stderr)
    return 0 if len(acknowledged) == sent else 75


sys.exit(main())
