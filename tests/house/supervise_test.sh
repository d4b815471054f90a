#!/usr/bin/env bash
# The supervisor with fake services: pids that are true, a kill -9 that is healed, an end for good that is told, one
# stack per folder, the order of the stop, and nothing left behind when the supervisor itself is killed.
# Usage: supervise_test.sh SUPERVISOR FAKE_SERVICE
set -euo pipefail
supervisor=$1 fake=$2
dir=$(mktemp -d)
background=()
finish() {
  local status=$?
  "$supervisor" stop "$dir" >/dev/null 2>&1 || true
  [ $status -eq 0 ] || cat "$dir"/log/*.log >&2
  # What the killed supervisor left dies with it, and may write a last line meanwhile.
  for _ in $(seq 250); do
    rm -rf "$dir" 2>/dev/null && break
    sleep 0.02
  done
  exit $status
}
trap finish EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# until_true WHAT COMMAND...: polls for it; the time limit is only there to end a broken run.
until_true() {
  local what=$1 tries=0
  shift
  until "$@"; do
    tries=$((tries + 1))
    [ $tries -lt 1500 ] || fail "never: $what"
    sleep 0.02
  done
}
pid_of() { cat "$dir/run/$1.pid"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
# A service that died twice within a second is started again a little later; meanwhile it has no pid file.
pid_changed() {
  local now
  now=$(cat "$dir/run/$1.pid" 2>/dev/null) && [ -n "$now" ] && [ "$now" != "$2" ]
}

# plan EXTRA-LINES...
plan() {
  cat <<PLAN
process broker
level 1
restart never
ready file bootstrap
arg $fake
arg broker
arg $dir/run
arg --file=bootstrap
process train
level 2
restart always
ready http
arg $fake
arg train
arg $dir/run
arg --port={port}
arg {file:bootstrap}
process persist
level 2
restart always
ready http
arg $fake
arg persist
arg $dir/run
arg --port={port}
PLAN
  printf '%s\n' "$@"
}
up() {
  mkdir -p "$dir/run" "$dir/log"
  rm -f "$dir/run/stopped"
  plan "$@" >"$dir/run/plan"
  "$supervisor" run "$dir" "$dir/run/plan" >>"$dir/log/supervisor.log" 2>&1 &
  background+=($!)
}
argument() { tr '\0' '\n' <"/proc/$(pid_of train)/cmdline" | sed -n "$1p"; }

"$supervisor" pid "$dir" && fail "nothing runs yet, but pid says so"
"$supervisor" stop "$dir" && fail "nothing runs yet, but stop says so"

up
until_true "ready" test -s "$dir/run/ready"
[ "$("$supervisor" pid "$dir")" = "$(pid_of supervisor)" ] || fail "pid and supervisor.pid differ"
[ "$(argument 4)" = "--port=$(cat "$dir/run/train.port")" ] || fail "the port was not filled in"
[ "$(argument 5)" = here ] || fail "the file's first line was not filled in: $(argument 5)"
[ "$(cat "$dir/run/train.port")" != "$(cat "$dir/run/persist.port")" ] || fail "two services share a port"

for round in 1 2 3; do
  old=$(pid_of train)
  kill -9 "$old"
  until_true "train is started again ($round)" pid_changed train "$old"
  kill -0 "$(pid_of train)" || fail "train.pid is not a process"
done
kill -0 "$(pid_of persist)" || fail "persist was disturbed"

status=0
"$supervisor" run "$dir" "$dir/run/plan" 2>"$dir/second" || status=$?
[ $status -eq 73 ] || fail "a second supervisor exited $status, not 73"
grep -q "runs in this folder already" "$dir/second" || fail "the refusal does not say why"

"$supervisor" stop "$dir" || fail "stop failed"
[ "$(tail -n 1 "$dir/run/stopped")" = broker ] || fail "the broker was not stopped last"
[ "$(sort "$dir/run/stopped" | tr '\n' ' ')" = "broker persist train " ] || fail "not all were asked to stop"
[ -z "$(find "$dir/run" -name '*.pid')" ] || fail "pid files are left"
[ ! -e "$dir/run/ready" ] || fail "ready is left"
wait "${background[0]}" || fail "the supervisor exited $?"

# A service that ends with a configuration error is told, not repeated; the others go on.
up "process ingest" "level 2" "restart always" "ready http" "arg $fake" "arg ingest" "arg $dir/run" "arg --exit=64"
until_true "ingest is given up" test -s "$dir/run/ingest.failed"
grep -q "exit code 64 (usage)" "$dir/run/ingest.failed" || fail "ingest.failed does not say why"
until_true "train runs beside it" test -s "$dir/run/train.pid"
[ ! -e "$dir/run/ingest.pid" ] || fail "ingest has a pid"

# The broker's end is the stack's.
kill -9 "$(pid_of broker)"
status=0
wait "${background[1]}" || status=$?
[ $status -eq 69 ] || fail "without its broker the stack exited $status, not 69"
grep -q "killed by signal 9" "$dir/run/broker.failed" || fail "broker.failed does not say why"

# A killed supervisor takes its processes with it, and its folder is free.
up
until_true "ready again" test -s "$dir/run/ready"
left=("$(pid_of broker)" "$(pid_of train)" "$(pid_of persist)")
kill -9 "$(pid_of supervisor)"
for pid in "${left[@]}"; do until_true "$pid ended with its supervisor" gone "$pid"; done
"$supervisor" pid "$dir" && fail "a dead supervisor holds the folder"
up
until_true "ready after a killed supervisor" test -s "$dir/run/ready"
echo "supervise: as promised"
