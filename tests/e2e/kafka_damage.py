"""What happens to a log on Apache Kafka behind Millrace's back, done on purpose: kafka_damage.py BROKERS COMMAND ...

    remove TOPIC PARTITION OFFSET|end       records before that offset are gone, as retention does it
    move GROUP TOPIC PARTITION OFFSET|end   a group's offset
    forget GROUP...                         all of these groups' offsets, as Kafka does it after a time without members
    set TOPIC NAME=VALUE...                 a topic's settings
    grow TOPIC PARTITIONS                   more partitions
    rewrite TOPIC TIMES                     the record that is the last one of partition 0, so many times more
    bounds TOPIC PARTITION                  prints its first offset and its end
    count TOPIC                             prints how many records can be read
"""

import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions,
                                   ResourceType)

PATIENCE_S = 30


def consumer(brokers, group="kafka-damage"):
    return Consumer({
        "bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": False, "enable.partition.eof": True,
        "auto.offset.reset": "error", "fetch.wait.max.ms": 10,
    })


def administer(brokers, verb, *arguments):
    admin = AdminClient({"bootstrap.servers": brokers})  # it has to outlive the answers
    for future in getattr(admin, verb)(*arguments).values():
        future.result(PATIENCE_S)


def bounds_of(brokers, topic, partition):
    reader = consumer(brokers)
    low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_S)
    reader.close()
    return low, high


def offset_of(brokers, topic, partition, text):
    return bounds_of(brokers, topic, partition)[1] if text == "end" else int(text)


def remove(brokers, topic, partition, offset):
    at = TopicPartition(topic, int(partition), offset_of(brokers, topic, int(partition), offset))
    administer(brokers, "delete_records", [at])


def move(brokers, group, topic, partition, offset):
    member = consumer(brokers, group)
    at = TopicPartition(topic, int(partition), offset_of(brokers, topic, int(partition), offset))
    for answer in member.commit(offsets=[at], asynchronous=False):
        if answer.error is not None:
            sys.exit(f"{group}: {answer.error}")
    member.close()


def forget(brokers, *groups):
    administer(brokers, "delete_consumer_groups", list(groups))


def set_values(brokers, topic, *pairs):
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
               for name, value in (pair.split("=", 1) for pair in pairs)]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    administer(brokers, "incremental_alter_configs", [resource])


def grow(brokers, topic, partitions):
    administer(brokers, "create_partitions", [NewPartitions(topic, int(partitions))])


def records(brokers, topic, partition):
    reader = consumer(brokers)
    low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_S)
    reader.assign([TopicPartition(topic, partition, low)])
    while low < high:
        message = reader.poll(PATIENCE_S)
        if message is None:
            sys.exit(f"{topic}-{partition}: no answer")
        if message.error() is None:
            yield message
        elif message.error().code() != KafkaError._PARTITION_EOF:
            sys.exit(f"{topic}-{partition}: {message.error()}")
        if message.error() is not None or message.offset() + 1 >= high:
            break
    reader.close()


def rewrite(brokers, topic, times):
    *_, last = records(brokers, topic, 0)
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": True})
    for _ in range(int(times)):
        producer.produce(topic, partition=0, key=last.key(), value=last.value(), headers=last.headers())
    if producer.flush(PATIENCE_S) != 0:
        sys.exit("not everything was written")


def bounds(brokers, topic, partition):
    print(*bounds_of(brokers, topic, int(partition)))


def count(brokers, topic):
    reader = consumer(brokers)
    partitions = reader.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions
    reader.close()
    print(sum(1 for partition in partitions for _ in records(brokers, topic, partition)))


COMMANDS = {"remove": remove, "move": move, "forget": forget, "set": set_values, "grow": grow, "rewrite": rewrite,
            "bounds": bounds, "count": count}
if len(sys.argv) < 3 or sys.argv[2] not in COMMANDS:
    sys.exit(__doc__)
COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:])
