#!/usr/bin/env bash
# Outages while a stream runs: outage_test.sh [--seconds N] [--store file|s3] [OUTAGE...]; by default each of them, for
# 3 s, and with the store in a folder.
#
# For each outage six models get a run of batches, and in the middle of it a broker, Redis or the store stops, freezes
# or is full, or the clock jumps. Afterwards each run has the versions that it has without an outage, every batch is
# trained and published once (by the counter of the benchmark, which shares no code with Millrace), no record was tried
# again or refused, no service ended or began again from a version, and what was down was told. The runs without an
# outage have the store in a folder also where those with one have it in a bucket.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
source "$e2e/faults.bash"
source "$e2e/bucket.bash"
in_own_mounts "$0" "$@"
readonly models='sobol-a sobol-b inline-a inline-b claim-a claim-b' rate=48 patience_s=180
# A broker or a store that does not answer at all is known as down after this long.
readonly told_after_s=20

seconds=3 store_kind=file
while :; do
  case ${1:-} in
    --seconds) seconds=$2 ;;
    --store) store_kind=$2 ;;
    *) break ;;
  esac
  shift 2
done
case $store_kind in
  file) outages_of_store=(store_failing store_frozen store_full) ;;
  s3) outages_of_store=(store_failing store_frozen store_stopped) ;;
  *) die "$EXIT_USAGE" "the store is file or s3, not '$store_kind'" ;;
esac
readonly -a with_one_broker=(broker_stopped broker_killed broker_frozen redis_stopped redis_frozen
  "${outages_of_store[@]}" all_stopped all_frozen clock_moved)
readonly -a with_three_brokers=(leader_killed majority_killed)
chosen=("$@")
[ $# -gt 0 ] || chosen=("${with_one_broker[@]}" "${with_three_brokers[@]}")
# As many as are submitted before, during and after an outage; as many for each model.
readonly batches=$((6 * (rate * (seconds + 4) / 6)))

# is_among NAME NAME...
is_among() {
  local name=$1 other
  shift
  for other in "$@"; do [ "$other" != "$name" ] || return 0; done
  return 1
}
for outage in "${chosen[@]}"; do
  is_among "$outage" "${with_one_broker[@]}" "${with_three_brokers[@]}" ||
    die "$EXIT_USAGE" "there is no outage '$outage'; there are ${with_one_broker[*]} ${with_three_brokers[*]}"
done

# ---- The outages

# What is nearest to a store that is not there: a folder is always.
readonly -A store_down=([file]=store_failing [s3]=store_stopped)

strike_file() {
  case $1 in
    store_failing) faults_set store "$store_failing" ;;
    store_frozen) faults_set store "$store_frozen" ;;
    store_full) disk_fill ;;
  esac
}
relieve_file() {
  case $1 in
    store_failing | store_frozen) faults_set store "$store_good" ;;
    store_full) disk_empty ;;
  esac
}
strike_s3() {
  case $1 in
    store_failing) bucket_is failing ;;
    store_frozen) bucket_freeze ;;
    store_stopped) bucket_stop ;;
  esac
}
relieve_s3() {
  case $1 in
    store_failing) bucket_is good ;;
    store_frozen) bucket_thaw ;;
    store_stopped) bucket_again ;;
  esac
}
strike() {
  case $1 in
    broker_stopped) kafka_stop "$dir/kafka" 1 ;;
    broker_killed) kafka_kill "$dir/kafka" 1 ;;
    broker_frozen) kafka_signal "$dir/kafka" STOP 1 ;;
    redis_stopped) redis_stop ;;
    redis_frozen) kill -STOP "$(service_pid redis)" ;;
    store_*) "strike_$store_kind" "$1" ;;
    all_stopped) strike "${store_down[$store_kind]}" && strike redis_stopped && strike broker_killed ;;
    all_frozen) strike store_frozen && strike redis_frozen && strike broker_frozen ;;
    clock_moved) faults_set clock -3600 ;;
    leader_killed) kafka_kill "$dir/kafka" 2 ;;
    majority_killed) kafka_kill "$dir/kafka" 2 3 ;;
  esac
}
relieve() {
  case $1 in
    broker_stopped | broker_killed) kafka_start "$dir/kafka" 1 ;;
    broker_frozen) kafka_signal "$dir/kafka" CONT 1 ;;
    redis_stopped) redis_again ;;
    redis_frozen) kill -CONT "$(service_pid redis)" ;;
    store_*) "relieve_$store_kind" "$1" ;;
    all_stopped) relieve "${store_down[$store_kind]}" && relieve redis_stopped && relieve broker_killed ;;
    all_frozen) relieve store_frozen && relieve redis_frozen && relieve broker_frozen ;;
    clock_moved) faults_set clock 0 ;;
    leader_killed) kafka_start "$dir/kafka" 2 ;;
    majority_killed) kafka_start "$dir/kafka" 2 3 ;;
  esac
}
# meanwhile OUTAGE RUN: what must be so while it lasts.
meanwhile() {
  case $1 in
    # Nothing waits for Redis, nor for one broker of three.
    redis_* | leader_killed) until_true "$patience_s" committed "$2" ;;
    clock_moved) faults_set clock 3600 ;;
  esac
  sleep "$seconds" # how long it lasts
}
# tellers OUTAGE: who must have told it, by which decision about what: SERVICE DECISION DEPENDENCY, one a line.
tellers() {
  local service
  case $1 in
    broker_frozen | store_frozen | all_frozen) [ "$seconds" -ge "$told_after_s" ] || return 0 ;;
  esac
  case $1 in
    broker_* | all_*)
      for service in "${services[@]}"; do printf '%s DependencyDown broker\n' "$service"; done
      ;;
  esac
  case $1 in
    store_failing | store_full | store_stopped) printf '%s\n' 'validate StoreDown null' ;;
    # Not persist: what train cannot hand over, it is not asked for.
    store_frozen) printf '%s\n' {validate,train}' DependencyDown store' ;;
  esac
}

# ---- What is seen of a stack

lines_of() { wc -l <"$dir/log/$1.log"; }
trained_at_least() { [ "$(metric train millrace_train_steps_total)" -ge "$1" ]; }
pids() { for service in "${services[@]}"; do service_pid "$service"; done | paste -sd' '; }
all_ready() { for service in "${services[@]}"; do ready "$service" || return 1; done; }
# list_versions MODEL: as JSON; in vain while the store is away.
list_versions() { timeout 60 "$millrace" store list-versions "$store" --model "$1" --format json 2>/dev/null; }
# head_of MODEL: the newest version's run and step.
head_of() {
  case $store_kind in
    file) cat "$dir/store/$1/head.json" 2>/dev/null ;;
    s3) list_versions "$1" | jq 'max_by(.counter)' ;;
  esac
}
# committed RUN: whether the last step of that run is in a version of every model.
committed() {
  local model
  for model in $models; do
    head_of "$model" | jq -e --arg run "$1" --argjson step $((batches / 6)) '.run_id == $run and .step == $step' \
      >/dev/null 2>&1 || return 1
  done
}
# versions RUN: model, step and content of each version of it.
versions() {
  local model
  for model in $models; do
    list_versions "$model" | jq -r --arg model "$model" --arg run "$1" \
      '.[] | select(.run_id == $run) | "\($model) \(.step) \(.content_hash)"'
  done
}
# told SERVICE DECISION DEPENDENCY: in its log, behind the lines that were there.
told() {
  [ "$(tail -n "+$((lines[$1] + 1))" "$dir/log/$1.log" |
    jq -R --arg decision "$2" --arg dependency "${3/null/}" 'fromjson? | select(.decision == $decision) |
      select((.dependency // "") == $dependency)' | wc -l)" -gt 0 ]
}

# ---- A run

submit() {
  "$millrace" submit --brokers "$brokers" --jsonl "$work/streams/$1.jsonl" --rate "$2" --timeout 900 \
    >"$work/submit.log" 2>&1
}

# quiet RUN...: what these runs give one after another without an outage.
quiet() {
  local run
  local store_kind=file stack_store=''
  dir=$work/quiet stack_broker=dev store=file://$work/quiet/store
  rm -rf "$dir"
  stack_up "$dir" cpu 2 false
  brokers=$(head -n 1 "$dir/run/bootstrap")
  for run in "$@"; do
    submit "$run" 0 || fail "submit $run: $(cat "$work/submit.log")"
    until_true "$patience_s" committed "$run"
    versions "$run" >"$work/versions/$run"
  done
  stack_down "$dir" >/dev/null
}

# nothing_refused: nor tried again.
nothing_refused() {
  local topic size
  for topic in retries.ingest retries.validate deadletters; do
    size=$("$MR_TOOLS/mr_topic_size" "$brokers" "millrace.$topic.v1")
    [ "$size" -eq 0 ] || fail "$outage: $size records in millrace.$topic.v1"
  done
}

check() {
  local run=$1 before=$2 service
  local -a logs=() teller
  for service in "${services[@]}"; do logs+=("$dir/log/$service.log"); done
  until_true "$patience_s" all_ready
  [ "$(pids)" = "$before" ] || fail "$run: a service ended: $before, now $(pids)"
  diff "$work/versions/$run" <(versions "$run") >"$work/differs" ||
    fail "$run: other versions than without an outage: $(cat "$work/differs")"
  PYTHONPATH=$venv/generated "$venv/bin/python3" "$root/bench/pipeline/count.py" --brokers "$brokers" \
    --expect "$submitted" >"$work/count" 2>&1 || fail "$run: the count is not right: $(cat "$work/count")"
  nothing_refused
  ! grep -hE '"level":"alarm"|"decision":"RollbackRequired"' "${logs[@]}" >"$work/alarms" ||
    fail "$run: $(cat "$work/alarms")"
  tellers "$run" >"$work/tellers"
  while read -r -a teller; do told "${teller[@]}" || fail "$run: not told: ${teller[*]}"; done <"$work/tellers"
}

# endure RUN: the run with the outage that it is named after.
endure() {
  local run=$1 before steps service submitter began=$SECONDS
  for service in "${services[@]}"; do lines[$service]=$(lines_of "$service"); done
  before=$(pids)
  steps=$(metric train millrace_train_steps_total)
  submit "$run" "$rate" &
  submitter=$!
  until_true "$patience_s" trained_at_least $((steps + batches / 8))
  strike "$run"
  meanwhile "$run" "$run"
  relieve "$run"
  local relieved=$SECONDS
  wait "$submitter" || fail "submit $run: $(tail -n 5 "$work/submit.log")"
  until_true "$patience_s" committed "$run"
  submitted=$((submitted + batches))
  check "$run" "$before"
  say "$run: good; $((SECONDS - began)) s in all, $((SECONDS - relieved)) s of them after it;" \
    "$(jq -r '"\(.batches) batches counted"' "$work/count")"
}

# outages BROKERS OUTAGE...: one after another on one stack.
outages() {
  local number=$1 run
  shift
  [ $# -gt 0 ] || return 0
  say "quiet, the development broker: $*"
  quiet "$@"
  say "Apache Kafka, brokers: $number; $batches batches a run, outages of $seconds s"
  dir=$work/stack stack_broker=kafka submitted=0
  rm -rf "$dir"
  mkdir -p "$dir/run" "$dir/log"
  faults_make 0
  store=file://$dir/store
  if [ "$store_kind" = s3 ]; then
    bucket_make "$work/bucket-$number"
    store=s3://$rgw_bucket/models stack_store=$store
  fi
  with_faults kafka_make "$dir/kafka" "$number" "${kafka_versions%% *}" none
  with_faults stack_up "$dir" cpu 2 false
  brokers=$(head -n 1 "$dir/run/bootstrap")
  for run in "$@"; do endure "$run"; done
  stack_down "$dir" >/dev/null
  faults_end
  if [ "$store_kind" = s3 ]; then bucket_end; fi
}

[ -d "$venv/generated" ] || fail "what the counter needs is not there (./dev setup)"
begin bucket_end
work=$dir
declare -A lines=()
mkdir "$work/streams" "$work/versions"
one=() three=()
for outage in "${chosen[@]}"; do
  python3 "$e2e/outage_stream.py" "$work/streams" "$outage" "$batches"
  if is_among "$outage" "${with_three_brokers[@]}"; then three+=("$outage"); else one+=("$outage"); fi
done
outages 1 "${one[@]}"
outages 3 "${three[@]}"
