#!/usr/bin/env bash
# ./dev bench pipeline      measures the whole pipeline on Apache Kafka on this machine; docs/benchmarks.md says how
# ./dev bench client        how long after its commit a version is served; --quick and --report alone
# ./dev bench store         requests, commits and verification on a folder and on a real S3 server
#
#   --quick          small numbers: whether it all works, not how fast
#   --only S,S...    pipeline: some of sustained latency fire models partitions length; store: some of file rgw
#   --report FILE    the figures as JSON (default: build/bench/NAME.json); a table goes to standard output
#   --dir DIR        pipeline: keeps logs, store and the brokers' data in DIR; default: a temporary folder, removed at
#                    the end. store: the file store is made on the disk of DIR
#
# After each scenario of the pipeline every submitted batch is counted by a consumer that shares no code with Millrace;
# it exits 1 when one is lost or doubled. MILLRACE_BIN names programs built elsewhere; otherwise it builds first.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/stack.bash"
help_if_asked "$@"

case ${1:-} in
  pipeline) shift ;;
  client)
    source "$root/tools/dev/lib/bench_client.bash"
    bench_client "${@:2}"
    exit
    ;;
  store)
    source "$root/tools/dev/lib/bench_store.bash"
    bench_store "${@:2}"
    exit
    ;;
  *) die "$EXIT_USAGE" "what? ./dev bench pipeline, client or store" ;;
esac
readonly -a all_scenarios=(sustained latency fire models partitions length)
scenarios=("${all_scenarios[@]}")
quick=false report=$build/bench/pipeline.json dir='' keep=true
while [ $# -gt 0 ]; do
  case $1 in
    --quick)
      quick=true
      shift
      ;;
    --only | --report | --dir)
      needs_value "$@"
      case $1 in
        --only) IFS=, read -ra scenarios <<<"$2" ;;
        --report) report=$(realpath -m -- "$2") ;;
        --dir) dir=$2 ;;
      esac
      shift 2
      ;;
    *) die "$EXIT_USAGE" "unknown option '$1'" ;;
  esac
done
for scenario in "${scenarios[@]}"; do
  case " ${all_scenarios[*]} " in
    *" $scenario "*) ;;
    *) die "$EXIT_USAGE" "there is no scenario '$scenario'; there are ${all_scenarios[*]}" ;;
  esac
done

if [ -z "${MILLRACE_BIN:-}" ]; then bash "$root/tools/dev/build.sh"; fi
bash "$root/examples/python/setup.sh" "$venv" >/dev/null
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  keep=false
fi
stack_folder "$dir"
dir=$stack_dir
readonly stack=$dir/stack figures=$dir/figures
rm -rf "$figures"
mkdir -p "$figures" "$(dirname "$report")"

finish() {
  local code=$?
  trap - EXIT
  stack_down "$stack" >/dev/null 2>&1 || true
  if [ "$keep" = false ] && [ "$code" -eq 0 ]; then rm -rf "$dir"; else say "kept: $dir"; fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# open_stack PARTITIONS: Apache Kafka, Redis and the six services, with nothing in them.
open_stack() {
  stack_broker=kafka
  rm -rf "$stack"
  mkdir -p "$stack/run" "$stack/log"
  kafka_make "$stack/kafka" 1 "${kafka_versions%% *}" none
  kafka_start "$stack/kafka" 1
  "$bin/millrace" topics create --brokers "$(cat "$stack/kafka/bootstrap")" --partitions "$1" >"$stack/log/topics.log"
  stack_up "$stack" cpu ''
  brokers=$(head -n 1 "$stack/run/bootstrap")
  batches=0
}

# close_stack NAME: counts what came of all that was submitted, then stops.
close_stack() {
  local status=0
  PYTHONPATH=$venv/generated "$venv/bin/python3" "$root/bench/pipeline/count.py" --brokers "$brokers" \
    --expect "$batches" >"$figures/$1.count.json" || status=$?
  [ "$status" -eq 0 ] || die "$EXIT_FAILED" "$1: the count is not as it must be: $(cat "$figures/$1.count.json")"
  jq -r '"  counted in \(.seconds) s: \(.batches) batches of \(.models) models, each trained and published once; " +
    "\(.versions) versions"' "$figures/$1.count.json"
  stack_down "$stack" >/dev/null || true
}

# processes NAME...: as the measuring programs take them: NAME:PID:PORT, joined by commas.
processes() {
  local name port
  for name in "$@"; do
    port=$(cat "$stack/run/$name.port" 2>/dev/null || echo 0)
    printf '%s:%s:%s\n' "$name" "$(cat "$stack/run/$name.pid")" "$port"
  done | paste -sd,
}

# load NAME EVENTS MODELS OPTION...: a load on the open stack; its figures go to NAME.json, its line to the terminal.
load() {
  local name=$1 events=$2 models=$3
  shift 3
  "$bin/millrace-bench-pipeline" "--brokers=$brokers" "--events=$events" "--models=$models" \
    "--processes=$(processes "${services[@]}" redis),broker:$(kafka_pid "$stack/kafka" 1)" \
    "--report=$figures/$name.json" "$@"
  batches=$((batches + events))
  tell_load "$name"
}

# tell_load NAME: the line of a load.
tell_load() {
  jq -r --arg name "$1" 'def ms: (. * 10 | round) / 10;
    .steady as $steady | [$name, ($steady.events_per_second | round), (.latency_ms.trained.p50 | ms),
      (.latency_ms.trained.p99 | ms), (.latency_ms.version | if . then (.p50 | ms), (.p99 | ms) else "-", "-" end),
      ($steady.cpu_us_per_event | (del(.broker, .redis, .load) | add), .broker, .load | round),
      ($steady.cores_busy * 100 | round)] | @tsv' "$figures/$1.json" |
    awk -F'\t' '{ printf "  %-16s %6d events/s  trained p50 %8.1f p99 %8.1f ms  version p50 %8s p99 %8s ms  " \
      "us of CPU an event: services %5d broker %5d load %4d  %3d %% of a core busy\n",
      $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 }'
}

# tell_memory NAME: resident memory of each process at its peak.
tell_memory() {
  jq -r '.processes | to_entries[] | [.key, .value.cpu_seconds, .value.memory_kib_peak.own / 1024,
    .value.memory_kib_peak.file / 1024, .value.memory_kib_peak.shared / 1024, .value.memory_kib_last.pss / 1024] |
    @tsv' "$figures/$1.json" |
    awk -F'\t' '{ printf "  %-10s %7.2f s of CPU; MiB at its peak: own %6.1f + files %5.1f = %6.1f, arena %5.1f; " \
      "proportional %6.1f\n", $1, $2, $3, $4, $3 + $4, $5, $6 }'
}

# restarts NAME: kills each service once, and times its return.
restarts() {
  local run=restart-${1//[^a-z0-9]/-}
  "$bin/millrace-bench-restart" "--brokers=$brokers" "--name=$run" "--processes=$(processes "${services[@]}")" \
    "--report=$figures/$1.json"
  batches=$((batches + 2 * ${#services[@]}))
  jq -r 'to_entries[] | [.key, .value.ready_ms, .value.next_record_ms] | @tsv' "$figures/$1.json" |
    awk -F'\t' -v name="$1" '{ printf "  %-16s %-10s ready %6.0f ms, next record %6.0f ms after the kill\n", name, $1,
      $2, $3 }'
}

# warm: a load that no figure is of. A new broker compiles its code while it works: for the first hundred thousand
# batches that takes as much processor time as the work itself, and a broker that serves a stream has done it long ago.
warm() { load warm "$(sized 150000 2000)" 100 --name=warm --start --stop --backlog=4000; }

# sized FULL QUICK: the number that counts now.
sized() { if $quick; then say "$2"; else say "$1"; fi; }

# throughput NAME PARTITIONS MODELS EVENTS: as fast as it goes, on a stack of its own.
throughput() {
  open_stack "$2"
  warm
  load "$1" "$4" "$3" --start --stop "--warm-up=$(($4 / 5))" "--slice=$(($4 / 5))" --backlog=4000 \
    --commit-every="$(sized 500 20)"
}

sustained() {
  throughput sustained 4 100 "$(sized 300000 10000)"
  tell_memory sustained
  close_stack sustained
}

# A version of each model every 50 steps: ten a second in all. The second load looks behind every stage, which costs.
latency() {
  local events
  events=$(sized 30000 1500)
  open_stack 4
  warm
  load warm_latency "$(sized 10000 500)" 100 --name=slowly --start --stop --rate=500
  load latency "$events" 100 --name=latency --start --stop "--warm-up=$((events / 10))" --rate=500 \
    --commit-every="$(sized 50 5)"
  load latency_stages "$events" 100 --name=stages --start --stop "--warm-up=$((events / 10))" --rate=500 \
    --commit-every="$(sized 50 5)" --all-points
  jq -r '.latency_ms | to_entries[] | [.key, .value.p50, .value.p99] | @tsv' "$figures/latency_stages.json" |
    awk -F'\t' '{ printf "  %-16s p50 %8.1f p99 %8.1f ms after it was due\n", $1, $2, $3 }'
  close_stack latency
}

# The same load twice, the second time among poison for twenty other models: what ingest or validate refuses at once,
# and claims that fail five times, which hold their models up.
fire() {
  local events
  events=$(sized 30000 1500)
  MILLRACE_RETRY_FIRST_MS=50 open_stack 4
  warm
  load fire_quiet "$events" 80 --name=quiet --start --stop "--warm-up=$((events / 10))" --rate=500 \
    --commit-every="$(sized 50 5)"
  load fire_burning "$events" 80 --name=burning --start --stop "--warm-up=$((events / 10))" --rate=500 \
    --commit-every="$(sized 50 5)" --poison="$(sized 10000 300)" "--poison-claim=$stack/run/redis.sock"
  jq -n '{quiet_p99_ms: input.latency_ms.trained.p99, burning_p99_ms: input.latency_ms.trained.p99} |
    .ratio = .burning_p99_ms / .quiet_p99_ms' "$figures"/fire_{quiet,burning}.json >"$figures/fire.json"
  jq -r '"  p99 of these models while others burn, to that before: \(.ratio * 100 | round / 100)"' "$figures/fire.json"
  tell_memory fire_burning
  close_stack fire
}

models() {
  local number
  for number in 1 100 1000; do
    throughput "models_$number" 4 "$number" "$(sized 100000 5000)"
    tell_memory "models_$number"
    close_stack "models_$number"
  done
}

partitions() {
  local number
  for number in 1 4 16; do
    throughput "partitions_$number" "$number" 100 "$(sized 100000 5000)"
    close_stack "partitions_$number"
  done
}

length() {
  local events first
  events=$(sized 1000000 20000)
  first=$((events / 10))
  open_stack 4
  restarts restart_0
  load length_first "$first" 100 --name=length --start --backlog=4000 \
    --commit-every="$(sized 500 20)"
  restarts "restart_$first"
  load length_rest "$((events - first))" 100 --name=length "--first=$first" --stop "--slice=$first" --backlog=4000 \
    --commit-every=500
  jq -r '.slices[] | [.events, .events_per_second, ([.cpu_us_per_event[]] | add)] | @tsv' "$figures/length_rest.json" |
    awk -F'\t' '{ printf "  slice of %7d: %6d events/s, %5d us of CPU an event, broker and all\n", $1, $2, $3 }'
  tell_memory length_rest
  restarts "restart_$events"
  close_stack length
}

# machine: what the figures were measured on.
machine() {
  jq -n --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" --argjson cores "$(nproc)" \
    --argjson memory_kib "$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)" --arg kernel "$(uname -r)" \
    --arg load "$(cut -d ' ' -f 1-3 /proc/loadavg)" --arg date "$(date -u +%FT%TZ)" \
    --arg commit "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || true)" --arg kafka "${kafka_versions%% *}" \
    --argjson quick "$quick" '$ARGS.named'
}

machine >"$figures/machine.json"
say "$(jq -r '"\(.cpu), \(.cores) cores, \(.memory_kib / 1048576 | round) GiB; Apache Kafka \(.kafka); load before: " +
  .load' "$figures/machine.json")"
for scenario in "${scenarios[@]}"; do
  say "== $scenario"
  "$scenario"
done
jq -n '[inputs | {key: (input_filename | sub(".*/"; "") | sub("\\.json$"; "")), value: .}] | from_entries' \
  "$figures"/*.json >"$report"
say "== figures: $report"
