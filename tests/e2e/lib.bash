# Sourced by the end-to-end tests: a stack in a temporary folder, built in $MILLRACE_BIN. Its broker is the development
# broker, or $MILLRACE_TEST_BROKER.
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/dev/lib/common.bash"
source "$root/tools/dev/lib/stack.bash"
stack_broker=${MILLRACE_TEST_BROKER:-dev}
millrace=$bin/millrace
e2e=$root/tests/e2e
readonly millrace e2e

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# begin [COMMAND...]: a folder in $dir, whose stack is stopped at the end, and which is kept only if the test failed.
# The command then ends what else was started.
begin() {
  at_end=("${@:-true}")
  dir=$(mktemp -d)
  trap 'code=$?; trap - EXIT; kill $(jobs -p) 2>/dev/null || true; kill -CONT $(jobs -p) 2>/dev/null || true
        stack_down "$dir" >/dev/null 2>&1 || true; "${at_end[@]}"
        if [ $code -eq 0 ]; then rm -rf "$dir"; else tail -n 5 "$dir"/log/*.log; echo "kept: $dir"; fi; exit $code' EXIT
}

# fresh THREADS: an empty stack in $dir, after stopping the one before.
fresh() {
  stack_down "$dir" >/dev/null 2>&1 || true
  rm -rf "${dir:?}"/*
  stack_up "$dir" cpu "$1" false
  brokers=$(head -n 1 "$dir/run/bootstrap")
  store=${stack_store:-file://$dir/store}
}

# until_true SECONDS COMMAND...: waits until it is true.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "still not true: $*"
    sleep 0.1
  done
}

# head_step MODEL STEP: whether the model's head is at that step.
head_step() { [ "$(jq -r .step "$dir/store/$1/head.json" 2>/dev/null)" = "$2" ]; }
content_hash() { jq -r .content_hash "$dir/store/$1/head.json"; }
service_pid() { cat "$dir/run/$1.pid"; }
# another_pid SERVICE PID: whether it runs under another pid; between two there is none.
another_pid() {
  local now
  now=$(service_pid "$1" 2>/dev/null) && [ -n "$now" ] && [ "$now" != "$2" ]
}

# metric SERVICE NAME: the sum of its series.
metric() {
  {
    exec 3<>"/dev/tcp/127.0.0.1/$(cat "$dir/run/$1.port")"
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
    awk -v name="$2" 'index($1, name) == 1 { sum += $2 } END { print sum + 0 }' <&3
  } 2>/dev/null || echo 0
}
# ready SERVICE: whether it says so.
ready() {
  {
    exec 3<>"/dev/tcp/127.0.0.1/$(cat "$dir/run/$1.port")" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 &&
      head -n 1 <&3 | grep -q ' 200 '
  } 2>/dev/null
}
