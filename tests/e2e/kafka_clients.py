"""Other people's producers for the tests over Apache Kafka: kafka_clients.py COMMAND ...

    batches NUMBER                     for each model id on standard input its id and a batch in base 64, a line
    produce CLIENT BROKERS             writes such lines to batches.submitted; prints id and partition of each
                                       CLIENT: confluent (murmur2), confluent-default, kafka-python
    large BROKERS MODEL KIND           one record with large headers; prints its SHA-256 as `letter` does
                                       KIND: submitted, as large as the topic takes; batch, as large as ingest takes,
                                       with a NaN in it
    letter BROKERS MODEL               the SHA-256 of key, value and headers, as they were submitted, in the only dead
                                       letter of the model
"""

import base64
import hashlib
import math
import struct
import sys

import kafka
from confluent_kafka import Consumer, Producer, TopicPartition
from millrace.batch.v1 import batch_pb2
from millrace.common.v1 import common_pb2

SUBMITTED, DEADLETTERS = "millrace.batches.submitted.v1", "millrace.deadletters.v1"
ROWS = 4
TOPIC_BYTES, RECORD_BYTES, INLINE_BYTES = 3145728, 655360, 524288
FEATURES, TARGETS = 4, 2


def batches(number):
    for line in sys.stdin:
        model = line.strip()
        event = batch_pb2.Submitted()
        event.batch.run_id, event.batch.model_id, event.batch.batch_id = "r1", model, f"b{number}"
        event.batch.sobol_range.start, event.batch.sobol_range.count = int(number) * ROWS, ROWS
        print(model, base64.b64encode(event.SerializeToString()).decode())


def produce(client, brokers):
    records = [line.split() for line in sys.stdin]
    records = [(model, base64.b64decode(value)) for model, value in records]
    if client == "kafka-python":
        producer = kafka.KafkaProducer(bootstrap_servers=brokers)
        answers = [(model, producer.send(SUBMITTED, key=model.encode(), value=value)) for model, value in records]
        for model, answer in answers:
            print(model, answer.get(30).partition)
        producer.close()
        return
    settings = {"partitioner": "murmur2_random"} if client == "confluent" else {}
    producer = Producer({"bootstrap.servers": brokers, **settings})
    failures = []

    def delivered(error, message):
        if error is None:
            print(message.key().decode(), message.partition())
        else:
            failures.append(str(error))

    for model, value in records:
        producer.produce(SUBMITTED, key=model, value=value, on_delivery=delivered)
    if producer.flush(30) != 0 or failures:
        sys.exit(f"not everything was written: {failures}")


def digest(key, value, headers):
    whole = hashlib.sha256()
    for part in (key, value, *(part for name, text in headers for part in (name.encode(), text))):
        whole.update(struct.pack("<Q", len(part)) + part)
    return whole.hexdigest()


def large(brokers, model, kind):
    if kind == "batch":
        event = batch_pb2.Submitted()
        batch = event.batch
        batch.run_id, batch.model_id, batch.batch_id = "r1", model, "large"
        rows = INLINE_BYTES // (4 * (FEATURES + 2 * TARGETS))
        labelled = batch.labelled
        for tensor, shape in [(labelled.features, [rows, FEATURES]), (labelled.targets, [rows, TARGETS, 2])]:
            tensor.dtype = common_pb2.DTYPE_FLOAT32
            tensor.shape.extend(shape)
            tensor.data = struct.pack("<f", 1.0) * (math.prod(shape) - 1) + struct.pack("<f", math.nan)
        value, room = event.SerializeToString(), RECORD_BYTES
    else:
        value, room = b"\xff" * (TOPIC_BYTES // 2), TOPIC_BYTES
    half = (room - len(value) - 1024) // 2  # the rest is for names, and for what Kafka writes around a record
    headers = [("note", b"n" * half), ("more", b"\0" * half)]
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random",
                         "message.max.bytes": TOPIC_BYTES})
    failures = []
    producer.produce(SUBMITTED, key=model, value=value, headers=headers,
                     on_delivery=lambda error, _: failures.append(error) if error else None)
    if producer.flush(30) != 0 or failures:
        sys.exit(f"not written: {failures}")
    print(digest(model.encode(), value, headers))


def letter(brokers, model):
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "letter", "enable.auto.commit": False,
                       "auto.offset.reset": "error", "fetch.message.max.bytes": 8 << 20})
    found = []
    for partition in reader.list_topics(DEADLETTERS, timeout=30).topics[DEADLETTERS].partitions:
        low, high = reader.get_watermark_offsets(TopicPartition(DEADLETTERS, partition), timeout=30)
        reader.assign([TopicPartition(DEADLETTERS, partition, low)])
        for _ in range(low, high):
            message = reader.poll(30)
            if message is None or message.error() is not None:
                sys.exit(f"{DEADLETTERS}-{partition}: {message and message.error()}")
            if message.key() == model.encode():
                found.append(message)
    reader.close()
    if len(found) != 1:
        sys.exit(f"{len(found)} dead letters of {model}")
    value, headers = found[0].value(), found[0].headers()
    if ("mr_dlq_stage", b"validate") in headers:  # it had read what ingest wrote, which holds what was submitted
        ingested = batch_pb2.Ingested.FromString(value)
        value, headers = ingested.submitted, [(header.name.decode(), header.value) for header in ingested.headers]
    print(digest(found[0].key(), value, [pair for pair in headers if not pair[0].startswith("mr_dlq_")]))


COMMANDS = {"batches": batches, "produce": produce, "large": large, "letter": letter}
if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
    sys.exit(__doc__)
COMMANDS[sys.argv[1]](*sys.argv[2:])
