#!/usr/bin/env bash
# ./dev up and down: ready when they say so, a killed service is there again with a true pid and answers, a second up is
# refused, down leaves files but no process, and an earlier broker's models are gone on with when asked, and only then.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

head_run() { [ "$(jq -r .run_id "$dir/store/$1/head.json" 2>/dev/null)" = "$2" ]; }

begin
fresh 1
for service in "${services[@]}"; do
  ready "$service" || fail "$service is not ready, but up said so"
  old=$(service_pid "$service")
  kill -9 "$old"
  until_true 30 another_pid "$service" "$old"
  until_true 30 ready "$service"
done
"$bin/example-submit" "$brokers" plane run-1 >/dev/null || fail "nothing can be submitted"
until_true 60 head_run plane run-1
status=0
(stack_up "$dir" cpu 1) 2>"$dir/second" || status=$?
[ "$status" -eq 73 ] || fail "a second up exits $status, not 73: $(cat "$dir/second")"

all=$(cat "$dir"/run/*.pid)
stack_down "$dir" || fail "down failed"
for pid in $all; do
  ! kill -0 "$pid" 2>/dev/null || fail "process $pid is left"
done
[ -d "$dir/store" ] && [ -s "$dir/log/train.log" ] || fail "the files are gone"

status=0
(stack_up "$dir" cpu 1 false) 2>"$dir/third" || status=$?
[ "$status" -eq 64 ] && grep -q -- --adopt "$dir/third" ||
  fail "models of an earlier broker are taken over unasked ($status): $(cat "$dir/third")"
stack_up "$dir" cpu 1 true
"$bin/example-submit" "$(head -n 1 "$dir/run/bootstrap")" plane run-2 >/dev/null || fail "nothing can be submitted"
until_true 60 head_run plane run-2
