# Sourced after lib.bash by the tests of what only Apache Kafka shows.
export PYTHONPATH=$venv/generated

# fresh_kafka [NAME=VALUE...]: an empty stack in $dir, on a broker of its own with further settings of the broker. What
# stands in $client_settings are librdkafka's settings of the services, one a line.
client_settings=''
fresh_kafka() {
  stack_down "$dir" >/dev/null 2>&1 || true
  rm -rf "${dir:?}"/*
  kafka_make "$dir/kafka" 1 "${kafka_versions%% *}" none "$@"
  kafka_start "$dir/kafka" 1
  brokers=$(cat "$dir/kafka/bootstrap")
  store=file://$dir/store
  "$millrace" topics create --brokers "$brokers" >"$dir/created" 2>&1 || fail "no topics: $(cat "$dir/created")"
  services_start
}
# services_start: on the broker that is there.
services_start() {
  stack_broker=$brokers
  stack_broker_settings=''
  if [ -n "$client_settings" ]; then
    stack_broker_settings=$dir/settings
    printf '%s\n' "$client_settings" >"$stack_broker_settings"
  fi
  stack_up "$dir" cpu 2
}
# services_stop: Kafka runs on.
services_stop() { "$supervisor" stop "$dir" >/dev/null; }

# topic_size NOUN.PARTICIPLE: how many records it has.
topic_size() { "$MR_TOOLS/mr_topic_size" "$brokers" "millrace.$1.v1"; }
topic_has() { [ "$(topic_size "$1")" -ge "$2" ]; }

# counted BATCHES: an independent counter finds so many batches, nothing lost, nothing double. What it says is in
# $dir/count.json.
counted() {
  "$venv/bin/python3" "$root/bench/pipeline/count.py" --brokers "$brokers" --expect "$1" \
    >"$dir/count.json" 2>"$dir/count.log"
}
