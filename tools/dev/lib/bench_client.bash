# ./dev bench client: how long after its commit a version is served, on an embedded stack with a file:/// store.

# bench_client [--quick] [--report FILE]
bench_client() (
  quick=false report=$build/bench/client.json versions=200
  while [ $# -gt 0 ]; do
    case $1 in
      --quick)
        quick=true
        shift
        ;;
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
  dir=$(mktemp -d)
  trap 'code=$?; trap - EXIT; kill $(jobs -p) 2>/dev/null || true; stack_down "$dir" >/dev/null 2>&1 || true
        rm -rf "$dir"; exit $code' EXIT
  trap 'exit 130' INT TERM
  say "load before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
  stack_up "$dir" cpu 1 false
  # A version every 10 batches, two versions a second.
  jq '.commit_plan = {interval_commit: {every_steps: 10}}' "$root/tests/e2e/small_run.json" >"$dir/run.json"
  "$bin/millrace" submit --brokers "$(head -n 1 "$dir/run/bootstrap")" --model bench --run r1 --start \
    --spec "$dir/run.json" --sobol "0:$((versions * 10 * 8 + 80))" --rows-per-batch 8 --rate 20 --stop \
    >"$dir/log/submit.log" 2>&1 &
  "$bin/millrace-bench-client" "--store=file://$dir/store" --model=bench "--redis=unix:$dir/run/redis.sock" \
    --poll-ms=1000 "--versions=$versions" "--report=$report"
  jq -r 'def line: "p50 \(.p50_ms) ms, p99 \(.p99_ms) ms, at most \(.max_ms) ms";
    "commit -> served, \(.woken.versions) versions:", "  woken by Redis:        \(.woken | line)",
    "  polling every \(.poll_ms) ms: \(.polling | line)"' "$report"
)
