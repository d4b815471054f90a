"""Counts what came of every submitted record, with nothing of Millrace but its schemas: confluent-kafka and protobuf.

Reads submitted, trained, metrics and versions of every partition from their beginning to their present end, and says
what is lost, doubled, out of order or changed:
  - every submitted record that was not refused is trained once and published once, as what it was submitted as: records
    with an equal ce_id are one, and have equal bytes;
  - of each model, origins rise strictly, each record names the one before (prev), and the steps of a run go up by one;
  - of each model, versions are numbered from 0 without a gap, and each names the version before by id and record hash.
Refused is what became a dead letter, repeats a producer's number, or has no rows; such a record must not be trained.

Run it when nothing is under way. Exit 0: all is right; 1: it is not, and what; 2: it cannot tell.
"""

import argparse
import array
import collections
import json
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from google.protobuf.message import DecodeError
from millrace.batch.v1 import batch_pb2
from millrace.deployment.v1 import deployment_pb2
from millrace.metric.v1 import metric_pb2
from millrace.step.v1 import step_pb2
from millrace.version.v1 import version_pb2

SUBMITTED = "millrace.batches.submitted.v1"
TRAINED = "millrace.steps.trained.v1"
METRICS = "millrace.metrics.v1"
VERSIONS = "millrace.versions.v1"
DEADLETTERS = "millrace.deadletters.v1"
DEPLOYMENT = "millrace.deployment.v1"
SHOWN = 20  # findings of a kind that are told one by one


class CannotTell(Exception):
    """The brokers do not answer, or the log no longer has all of it."""


class Findings:
    """What is wrong: counted by kind, the first ones told."""

    def __init__(self):
        self.counts = collections.Counter()

    def add(self, kind, text):
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN:
            print(f"{kind}: {text}", file=sys.stderr)
        elif self.counts[kind] == SHOWN + 1:
            print(f"{kind}: and more", file=sys.stderr)


class Log:
    """Reads whole partitions."""

    def __init__(self, brokers, settings, patience):
        self.patience = patience
        self.consumer = Consumer({
            **settings,
            "bootstrap.servers": brokers,
            "group.id": "millrace-count",  # the client wants one; nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,
            "fetch.message.max.bytes": 8 << 20,
            "queued.max.messages.kbytes": 64 << 10,
        })

    def records(self, topic, partition):
        """All records of a partition that are there now."""
        low, high = self.consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=self.patience)
        if low > 0 and topic != DEPLOYMENT:
            raise CannotTell(f"{topic}-{partition} begins at {low}: what was before is gone")
        if low == high:
            return
        self.consumer.assign([TopicPartition(topic, partition, low)])
        heard = time.monotonic()
        while True:
            messages = self.consumer.consume(1000, timeout=0.05)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > self.patience:
                raise CannotTell(f"{topic}-{partition}: nothing came for {self.patience} s")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                    if message.offset() + 1 >= high:
                        return
                elif error.code() == KafkaError._PARTITION_EOF:
                    return  # the last offsets have no record
                elif error.fatal() or not error.retriable():
                    raise CannotTell(f"{topic}-{partition}: {error}")

    def deployment(self):
        """(log id, number of partitions)"""
        last = None
        for message in self.records(DEPLOYMENT, 0):
            last = deployment_pb2.Deployment.FromString(message.value()) if message.value() else None
        if last is None:
            raise CannotTell(f"{DEPLOYMENT} is empty")
        return last.log_id, last.partitions


def header(message, name):
    """The last header of that name, as CloudEvents' readers take it; None: there is none."""
    found = None
    for key, value in message.headers() or ():
        if key == name:
            found = value
    return found


def dead_letters(log, partitions):
    """{(partition, origin): the stage that refused it}"""
    refused = {}
    for partition in range(partitions):
        for message in log.records(DEADLETTERS, partition):
            stage, origin = header(message, "mr_dlq_stage"), header(message, "mr_dlq_origin")
            if stage is not None and origin is not None:
                refused[partition, int(origin)] = stage.decode()
    return refused


def has_rows(batch):
    payload = batch.WhichOneof("payload")
    if payload == "sobol_range":
        return batch.sobol_range.count > 0
    tensor = batch.contracts.rows if payload == "contracts" else batch.labelled.features
    return len(tensor.shape) == 0 or tensor.shape[0] > 0


class Producers:
    """Recognises a producer's duplicates by its numbers, as ingest promises to: only what ingest accepts counts."""

    def __init__(self):
        self.last, self.replayed = {}, set()

    def repeats(self, batch, replay_of, counts):
        if replay_of is not None:
            known = (batch.model_id, replay_of) in self.replayed
            if counts:
                self.replayed.add((batch.model_id, replay_of))
            return known
        if not batch.HasField("producer"):
            return False
        who, number = (batch.model_id, batch.producer.producer_id), (batch.producer.epoch, batch.producer.sequence)
        if number <= self.last.get(who, (-1, -1)):
            return True
        if counts:
            self.last[who] = number
        return False


class Submitted:
    """A partition of submitted: what each record is, or that it was refused."""

    def __init__(self, log, partition, refused, counts):
        self.names = []  # by offset; None: nothing may come of it
        self.kinds = counts
        producers = Producers()
        for message in log.records(SUBMITTED, partition):
            while len(self.names) < message.offset():
                self.names.append(None)  # offsets without a record
            self.names.append(self.name_of(message, producers, refused.get((partition, message.offset()))))

    def name_of(self, message, producers, refused_by):
        try:
            event = batch_pb2.Submitted.FromString(message.value() or b"")
        except DecodeError:
            event = batch_pb2.Submitted()
        kind = event.WhichOneof("event")
        self.kinds["submitted"] += 1
        repeats = False
        if kind == "batch" and refused_by != "ingest":
            if not has_rows(event.batch):
                self.kinds["empty"] += 1
                return None
            repeats = producers.repeats(event.batch, header(message, "mr_replay_of"), True)
        if refused_by is not None:
            self.kinds["dead_letters"] += 1
            return None
        if repeats:
            self.kinds["repeated_by_producer"] += 1
            return None
        if kind is None:
            return "an unreadable record"
        self.kinds["batches"] += kind == "batch"
        body = getattr(event, kind)
        return name(body.model_id, body.run_id, kind, body.batch_id if kind == "batch" else "")


def name(model, run, kind, batch):
    return f"{model} {run} {kind} {batch}".rstrip()


# What the event of a step or a metric was submitted as.
SUBMITTED_AS = {
    "run_opened": "run_started",
    "stepped": "batch",
    "diverged": "batch",
    "skipped": "batch",
    "run_closed": "run_stopped",
}


def name_of_step(value):
    event = value.WhichOneof("event")
    kind = SUBMITTED_AS.get(event, "nothing")
    batch = getattr(value, event).batch_id if kind == "batch" else ""
    return name(value.stamp.model_id, value.run_id, kind, batch)


class Output:
    """A partition of a topic behind submitted: each record once, in the order of its origins."""

    def __init__(self, topic, partition, log_id, submitted, findings):
        self.topic, self.partition, self.log_id = topic, partition, log_id
        self.submitted, self.findings = submitted, findings
        size = len(submitted.names)
        self.ids = array.array("q", bytes(8 * size))  # of the ce_id at that origin; 0: none came
        self.values = array.array("q", bytes(8 * size))
        self.last = {}  # by model: its latest origin
        self.records = self.repeated = 0

    def wrong(self, kind, text):
        self.findings.add(kind, f"{self.topic}-{self.partition} {text}")

    def admit(self, message, stamp):
        """Whether the record is one to look at: known, and no repetition."""
        self.records += 1
        origin = stamp.origin
        place = f"offset {message.offset()}, origin {origin.offset}"
        if origin.log_id != self.log_id or origin.partition != self.partition or origin.offset >= len(self.ids):
            self.wrong("unknown", f"{place}: of no submitted record")
            return False
        ce_id = header(message, "ce_id")
        if not ce_id:
            self.wrong("changed", f"{place}: has no ce_id")
            return False
        ce_hash, value_hash = hash(ce_id) or 1, hash(message.value())
        if self.ids[origin.offset] != 0:
            if self.ids[origin.offset] != ce_hash:
                known = self.submitted.names[origin.offset]
                self.wrong("doubled", f"{place}: came before under another ce_id: {known}")
            elif self.values[origin.offset] != value_hash:
                self.wrong("changed", f"{place}: has other bytes than before under the same ce_id {ce_id.decode()}")
            self.repeated += 1
            return False
        self.ids[origin.offset], self.values[origin.offset] = ce_hash, value_hash
        self.follow(place, stamp)
        return True

    def follow(self, place, stamp):
        before = self.last.get(stamp.model_id)
        prev = stamp.prev.value if stamp.HasField("prev") else None
        if before is not None and stamp.origin.offset <= before:
            self.wrong("disordered", f"{place}: model {stamp.model_id} was at {before} already")
        if prev != before:
            self.wrong("gap", f"{place}: names {prev} as the record before, but {stamp.model_id} was at {before}")
        self.last[stamp.model_id] = stamp.origin.offset

    def finish(self, whole):
        """With `whole`, every submitted record must have come. Different records have different ce_ids in any case."""
        for origin, submitted in enumerate(self.submitted.names):
            if submitted is not None and whole and self.ids[origin] == 0:
                self.wrong("lost", f"origin {origin}: {submitted}")
            elif submitted is None and self.ids[origin] != 0:
                self.wrong("unasked", f"origin {origin}: something came of a record that was refused")
        came = [ce_hash for ce_hash in self.ids if ce_hash != 0]
        if len(set(came)) != len(came):
            self.wrong("changed", "different records have the same ce_id")
        return len(came)


def read_steps(log, output, message_type, steps):
    """steps: the state of each run's count, by (model, run)."""
    for message in log.records(output.topic, output.partition):
        value = message_type.FromString(message.value())
        if not output.admit(message, value.stamp):
            continue
        place = f"offset {message.offset()}, origin {value.stamp.origin.offset}"
        submitted = output.submitted.names[value.stamp.origin.offset]
        if submitted is not None and submitted != name_of_step(value):
            output.wrong("changed", f"{place}: is {name_of_step(value)}, submitted as {submitted}")
        run, event = (value.stamp.model_id, value.run_id), value.WhichOneof("event")
        expected = steps.get(run, 0) + (event == "stepped")
        if value.step != expected:
            output.wrong("disordered", f"{place}: is step {value.step} of {run[1]} on {run[0]}, expected {expected}")
        steps[run] = value.step
    return output.finish(True)


def read_versions(log, output, heads):
    """heads: the latest version of each model."""
    for message in log.records(output.topic, output.partition):
        value = version_pb2.VersionPublished.FromString(message.value())
        if not output.admit(message, value.stamp):
            continue
        version, head = value.version, heads.get(value.version.model_id)
        told = f"{version.model_id} {version.version_id}"
        if value.stamp.model_id != version.model_id or version.position != value.stamp.origin:
            output.wrong("changed", f"{told}: its position is not its origin")
        counter = 0 if head is None else head.counter + 1
        if version.counter != counter:
            output.wrong("gap", f"{told}: has the number {version.counter}, expected {counter}")
        parent = ("", b"") if head is None else (head.version_id, head.record_hash)
        if (version.parent_version_id, version.parent_record_hash) != parent:
            parent_id = version.parent_version_id or "none"
            output.wrong("chain", f"{told}: its parent is {parent_id}, not {parent[0] or 'none'}")
        heads[version.model_id] = version
    return output.finish(False)


def count(log, findings):
    log_id, partitions = log.deployment()
    refused = dead_letters(log, partitions)
    counts, models, heads = collections.Counter(), set(), {}
    for partition in range(partitions):
        submitted = Submitted(log, partition, refused, counts)
        counts["expected"] += sum(1 for one in submitted.names if one is not None)
        for topic, key, read in [
            (TRAINED, "trained", lambda output: read_steps(log, output, step_pb2.StepTrained, {})),
            (METRICS, "metrics", lambda output: read_steps(log, output, metric_pb2.MetricPublished, {})),
            (VERSIONS, "versions", lambda output: read_versions(log, output, heads)),
        ]:
            output = Output(topic, partition, log_id, submitted, findings)
            counts[key] += read(output)
            counts[f"{key}_repeated"] += output.repeated
            models.update(output.last)
    return {"partitions": partitions, "models": len(models), **counts}


def settings_of(path):
    """librdkafka settings, name=value one a line, as the services read them."""
    if not path:
        return {}
    with open(path, encoding="utf-8") as lines:
        pairs = (line.strip().split("=", 1) for line in lines if line.strip() and not line.startswith("#"))
        return {key: value for key, value in pairs}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--brokers", required=True)
    options.add_argument("--broker-settings", help="file of librdkafka settings, name=value one a line (TLS, SASL)")
    options.add_argument("--expect", type=int, help="batches that must be there: submitted and not refused")
    options.add_argument("--patience", type=int, default=30, help="seconds without an answer after which it gives up")
    args = options.parse_args()
    findings, began = Findings(), time.monotonic()
    try:
        counts = count(Log(args.brokers, settings_of(args.broker_settings), args.patience), findings)
    except (CannotTell, KafkaException, DecodeError, OSError) as problem:
        print(f"cannot tell: {problem}", file=sys.stderr)
        return 2
    batches = counts.get("batches", 0)
    if args.expect is not None and batches != args.expect:
        findings.add("lost", f"{batches} batches were submitted and not refused, expected {args.expect}")
    good = not findings.counts
    print(json.dumps({"good": good, **counts, "findings": findings.counts,
                      "seconds": round(time.monotonic() - began, 1)}))
    return 0 if good else 1


sys.exit(main())
