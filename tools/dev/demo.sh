#!/usr/bin/env bash
# ./dev demo                starts the embedded stack, trains on a stream, checks all that the README promises, and ends
#
#   --dir DIR      keeps everything in DIR (stack, logs, store); default: a temporary folder, removed at the end
#   --threads N    threads of train (default: MILLRACE_THREADS, else the number of cores)
#   --device D     where training runs; cpu is what there is (the default)
#   --broker B     dev, the development broker (the default), or kafka, Apache Kafka in DIR/kafka
#
# It exits 0 only if every version verifies, the held-out prices are within 10 bp of spot of Black-Scholes (root mean
# square), and the last version, trained again from the log, has the same bytes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/stack.bash"
help_if_asked "$@"

readonly model=demo run=demo-run rounds=5 sobol_batches=400 contract_batches=80 batch_rows=64 held_out=1000
readonly last_step=$((rounds * (sobol_batches + contract_batches)))
readonly limit_bp=10 patience_s=300

dir='' threads='' device=cpu keep=true
while [ $# -gt 0 ]; do
  case $1 in
    --dir | --threads | --device | --broker)
      needs_value "$@"
      case $1 in
        --dir) dir=$2 ;;
        --threads) threads=$2 ;;
        --device) device=$2 ;;
        --broker) stack_broker=$2 ;;
      esac
      shift 2
      ;;
    *) die "$EXIT_USAGE" "unknown option '$1'" ;;
  esac
done
case $threads in
  *[!0-9]*) die "$EXIT_USAGE" "--threads is a number" ;;
esac
case $stack_broker in
  dev) about_broker='a development broker (in memory, for trying out)' ;;
  kafka) about_broker='Apache Kafka' ;;
  *) die "$EXIT_USAGE" "--broker is dev or kafka, not '$stack_broker'" ;;
esac

bash "$root/tools/dev/build.sh"
if [ -z "$dir" ]; then
  dir=$(mktemp -d)
  keep=false
fi
stack_folder "$dir"
dir=$stack_dir
store=file://$dir/store
readonly store millrace=$bin/millrace
if [ -e "$dir/store/$model" ]; then
  die "$EXIT_USAGE" "$dir holds a model named $model already; choose another --dir"
fi

pids=()
finish() {
  local code=$? pid
  trap - EXIT
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  stack_down "$dir" >/dev/null 2>&1 || true
  if [ "$keep" = false ] && [ "$code" -eq 0 ]; then
    rm -rf "$dir"
  else
    say "kept: $dir (logs in $dir/log, versions in $dir/store/$model)"
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# contracts SEED COUNT: rows of X0,K,T,r,d,v drawn from the demo's domain, the same for the same seed.
contracts() {
  awk -v seed="$1" -v count="$2" 'BEGIN {
    srand(seed); print "X0,K,T,r,d,v"
    for (i = 0; i < count; i++)
      printf "%.4f,%.4f,%.4f,%.5f,%.5f,%.4f\n", 80 + 40 * rand(), 80 + 40 * rand(), 0.25 + 1.75 * rand(),
        0.06 * rand(), 0.03 * rand(), 0.1 + 0.3 * rand() }'
}

# error_bp VERSION: root mean square errors of puts and calls over the held-out contracts, in basis points of spot.
error_bp() {
  "$millrace" price --store "$store" --model "$model" --version "$1" --contracts "$dir/held_out.csv" \
    --compare black-scholes --format json >"$dir/prices.json"
  jq -r 'def rms(f): (map(f * f) | add / length | sqrt) * 10000;
    "\(rms((.put - .reference_put) / .X0)) \(rms((.call - .reference_call) / .X0))"' "$dir/prices.json"
}
two() { awk '{ printf "puts %.2f bp, calls %.2f bp", $1, $2 }'; }
within() { awk -v limit="$limit_bp" '{ exit !($1 <= limit && $2 <= limit) }'; }
section() { printf '\n== %s\n' "$*"; }

# submit ARGUMENT...: to the demo's run; what it answers goes to the demo's log.
submit() { "$millrace" submit --brokers "$brokers" --model "$model" --run "$run" "$@" >>"$dir/log/submit.log" 2>&1; }

stream() {
  local round
  for ((round = 0; round < rounds; round++)); do
    submit --sobol "$((round * sobol_batches * batch_rows)):$((sobol_batches * batch_rows))" \
      --rows-per-batch "$batch_rows"
    submit --contracts "$dir/contracts-$round.csv" --rows-per-batch "$batch_rows"
  done
  submit --stop --outcome completed --reason "end of the demo"
}

started=$(date +%s)
section "the embedded stack"
stack_up "$dir" "$device" "$threads" false
brokers=$(head -n 1 "$dir/run/bootstrap")
readonly brokers
say "ready in $(($(date +%s) - started)) s: ${services[*]}, Redis, and $about_broker"

section "a run that learns European options from simulated paths, $last_step batches of $batch_rows contracts"
contracts 20260505 "$held_out" >"$dir/held_out.csv"
for ((round = 0; round < rounds; round++)); do
  contracts "$((1000 + round))" "$((contract_batches * batch_rows))" >"$dir/contracts-$round.csv"
done
submit --start --spec "$root/examples/demo_run.json"
stream &
stream_pid=$!
pids+=("$stream_pid")
"$millrace" metrics --brokers "$brokers" --model "$model" --format json >"$dir/log/metrics.jsonl" 2>/dev/null &
pids+=($!)

shown=-1 told=0 head=$dir/store/$model/head.json step=0
while [ "$step" -lt "$last_step" ]; do
  if [ $(($(date +%s) - started)) -gt "$patience_s" ]; then
    "$millrace" status --brokers "$brokers" || true
    die "$EXIT_FAILED" "the last version has not come within $patience_s s"
  fi
  if compgen -G "$dir/run/*.failed" >/dev/null; then
    stack_failure "$dir" || true
    die "$EXIT_FAILED" "a service ended"
  fi
  at=$(tail -n 2 "$dir/log/metrics.jsonl" 2>/dev/null |
    jq -rR 'fromjson? | select(.event == "stepped") | "\(.step) \(.loss)"' | tail -n 1)
  if [ -n "$at" ] && [ "${at% *}" -ge $((told + 100)) ]; then
    told=${at% *}
    lags=$("$millrace" status --brokers "$brokers" --format json |
      jq -r 'reduce .stages[] as $s ({}; .[$s.stage] += $s.lag) | to_entries | map("\(.key) \(.value)") | join(", ")')
    printf '  step %5d / %d   loss %.5f   lag: %s\n' "$told" "$last_step" "${at#* }" "$lags"
  fi
  if [ -s "$head" ]; then
    read -r counter step < <(jq -r '"\(.counter) \(.step)"' "$head")
    if [ "$counter" -gt "$shown" ]; then
      shown=$counter
      say "  version $counter at step $step: price error $(error_bp "$counter" | two)"
    fi
  fi
  sleep 0.2 # a look at the files five times a second; nothing waits for it
done
wait "$stream_pid"

section "held-out prices of the last version against Black-Scholes (the first 10 of $held_out contracts)"
errors=$(error_bp head)
jq -r '["X0","K","T","r","d","v","put","BS put","call","BS call"],
  (.[:10][] | [.X0, .K, .T, .r, .d, .v, .put, .reference_put, .call, .reference_call])
  | @tsv' "$dir/prices.json" |
  awk -F'\t' '{ for (i = 1; i <= NF; i++) printf NR == 1 ? "%10s" : "%10.4f", $i; print "" }'
say "root mean square error over $held_out contracts: $(two <<<"$errors") of spot (promised: at most $limit_bp)"

section "the versions"
"$millrace" store list-versions "$store" --model "$model"

section "verification of the chain"
"$millrace" store verify "$store" --model "$model"

section "the last version, trained again from the log"
replay=("$millrace" replay --brokers "$brokers" --store "$store" --model "$model" --device "$device")
if [ -n "$threads" ]; then replay+=(--threads "$threads"); fi
"${replay[@]}"

within <<<"$errors" || die "$EXIT_FAILED" "the price error is over $limit_bp bp"
section "all as promised, in $(($(date +%s) - started)) s"
