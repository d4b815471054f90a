#!/usr/bin/env bash
# Topics on Apache Kafka that were deleted and made anew are another log: train refuses to go on with a model of the one
# before, until `millrace log adopt` says that it may (rule O1); also with another number of partitions.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly admin=$MR_TOOLS/mr_kafka_topics model=moving

submit() {
  "$millrace" submit --brokers "$brokers" --model "$model" --run "$1" --start --spec "$e2e/small_run.json" \
    --sobol 0:560 --rows-per-batch 8 --stop >"$dir/submit.log" 2>&1 || fail "submit: $(cat "$dir/submit.log")"
}
adopt() { "$millrace" log adopt --brokers "$brokers" --store "$store" --model "$model" 2>&1; }
of_head() { jq -r "$1" "$dir/store/$model/head.json"; }
versions_are() { [ "$(of_head .counter 2>/dev/null)" = "$1" ]; }
# services_stop: Kafka runs on.
services_stop() { "$supervisor" stop "$dir" >/dev/null; }
# services_start: on the brokers that are there.
services_start() { stack_broker=$brokers stack_up "$dir" cpu 2; }
# another_log PARTITIONS: all topics anew.
another_log() {
  local -a all
  mapfile -t all < <(kcat -b "$brokers" -L -J </dev/null | jq -r '.topics[].topic | select(startswith("millrace"))')
  "$admin" "$brokers" delete "${all[@]}" || fail 'the topics cannot be deleted'
  "$millrace" topics create --brokers "$brokers" --partitions "$1" >"$dir/created" 2>&1 || fail "$(cat "$dir/created")"
  grep -q 'only after millrace log adopt' "$dir/created" || fail "no word of adoption: $(cat "$dir/created")"
}

begin
store=file://$dir/store
stack_broker=kafka
stack_up "$dir" cpu 2
brokers=$(head -n 1 "$dir/run/bootstrap")
submit first
until_true 120 head_step "$model" 70
first=$(of_head .counter)
[[ $(adopt) == *'nothing to adopt; 0 committed'* ]] || fail "its own log was adopted: $(adopt)"

say "topics made anew: the model is refused, and its records wait"
services_stop
another_log 4
services_start
submit second
until_true 60 test -e "$dir/run/train.failed"
grep -q 76 "$dir/run/train.failed" || fail "train ended otherwise: $(cat "$dir/run/train.failed")"
grep -q '"decision":"LogDiscontinuity".*log adopt' "$dir/log/train.log" || fail "no LogDiscontinuity in train's log"
versions_are "$first" || fail 'a version was made without adoption'

say "adopted: it goes on with what waited"
services_stop
[[ $(adopt) == *'now lies before this one'* ]] || fail "not adopted: $(adopt)"
[[ $(adopt) == *'is known and lies before'* ]] || fail "not known: $(adopt)"
services_start
until_true 120 versions_are "$((first + 1))"

say "another number of partitions: the model goes on on another partition"
before=$(of_head .position.partition)
services_stop
another_log 5
[[ $(adopt) == *'now lies before this one'* ]] || fail "not adopted: $(adopt)"
services_start
submit third
until_true 120 versions_are "$((first + 2))"
[ "$(of_head .position.partition)" != "$before" ] || fail "the model did not move: choose other counts"
"$millrace" store verify "$store" --model "$model" || fail 'the chain does not verify'
"$millrace" replay --brokers "$brokers" --store "$store" --model "$model" >"$dir/replayed" 2>&1 ||
  fail "the head does not replay: $(cat "$dir/replayed")"

say "counts that were changed in place: refused, with a word on what to do"
services_stop
"$admin" "$brokers" delete millrace.steps.trained.v1
"$admin" "$brokers" create millrace.steps.trained.v1 6
if (services_start) >"$dir/refused" 2>&1; then fail 'the services started on unequal counts'; fi
grep -q 'millrace.steps.trained.v1 has 6 partitions, the deployment has 5' "$dir"/log/*.log ||
  fail "no word of it: $(cat "$dir/refused")"
say "the chain goes on: $((first + 3)) versions over three logs"
