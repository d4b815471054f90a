#!/usr/bin/env bash
# Every kind of bad input has its own clear outcome and disturbs nothing else: the good records around it are trained,
# another model's bytes are what they are without it, no service restarts. A dead letter replayed after its cause is
# gone is accepted once.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly tools=$MR_TOOLS batches=100 rows=8 good_steps=8

other_model() {
  "$millrace" submit --brokers "$brokers" --model other --run first --start --spec "$e2e/small_run.json" \
    --sobol "0:$((batches * rows))" --rows-per-batch "$rows" --rate 100 --stop >/dev/null 2>"$dir/submit.log" ||
    fail "submit: $(cat "$dir/submit.log")"
}
dead_letters() { "$tools/mr_bad_input" check "$brokers"; }
dead_letters_are() { [ "$(dead_letters 2>/dev/null)" = "$1" ]; }
pids() { for service in "${services[@]}"; do service_pid "$service"; done; }
# The steps of model bad so far, by its published metrics.
bad_steps() {
  { timeout 3 "$millrace" metrics --brokers "$brokers" --model bad --format json || true; } |
    jq -r 'select(.event == "stepped") | .step' | tail -n 1
}
bad_steps_are() { [ "$(bad_steps)" = "$1" ]; }
duplicates() { grep -c '"decision":"Duplicate"' "$dir/log/ingest.log" || true; }
duplicates_are() { [ "$(duplicates)" = "$1" ]; }

begin
say "another model, alone"
fresh 2
other_model
until_true 120 head_step other "$batches"
quiet=$(content_hash other)

say "the same with bad input beside it"
fresh 2
before=$(pids)
other_model &
submitter=$!
expected=$("$tools/mr_bad_input" send "$brokers" "$dir")
say "$expected records that must be refused"
wait "$submitter"
until_true 120 dead_letters_are "$expected"
dead_letters >/dev/null || fail "a reason is wrong"
until_true 120 head_step other "$batches"
[ "$(content_hash other)" = "$quiet" ] || fail "another model was disturbed"
until_true 60 bad_steps_are "$good_steps"
until_true 10 duplicates_are 3

say "a dead letter replayed after its cause is gone is accepted once"
late=$("$millrace" dlq ls --brokers "$brokers" --reason claim_missing --format json |
  jq -r '(if type == "array" then .[] else . end) | .id')
[ -n "$late" ] || fail "millrace dlq ls does not show the missing claim check"
cp "$dir/payload.bin" "$dir/late.bin"
"$millrace" dlq replay --brokers "$brokers" "$late" >/dev/null || fail "the replay failed"
until_true 60 bad_steps_are "$((good_steps + 1))"
"$millrace" dlq replay --brokers "$brokers" "$late" >/dev/null || fail "the second replay failed"
until_true 60 duplicates_are 4

say "a batch after the stop"
expected=$((expected + $("$tools/mr_bad_input" stop "$brokers")))
until_true 60 dead_letters_are "$expected"
until_true 120 head_step bad "$((good_steps + 1))"
"$millrace" store verify "$store" --model bad || fail "the chain does not verify"
[ "$(pids)" = "$before" ] || fail "a service was restarted"
say "all as it should be"
