"""Good and poisoned batches of many models, and what must come of them.

    fire_stream.py make FOLDER MODELS POISON          makes it; prints each model and how many steps it is worth
    fire_stream.py send FOLDER BROKERS WHAT           submits it; WHAT: all of it, or what is good in the end
    fire_stream.py check FOLDER BROKERS STACK KILLS   compares what came of all of it on the stack in that folder, of
                                                      which ingest and validate were killed so many times at most

A quarter of the models is clean. The others have as many poisoned batches as good ones, in an order that depends on
the numbers alone: what ingest refuses, what validate refuses, claims that fail 1 to 4 times and are good then, and
claims that always fail. FOLDER/claims has what is claimed, by names that libmr_faults.so knows (tests/faults/claims.c).

Each record has its number in the header `fire`. The logs of ingest and validate in STACK/log, at their least level,
have a line for each time that a record was judged, and STACK/faults counts how often each claim was opened.
"""
import array
import collections
import hashlib
import json
import pathlib
import random
import struct
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from millrace.batch.v1 import batch_pb2
from millrace.common.v1 import common_pb2
from millrace.step.v1 import step_pb2

RUN, ROWS, FEATURES, TARGETS = "fire", 4, 3, 2
ATTEMPTS, ALWAYS, PATIENCE_S = 5, 1000000, 60
CLAIMS_AT = 24  # in the file of the faults
SUBMITTED, VALIDATED = "millrace.batches.submitted.v1", "millrace.batches.validated.v1"
TRAINED, DEADLETTERS = "millrace.steps.trained.v1", "millrace.deadletters.v1"
Fate = collections.namedtuple("Fate", "stage reason calls")
GOOD = Fate("", "", 1)
FATES = {
    "good": GOOD,
    "undecodable": Fate("ingest", "undecodable", 1),
    "empty": Fate("ingest", "empty_value", 1),
    "other_key": Fate("ingest", "key_mismatch", 1),
    "other_run": Fate("ingest", "unknown_run", 1),
    "other_job": Fate("ingest", "job_mismatch", 1),
    "no_payload": Fate("ingest", "no_payload", 1),
    "shape": Fate("validate", "shape_mismatch", 1),
    "not_a_number": Fate("validate", "non_finite", 1),
    "checksum": Fate("validate", "checksum_mismatch", 1),
    "claim_elsewhere": Fate("validate", "unsupported_claim", 1),
    "claim_missing": Fate("validate", "claim_missing", 1),
    "claim_size": Fate("validate", "claim_size_mismatch", 1),
    "claim_checksum": Fate("validate", "checksum_mismatch", 1),
    "fails_1": Fate("", "", 2),
    "fails_2": Fate("", "", 3),
    "fails_3": Fate("", "", 4),
    "fails_4": Fate("", "", 5),
    "fails_always": Fate("validate", "claim_unreadable", ATTEMPTS),
}
# Those that fail a number of times are as frequent as all others together.
POISON = [kind for kind in FATES if kind != "good"] + [kind for kind in FATES if kind.startswith("fails")] * 2


# ---- Making it

def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def fill(tensor, shape, data):
    tensor.dtype = common_pb2.DTYPE_FLOAT32
    tensor.shape.extend(shape)
    tensor.data = data


def claim(folder, tensor, kind, number):
    """The tensor's data as a claim of that kind; number: of the counter of its tries."""
    data, times = tensor.data, 0
    if kind.startswith("fails"):
        times = ALWAYS if kind == "fails_always" else int(kind[-1])
    file = folder / "claims" / f"{number}.fails-{times}.bin"
    if kind != "claim_missing":
        file.write_bytes(data[:-4] if kind == "claim_size" else data)
    tensor.claim.uri = "https://example.invalid/x.bin" if kind == "claim_elsewhere" else f"file://{file}"
    tensor.claim.size = len(data)
    tensor.claim.sha256 = hashlib.sha256(b"other" if kind == "claim_checksum" else data).digest()


def value_of(folder, draw, model, kind, number, sequence):
    if kind == "undecodable":
        return b"\xff\xff\xff"
    if kind == "empty":
        return b""
    event = batch_pb2.Submitted()
    batch = event.batch
    batch.model_id = "other" if kind == "other_key" else model
    batch.run_id = "other" if kind == "other_run" else RUN
    batch.batch_id = f"b{number}"
    batch.producer.producer_id, batch.producer.epoch, batch.producer.sequence = "fire", 1, sequence
    if kind == "other_job":
        batch.sobol_range.count = ROWS
    if kind in ("other_job", "no_payload"):
        return event.SerializeToString()
    x = [draw.uniform(-1, 1) for _ in range(ROWS * FEATURES)]
    y = [draw.uniform(-1, 1) for _ in range(ROWS * TARGETS * 2)]
    if kind == "not_a_number":
        x[0] = float("nan")
    fill(batch.labelled.features, [ROWS, FEATURES + (kind == "shape")], floats(x + [0.0] * ROWS * (kind == "shape")))
    fill(batch.labelled.targets, [ROWS, TARGETS, 2], floats(y))
    if kind == "checksum":
        batch.labelled.features.sha256 = hashlib.sha256(b"other").digest()
    if kind.startswith(("claim", "fails")):
        claim(folder, batch.labelled.features, kind, number)
    return event.SerializeToString()


def make(folder, models, poison):
    draw = random.Random(f"{models} {poison}")
    names = [f"m{i:03}" for i in range(models)]
    burning = names[models // 4:]
    kinds = [(burning[i % len(burning)], POISON[draw.randrange(len(POISON))]) for i in range(poison)]
    kinds += [(names[i % models], "good") for i in range(poison * models // len(burning))]
    draw.shuffle(kinds)
    (folder / "claims").mkdir(parents=True)
    sequences, steps = collections.Counter(), collections.Counter()
    with open(folder / "records", "w", encoding="ascii") as lines:
        for number, (model, kind) in enumerate(kinds):
            sequences[model] += 1
            value = value_of(folder, draw, model, kind, number, sequences[model])
            steps[model] += FATES[kind].stage == ""
            print(model, kind, value.hex(), file=lines)
    for model in names:
        print(model, steps[model])


def records(folder):
    with open(folder / "records", encoding="ascii") as lines:
        for line in lines:
            model, kind, value = line.rstrip("\n").split(" ")
            yield model, kind, bytes.fromhex(value)


def send(folder, brokers, what):
    failures = []
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random", "acks": "all", "linger.ms": 5})
    for number, (model, kind, value) in enumerate(records(folder)):
        if what == "all" or FATES[kind].stage == "":
            while True:
                try:
                    producer.produce(SUBMITTED, key=model, value=value, headers={"fire": str(number)},
                                     on_delivery=lambda error, _: failures.append(str(error)) if error else None)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
    if producer.flush(60) != 0 or failures:
        sys.exit(f"not everything was submitted: {failures[:5]}")


# ---- Comparing

class Findings:
    def __init__(self):
        self.count = 0

    def unless(self, good, *words):
        if not good:
            self.count += 1
            if self.count <= 20:
                print(*words, file=sys.stderr)


def read(brokers, topic):
    """Each record of the topic once, equal ids being one, in the order of each partition; how often one came again."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "fire", "enable.auto.commit": False,
                         "auto.offset.reset": "error", "fetch.wait.max.ms": 10})
    messages, known, again = [], {}, 0
    for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        consumer.assign([TopicPartition(topic, partition, 0)])
        at, heard = 0, time.monotonic()
        while at < high:
            if time.monotonic() - heard > PATIENCE_S:
                sys.exit(f"{topic}-{partition}: nothing came for {PATIENCE_S} s")
            for message in consumer.consume(1000, timeout=0.05):
                if message.error() is not None:
                    sys.exit(f"{topic}-{partition}: {message.error()}")
                at, heard = message.offset() + 1, time.monotonic()
                headers = dict(message.headers() or ())
                name = headers.get("mr_dlq_id", headers.get("ce_id", f"{partition} {message.offset()}"))
                if known.setdefault(name, message.value()) != message.value():
                    sys.exit(f"{topic}: other bytes under the same id {name}")
                again += len(known) == len(messages)
                if len(known) > len(messages):
                    messages.append((message, headers))
    consumer.close()
    return messages, again


class Submitted:
    def __init__(self, folder, brokers):
        made = list(records(folder))
        self.of = {}      # (partition, origin): (model, kind, number); none of a start or a stop
        self.order = collections.defaultdict(list)  # by model: the origins that must come through
        for message, headers in read(brokers, SUBMITTED)[0]:
            place = (message.partition(), message.offset())
            model, kind = message.key().decode(), "good"
            if "fire" in headers:
                number = int(headers["fire"])
                self.of[place] = (model, made[number][1], number)
                kind = made[number][1]
            if FATES[kind].stage == "":
                self.order[model].append(place)
        if len(self.of) != len(made):
            sys.exit(f"{len(self.of)} records were submitted, of {len(made)}")


def check_order(brokers, submitted, findings, topic, message_type, kills):
    came = collections.defaultdict(list)
    messages, again = read(brokers, topic)
    for message, _ in messages:
        stamp = message_type.FromString(message.value()).stamp
        came[stamp.model_id].append((stamp.origin.partition, stamp.origin.offset))
    for model in sorted(submitted.order.keys() | came.keys()):
        findings.unless(came[model] == submitted.order[model], f"{topic}: {model}: expected", submitted.order[model],
                        "but got", came[model])
    findings.unless(again == 0 or kills > 0, f"{topic}: {again} records came again")
    return again


def check_letters(brokers, submitted, findings, kills):
    messages, again = read(brokers, DEADLETTERS)
    expected = {place: one for place, one in submitted.of.items() if FATES[one[1]].stage != ""}
    last = {}
    for message, headers in messages:
        place = (message.partition(), int(headers["mr_dlq_origin"]))
        text = {name: headers[f"mr_dlq_{name}"].decode() for name in ("stage", "reason", "attempt", "model")}
        model, kind, _ = expected.pop(place, ("", "good", 0))
        fate = FATES[kind]
        findings.unless(text == {"stage": fate.stage, "reason": fate.reason, "attempt": str(fate.calls),
                                 "model": model}, f"dead letter of {place}, {kind} of {model}: {text}")
        lane = (model, fate.stage)
        findings.unless(last.get(lane, -1) < place[1], f"dead letters of {lane}: {place} came late")
        last[lane] = place[1]
    findings.unless(not expected, f"{len(expected)} dead letters are missing:", list(expected.items())[:5])
    findings.unless(again == 0 or kills > 0, f"dead letters: {again} came again")
    return again


def judged(stack, stage):
    """How often each record was, by (partition, origin)."""
    times = collections.Counter()
    with open(stack / "log" / f"{stage}.log", encoding="utf-8") as lines:
        for line in lines:
            if '"attempt"' in line and '"Duplicate"' not in line:  # of the loop, which asks nobody about it
                told = json.loads(line)
                times[told["partition"], told["origin"]] += 1
    return times


def check_calls(stack, submitted, findings, kills):
    calls, poison = collections.Counter(), 0
    tries = array.array("I", (stack / "faults").read_bytes()[CLAIMS_AT:])
    for stage in ("ingest", "validate"):
        times = judged(stack, stage)
        calls[stage] = sum(times.values())
        for place, (_, kind, number) in submitted.of.items():
            fate = FATES[kind]
            reaches = stage == "ingest" or fate.stage != "ingest"
            needed = (fate.calls if stage == "validate" else 1) * reaches
            if kind != "good" and (stage == "validate" or fate.stage == "ingest"):
                poison += times[place]
            findings.unless(needed - kills <= times[place] <= needed + kills * reaches,
                            f"{stage} judged {place}, {kind}, {times[place]} times, not {needed}")
            if stage == "validate" and kind.startswith("fails"):
                findings.unless(needed <= tries[number] <= needed + kills,
                                f"the claim of {place}, {kind}, was opened {tries[number]} times, not {needed}")
    number = sum(kind != "good" for _, kind, _ in submitted.of.values())
    findings.unless(poison <= number * ATTEMPTS + 2 * kills, f"{number} poisoned records were judged {poison} times")
    return {"judged": calls, "poison_judged": poison, "opened": sum(tries)}


def check(folder, brokers, stack, kills):
    findings, submitted = Findings(), Submitted(folder, brokers)
    again = {}
    for topic, message_type in ((VALIDATED, batch_pb2.Validated), (TRAINED, step_pb2.StepTrained)):
        again[topic] = check_order(brokers, submitted, findings, topic, message_type, kills)
    again[DEADLETTERS] = check_letters(brokers, submitted, findings, kills)
    kinds = collections.Counter(kind for _, kind, _ in submitted.of.values())
    print(json.dumps({**check_calls(stack, submitted, findings, kills), "came_again": again, "submitted": kinds}))
    sys.exit(1 if findings.count else 0)


def main():
    command, folder, rest = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:]
    if command == "make":
        make(folder, int(rest[0]), int(rest[1]))
    elif command == "send":
        send(folder, rest[0], rest[1])
    else:
        check(folder, rest[0], pathlib.Path(rest[1]), int(rest[2]))


main()
