#!/usr/bin/env bash
# Members of consumer groups: ingest and validate twice, persist and publish once, stage_gpu and train by a fixed list.
# One ingest and one validate are killed while batches come; the others take their partitions over, the models have the
# bytes of a quiet run, and each event is published once.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
source "$e2e/members.bash"
readonly models=(plain claims final bf16) batches=50 rows=8 # on 4 partitions

stream() {
  local model
  for model in "${models[@]}"; do
    "$millrace" submit --brokers "$brokers" --model "$model" --run r1 --start --spec "$dir/spec.json" \
      --sobol "0:$((batches * rows))" --rows-per-batch "$rows" --rate "$1" --stop >/dev/null 2>"$dir/$model.log" &
    submitters+=("$!")
  done
}
all_trained() {
  local model
  for model in "${models[@]}"; do head_step "$model" "$batches" || return 1; done
}
hashes() { for model in "${models[@]}"; do content_hash "$model"; done; }
begin_stack() {
  submitters=()
  fresh 2
  jq '.commit_plan={final_and_interval_commit:{every_steps:20}}' "$e2e/small_run.json" >"$dir/spec.json"
}
submitted_all() { for one in "${submitters[@]}"; do wait "$one" || fail "submit: $(cat "$dir"/*.log)"; done; }
size() { "$MR_TOOLS/mr_topic_size" "$brokers" "$1"; }
size_is() { [ "$(size "$1")" = "$2" ]; }
passed() { [ "$(size "$1")" -ge "$2" ]; }
# published VERB MODEL COUNT FILTER: what a follower sees.
published() {
  timeout 30 "$millrace" "$1" --brokers "$brokers" --model "$2" --count "$3" --format json | jq -r "$4" | paste -sd' ' -
}

begin
say "quiet, by fixed lists"
begin_stack
stream 0
submitted_all
until_true 60 all_trained
quiet=$(hashes)

as_members=true
say "as members of groups"
begin_stack
second ingest
second validate
until_true 60 share ingest
until_true 60 share validate
stream 5
until_true 60 passed millrace.batches.validated.v1 60
say "  kill -9 ingest (${second_pid[ingest]}) and validate (${second_pid[validate]})"
kill -9 "${second_pid[ingest]}" "${second_pid[validate]}"
submitted_all
until_true 60 holds_all ingest
until_true 60 holds_all validate
until_true 60 all_trained
[ "$(hashes)" = "$quiet" ] || fail "the models have other bytes"

say "nothing is lost, nothing is there twice"
until_true 30 size_is millrace.metrics.v1 "$((${#models[@]} * (batches + 2)))"
until_true 30 size_is millrace.versions.v1 "$((${#models[@]} * 3))"
for model in "${models[@]}"; do
  [ "$(published metrics "$model" "$((batches + 2))" 'select(.event == "stepped") | .step')" = \
    "$(seq -s' ' 1 "$batches")" ] || fail "the published steps of $model"
  [ "$(published versions "$model" 3 .step)" = "20 40 $batches" ] || fail "the published versions of $model"
  "$millrace" store verify "$store" --model "$model" >/dev/null || fail "the chain of $model does not verify"
done
say "all equal"
