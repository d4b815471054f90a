#!/usr/bin/env python3
"""Follows the versions of a model: prints each as one line, and ends after --count of them.

Delivery is at least once: a version may come twice, with the same ce_id. One that was seen is dropped.
"""

import argparse
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from millrace.version.v1 import version_pb2

TOPIC = "millrace.versions.v1"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--brokers", required=True)
    options.add_argument("--model", required=True)
    options.add_argument("--count", type=int, default=1)
    args = options.parse_args()

    consumer = Consumer({
        "bootstrap.servers": args.brokers,
        "group.id": "example-python",  # the client wants one; nothing is committed
        "enable.auto.commit": False,
        # The development broker lets an empty fetch wait this long.
        "fetch.wait.max.ms": 10,
    })
    partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
    consumer.assign([TopicPartition(TOPIC, partition, OFFSET_BEGINNING) for partition in partitions])
    seen = set()
    while len(seen) < args.count:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            print(message.error(), file=sys.stderr)
            continue
        version = version_pb2.VersionPublished.FromString(message.value()).version
        identity = dict(message.headers() or []).get("ce_id", (message.partition(), message.offset()))
        if version.model_id != args.model or identity in seen:
            continue
        seen.add(identity)
        print(f"{version.version_id} {version.semantic_version} step {version.step} loss {version.loss:g}: "
              f"{version.content_hash.hex()}", flush=True)
    consumer.close()
    return 0


sys.exit(main())
