#!/usr/bin/env bash
# ./dev up --broker kafka: a stack that is stopped in the middle goes on where it was, and ends with the bytes of the
# development broker; a model of the development broker goes on there when it is adopted; and no development broker is
# started where the log is on Apache Kafka.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly half=200 rows=8 model=steady

# part FIRST OPTION...: that half of the batches.
part() {
  "$millrace" submit --brokers "$brokers" --model "$model" --run first --sobol "$1:$((half * rows))" \
    --rows-per-batch "$rows" "${@:2}" >"$dir/submit.log" 2>&1 || fail "submit: $(cat "$dir/submit.log")"
}
first_half() { part 0 --start --spec "$e2e/small_run.json"; }
second_half() { part "$((half * rows))" --stop; }
versions() { jq -r .counter "$dir/store/$model/head.json"; }
versions_are() { [ "$(versions)" = "$1" ]; }
running() { kafka_pid "$dir/kafka" 1; }

begin
stack_broker=dev
say "quiet, the development broker"
fresh 2
first_half
second_half
until_true 120 head_step "$model" "$((2 * half))"
quiet=$(content_hash "$model") last=$(versions)
stack_down "$dir" >/dev/null

say "its model on Apache Kafka"
stack_broker=kafka
stack_up "$dir" cpu 2 true >/dev/null
brokers=$(head -n 1 "$dir/run/bootstrap")
"$millrace" submit --brokers "$brokers" --model "$model" --run second --start --spec "$e2e/small_run.json" \
  --sobol "0:$rows" --rows-per-batch "$rows" --stop >"$dir/submit.log" 2>&1 || fail "submit: $(cat "$dir/submit.log")"
until_true 60 versions_are "$((last + 1))"
"$millrace" store verify "$store" --model "$model" || fail "the chain over two logs does not verify"

say "stopped and started"
fresh 2
before=$brokers
first_half
stack_down "$dir" >/dev/null
! running || fail "down left the broker"
status=0
(stack_broker=dev && stack_up "$dir" cpu 2) >"$dir/refused.log" 2>&1 || status=$?
[ "$status" -eq 64 ] && grep -q -- '--broker kafka' "$dir/refused.log" ||
  fail "another broker for this log ($status): $(cat "$dir/refused.log")"
stack_up "$dir" cpu 2 false
brokers=$(head -n 1 "$dir/run/bootstrap")
[ "$brokers" = "$before" ] || fail "the broker was at $before and is at $brokers"
second_half
until_true 120 head_step "$model" "$((2 * half))"
[ "$(content_hash "$model")" = "$quiet" ] || fail "other bytes than with the development broker"
steps=$(timeout 60 "$millrace" metrics --brokers "$brokers" --model "$model" --count "$((2 * half + 2))" --format json |
  jq -r 'select(.event == "stepped") | .step')
[ "$steps" = "$(seq 1 "$((2 * half))")" ] || fail "the published steps are not 1 .. $((2 * half)), each once"
say "all equal: $quiet"
