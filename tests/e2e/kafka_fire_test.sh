#!/usr/bin/env bash
# Ordered retry under fire: kafka_fire_test.sh [--models N] [--poison N] [--kills N] [--first-wait-ms N]
#
# Many models get good batches and as many poisoned ones, as fast as they can be sent, to Apache Kafka: what ingest
# refuses, what validate refuses, claims that fail 1 to 4 times or always. Meanwhile ingest and validate are killed in
# turn. Afterwards each model has exactly its good records, in their order, and the content that it has without the
# others; each poisoned one is one dead letter; and none was tried more often than it may be.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
source "$e2e/faults.bash"
export PYTHONPATH=$venv/generated
readonly patience_s=900

models=20 poison=1000 kills=2 first_wait_ms=20
while [ $# -gt 0 ]; do
  case $1 in
    --models) models=$2 ;;
    --poison) poison=$2 ;;
    --kills) kills=$2 ;;
    --first-wait-ms) first_wait_ms=$2 ;;
    *) die "$EXIT_USAGE" "unknown option '$1'" ;;
  esac
  shift 2
done

stream() { "$venv/bin/python3" "$e2e/fire_stream.py" "$1" "$work/stream" "${@:2}"; }
# submit_each JSON: an event for each model, $model being its id.
submit_each() {
  cut -d ' ' -f 1 "$work/models" | jq -cR --slurpfile spec "$work/spec.json" ". as \$model | $1" |
    "$millrace" submit --brokers "$brokers" --jsonl - >"$work/submit.log" 2>&1 ||
    fail "submit: $(cat "$work/submit.log")"
}
start_runs() { submit_each '{run_started: {model_id: $model, run_id: "fire", spec: $spec[0]}}'; }
stop_runs() { submit_each '{run_stopped: {model_id: $model, run_id: "fire", outcome: "completed"}}'; }

# heads: each model, its step and the hash of its content.
heads() {
  local model
  for model in "$dir"/store/*/head.json; do
    [ ! -e "$model" ] || jq -r --arg model "$(basename "$(dirname "$model")")" '"\($model) \(.step) \(.content_hash)"' \
      "$model"
  done
}
all_trained() { [ "$(metric train millrace_train_steps_total)" -ge "$steps" ]; }
committed() { [ "$(heads | cut -d ' ' -f 1,2)" = "$(cat "$work/models")" ]; }
letters() { "$MR_TOOLS/mr_topic_size" "$brokers" millrace.deadletters.v1; }
letters_at_least() { [ "$(letters)" -ge "$1" ]; }
nothing_parked() {
  [ "$(metric ingest millrace_parked_records)" = 0 ] && [ "$(metric validate millrace_parked_records)" = 0 ]
}

# quiet: what the good records give, on the development broker.
quiet() {
  dir=$work/quiet stack_broker=dev
  stack_up "$dir" cpu 2 false
  brokers=$(head -n 1 "$dir/run/bootstrap")
  start_runs
  stream send "$brokers" good
  until_true "$patience_s" all_trained
  stop_runs
  until_true "$patience_s" committed
  heads >"$work/expected"
  stack_down "$dir" >/dev/null
}

# kill_some: ingest and validate in turn, while the poison burns.
kill_some() {
  local number service before
  local -a both=(ingest validate)
  for ((number = 0; number < kills; number++)); do
    service=${both[number % 2]}
    until_true "$patience_s" letters_at_least $((refused * (number + 1) / (kills + 1)))
    before=$(service_pid "$service")
    kill -KILL "$before"
    until_true "$patience_s" another_pid "$service" "$before"
    until_true "$patience_s" ready "$service"
  done
}

peak_kib() { awk '$1 == "VmHWM:" { print $2 }' "/proc/$(service_pid "$1")/status"; }

fire() {
  local sender began=$SECONDS
  dir=$work/stack stack_broker=kafka
  mkdir -p "$dir"
  faults_of_claims $((4 * poison + 4 * models))
  MILLRACE_LOG_LEVEL=debug MILLRACE_RETRY_FIRST_MS=$first_wait_ms with_faults stack_up "$dir" cpu 2 false
  brokers=$(head -n 1 "$dir/run/bootstrap")
  start_runs
  stream send "$brokers" all &
  sender=$!
  kill_some
  wait "$sender"
  until_true "$patience_s" letters_at_least "$refused"
  stop_runs
  until_true "$patience_s" committed
  until_true "$patience_s" nothing_parked
  say "$poison poisoned records of $models models, $kills kills: $((SECONDS - began)) s;" \
    "memory at its peak: ingest $(peak_kib ingest) KiB, validate $(peak_kib validate) KiB"
}

check() {
  heads | diff "$work/expected" - >"$work/differs" || fail "other content than without poison: $(cat "$work/differs")"
  stream check "$brokers" "$dir" $(((kills + 1) / 2)) || fail "what came of it is not right"
  "$venv/bin/python3" "$root/bench/pipeline/count.py" --brokers "$brokers" --expect "$steps" >"$work/count" 2>&1 ||
    fail "the count is not right: $(cat "$work/count")"
  ! grep -h '"level":"alarm"' "$dir"/log/*.log >"$work/alarms" || fail "alarms: $(cat "$work/alarms")"
}

[ -d "$venv/generated" ] || fail "what the counter needs is not there (./dev setup)"
begin
work=$dir
jq 'del(.pricing) | .labelled = {features: 3, targets: 2} | .commit_plan = {final_commit: {}}' "$e2e/small_run.json" \
  >"$work/spec.json"
stream make "$models" "$poison" >"$work/models"
steps=$(awk '{ sum += $2 } END { print sum }' "$work/models")
refused=$(($(wc -l <"$work/stream/records") - steps))
readonly work steps refused
quiet
fire
check
