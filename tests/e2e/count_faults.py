"""Plants a fault for the counter of the benchmark: writes the last record of a topic again, with a difference.

again: none. doubled: another ce_id. changed: other bytes under the same ce_id.
"""

import argparse
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from millrace.step.v1 import step_pb2


def last_record(brokers, topic):
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": "count-faults", "enable.auto.commit": False, "fetch.wait.max.ms": 10,
    })
    for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        if high > low:
            consumer.assign([TopicPartition(topic, partition, high - 1)])
            message = consumer.poll(30)
            consumer.close()
            return message
    sys.exit(f"{topic} is empty")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--brokers", required=True)
    options.add_argument("fault", choices=["again", "doubled", "changed"])
    args = options.parse_args()
    message = last_record(args.brokers, "millrace.steps.trained.v1")
    value, headers = message.value(), dict(message.headers())
    if args.fault == "doubled":
        headers["ce_id"] = b"0" * len(headers["ce_id"])
    if args.fault == "changed":
        step = step_pb2.StepTrained.FromString(value)
        step.step += 1
        value = step.SerializeToString()
    producer = Producer({"bootstrap.servers": args.brokers, "acks": "all"})
    producer.produce(message.topic(), partition=message.partition(), key=message.key(), value=value,
                     headers=list(headers.items()))
    return 0 if producer.flush(30) == 0 else 75


sys.exit(main())
