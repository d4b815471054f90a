# ./dev bench client: how long after its commit a version is served, on an embedded stack with a file:/// store.

# bench_client [--quick] [--report FILE]
bench_client() {
  local quick=false report=$build/bench/client.json versions=200 brokers
  while [ $# -gt 0 ]; do
    case $1 in
      --quick) quick=true && shift ;;
      --report)
        needs_value "$@"
        report=$(realpath -m -- "$2")
        shift 2
        ;;
      *) die "$EXIT_USAGE" "unknown option '$1'" ;;
    esac
  done
  if $quick; then versions=20; fi
  if [ -z "${MILLRACE_BIN:-}" ]; then bash "$root/tools/dev/build.sh"; fi
  mkdir -p "$(dirname "$report")"
  bench_client_dir=$(mktemp -d)
  trap 'code=$?; trap - EXIT; stack_down "$bench_client_dir" >/dev/null 2>&1 || true
        kill $(jobs -p) 2>/dev/null || true; rm -rf "$bench_client_dir"; exit $code' EXIT
  trap 'exit 130' INT TERM
  say "load before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
  stack_up "$bench_client_dir" cpu 1 false
  brokers=$(head -n 1 "$bench_client_dir/run/bootstrap")
  # A version every 10 batches, two versions a second: the demo's network, on few paths.
  jq '.commit_plan = {interval_commit: {every_steps: 10}}' "$root/tests/e2e/small_run.json" >"$bench_client_dir/run.json"
  "$bin/millrace" submit --brokers "$brokers" --model bench --run r1 --start --spec "$bench_client_dir/run.json" \
    --sobol "0:$((versions * 10 * 8 + 80))" --rows-per-batch 8 --rate 20 --stop >"$bench_client_dir/log/submit.log" 2>&1 &
  "$bin/millrace-bench-client" "--store=file://$bench_client_dir/store" --model=bench \
    "--redis=unix:$bench_client_dir/run/redis.sock" --poll-ms=1000 "--versions=$versions" "--report=$report"
  jq -r '"commit -> served, \(.woken.versions) versions:",
    "  woken by Redis:        p50 \(.woken.p50_ms) ms, p99 \(.woken.p99_ms) ms, at most \(.woken.max_ms) ms",
    "  polling every \(.poll_ms) ms: p50 \(.polling.p50_ms) ms, p99 \(.polling.p99_ms) ms, at most \(.polling.max_ms) ms"' \
    "$report"
}
