#!/usr/bin/env bash
# A model goes on in a new log only after somebody has said so (rule O1): the stack refuses to start on it, `--adopt`
# and `millrace log adopt` make the log it knows a predecessor, and its chain goes on.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly model=moving

train_run() {
  "$millrace" submit --brokers "$brokers" --model "$model" --run "$1" --start --spec "$e2e/small_run.json" \
    --sobol 0:560 --rows-per-batch 8 --stop >"$dir/submit.log" 2>&1 || fail "submit: $(cat "$dir/submit.log")"
}
versions() { jq -r .counter "$dir/store/$model/head.json"; }
versions_are() { [ "$(versions)" = "$1" ]; }

begin
fresh 2
train_run first
until_true 120 head_step "$model" 70
first=$(versions)
adopted=$("$millrace" log adopt --brokers "$brokers" --store "$store" --model "$model")
[[ $adopted == *"nothing to adopt"* ]] || fail "its own log was adopted: $adopted"
stack_down "$dir" >/dev/null

say "a new broker: the stack is refused, until the earlier log is adopted"
if (stack_up "$dir" cpu 2 false) >"$dir/refused.log" 2>&1; then fail "the stack started on an unknown log"; fi
grep -q adopt "$dir/refused.log" || fail "the refusal does not say what to do: $(cat "$dir/refused.log")"

mkdir -p "$dir/other"
"$bin/millrace-devbroker" "--dir=$dir/other" >"$dir/other.log" 2>&1 &
until_true 30 test -s "$dir/other/bootstrap"
brokers=$(head -n 1 "$dir/other/bootstrap")
"$millrace" log adopt --brokers "$brokers" --store "$store" --model "$model" | grep -q 'now lies before' ||
  fail "the log was not adopted"
"$millrace" log adopt --brokers "$brokers" --store "$store" --model "$model" | grep -q 'is known' ||
  fail "the adopted log is not known"
kill %1

stack_up "$dir" cpu 2 true
brokers=$(head -n 1 "$dir/run/bootstrap")
train_run second
until_true 120 versions_are "$((first + 1))"
"$millrace" store verify "$store" --model "$model" || fail "the chain does not verify"
say "the chain goes on: $((first + 2)) versions over two logs"
