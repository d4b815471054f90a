#!/usr/bin/env bash
# The last version of a run has the same bytes whatever the broker and the thread count, and after ten kill -9s at
# random moments; nothing is lost or doubled in the published topics; the version is what the log gives when it is
# trained again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly batches=400 rows=8 kills=10 model=same

# train_stream RATE: the whole run, at that many batches a second.
train_stream() {
  "$millrace" submit --brokers "$brokers" --model "$model" --run first --start --spec "$e2e/small_run.json" \
    --sobol "0:$((batches * rows))" --rows-per-batch "$rows" --rate "$1" --stop >/dev/null 2>"$dir/submit.log" ||
    fail "submit: $(cat "$dir/submit.log")"
}

# published TOPIC-VERB COUNT: all of them, each once.
published() {
  timeout 60 "$millrace" "$1" --brokers "$brokers" --model "$model" --count "$2" --format json
}

check_published() {
  local steps versions
  steps=$(published metrics "$((batches + 2))" | jq -r 'select(.event == "stepped") | .step')
  [ "$steps" = "$(seq 1 "$batches")" ] || fail "the published steps are not 1 .. $batches, each once"
  versions=$(published versions 6 | jq -r .counter)
  [ "$versions" = "$(seq 0 5)" ] || fail "the published versions are not 0 .. 5, each once"
}

check_versions() {
  "$millrace" store verify "$store" --model "$model" || fail "the chain does not verify"
  "$millrace" replay --brokers "$brokers" --store "$store" --model "$model" --device cpu || fail "replay differs"
}

begin
broker=$stack_broker
stack_broker=dev
say "quiet, 2 threads, the development broker"
fresh 2
train_stream 0
until_true 120 head_step "$model" "$batches"
quiet=$(content_hash "$model")
check_published
check_versions
"$millrace" replay --brokers "$brokers" --store "$store" --model "$model" --device cpu --from genesis --threads 3 ||
  fail "replay from genesis differs"

stack_broker=$broker
for threads in 1 3; do
  say "quiet, $threads threads, broker $broker"
  fresh "$threads"
  train_stream 0
  until_true 120 head_step "$model" "$batches"
  [ "$(content_hash "$model")" = "$quiet" ] || fail "$threads threads give other bytes"
done

say "killed $kills times, 2 threads, broker $broker"
fresh 2
train_stream 40 &
submitter=$!
RANDOM=${MILLRACE_TEST_SEED:-7}
for ((kill = 0; kill < kills; kill++)); do
  victim=${services[$((RANDOM % ${#services[@]}))]}
  pid=$(service_pid "$victim")
  say "  kill -9 $victim ($pid)"
  kill -9 "$pid"
  until_true 30 another_pid "$victim" "$pid"
  sleep "0.$((RANDOM % 9 + 1))" # a random moment, not a wait for anything
done
wait "$submitter" || fail "the submitter failed"
until_true 120 head_step "$model" "$batches"
[ "$(content_hash "$model")" = "$quiet" ] || fail "the killed run has other bytes"
check_published
check_versions
say "all equal: $quiet"
