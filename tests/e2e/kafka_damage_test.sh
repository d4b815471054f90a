#!/usr/bin/env bash
# What Apache Kafka does to a log, and what is done to it behind Millrace's back. Compaction and forgotten groups change
# nothing. Records that went before they were read are a LogGap, of a service or of a model: never applied out of order,
# and other models go on. A log that is another one is a LogDiscontinuity, at the start of every service.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
source "$e2e/kafka.bash"
readonly admin=$MR_TOOLS/mr_kafka_topics rows=4
readonly steady=(m02 m05 m07 m00) # on a partition each: 3, 0, 1, 2
readonly lost=m06 beside=m10 skipped=m13 leased=m11 with_leased=m08 # on 2, 2, 3, 0, 0

damage() {
  "$venv/bin/python3" "$e2e/kafka_damage.py" "$brokers" "$@" 2>"$dir/damage.log" || fail "$*: $(cat "$dir/damage.log")"
}
# part MODEL FIRST COUNT [start|stop...]: these batches of a model.
part() {
  local model=$1 first=$2 count=$3
  local -a options=()
  shift 3
  [[ " $* " != *" start "* ]] || options+=(--start --spec "$dir/spec.json")
  [[ " $* " != *" stop "* ]] || options+=(--stop)
  "$millrace" submit --brokers "$brokers" --model "$model" --run r1 --sobol "$((first * rows)):$((count * rows))" \
    --rows-per-batch "$rows" "${options[@]}" >"$dir/submit.log" 2>&1 || fail "submit: $(cat "$dir/submit.log")"
}
spec() { jq "$1" "$e2e/small_run.json" >"$dir/spec.json"; }
steady_part() { for model in "${steady[@]}"; do part "$model" "$@"; done; }
trained() { for model in "$@"; do until_true 60 head_step "$model" "$step"; done; }

labelled_part() {
  jq -nc --argjson first "$2" --argjson count "$3" 'range($first; $first + $count) | {batch: {batch_id: "b\(.)",
    labelled: {features: [[., 1, 2]], targets: [[[., 0], [1, 0]]]}}}' |
    "$millrace" submit --brokers "$brokers" --model "$1" --run r1 --jsonl - >"$dir/submit.log" 2>&1 ||
    fail "submit: $(cat "$dir/submit.log")"
}

# options_of SERVICE: in $own, to run it apart from the stack.
options_of() {
  own=("--brokers=$brokers" --mode=assign)
  case $1 in
    validate | stage_gpu | train | persist) own+=("--store=$store") ;;
    publish) own+=(--redis=none) ;;
  esac
  case $1 in
    stage_gpu | train) own+=(--device=cpu "--arena=$dir/run/apart.sock") ;;
  esac
}
# refuses SERVICE DECISION TEXT [OPTION...]: it ends with 76 and says so.
refuses() {
  local code=0
  options_of "$1"
  timeout 60 "$bin/millrace-$1" "${own[@]}" "${@:4}" >"$dir/log/apart_$1.log" 2>&1 || code=$?
  [ "$code" -eq 76 ] || fail "$1 ended with $code, not 76: $(tail -n 3 "$dir/log/apart_$1.log")"
  [ "$(alarms "apart_$1" "$2" | grep -cF -- "$3")" = 1 ] ||
    fail "$1 does not say $2, $3: $(tail -n 3 "$dir/log/apart_$1.log")"
}
alarms() { jq -cR "fromjson? | select(.level == \"alarm\" and .decision == \"$2\")" "$dir/log/$1.log"; }
alarmed() { alarms "$1" "$2" | grep -qF -- "$3"; }
# stopped_models SERVICE: how many it says are stopped.
stopped_models() {
  local web
  exec {web}<>"/dev/tcp/127.0.0.1/$(cat "$dir/run/$1.port")"
  printf 'GET /metrics HTTP/1.0\r\n\r\n' >&"$web"
  awk '/^millrace_models_stopped/ { sum += $2 } END { print sum + 0 }' <&"$web"
  exec {web}>&-
}

begin
say "quiet, the development broker"
stack_broker=dev
fresh 2
spec '.commit_plan={final_and_interval_commit:{every_steps:5}}'
steady_part 0 120 start stop
part "$beside" 0 15 start stop
part "$skipped" 0 20 start stop
part "$with_leased" 0 10 start stop
step=120 trained "${steady[@]}"
step=15 trained "$beside"
step=20 trained "$skipped"
step=10 trained "$with_leased"
declare -A quiet=()
for model in "${steady[@]}" "$beside" "$skipped" "$with_leased"; do quiet[$model]=$(content_hash "$model"); done
as_quiet() {
  for model in "$@"; do [ "$(content_hash "$model")" = "${quiet[$model]}" ] || fail "$model has other bytes"; done
}
head=$(cat "$dir/store/$beside/head.json")

say "compacted topics and forgotten groups change nothing"
export MILLRACE_FOLD_EVERY=10
fresh_kafka log.cleaner.backoff.ms=200 log.retention.check.interval.ms=200 log.initial.task.delay.ms=200
spec '.commit_plan={final_and_interval_commit:{every_steps:5}}'
for topic in deployment folds; do
  damage set "millrace.$topic.v1" segment.ms=100 min.cleanable.dirty.ratio=0.001 segment.bytes=1048576
done
mkdir -p "$dir/earlier/$beside"
printf '%s\n' "$head" >"$dir/earlier/$beside/head.json"
"$millrace" log adopt --brokers "$brokers" --store "file://$dir/earlier" --model "$beside" >"$dir/adopted" 2>&1 ||
  fail "not adopted: $(cat "$dir/adopted")"
deployment() { "$millrace" topics show --brokers "$brokers" --format json | jq -cS .deployment; }
before=$(deployment)
damage rewrite millrace.deployment.v1 300
# The last record once more ends the segment, which can be compacted then.
short() {
  damage rewrite "$1" 1
  [ "$(damage count "$1")" -lt 10 ]
}
until_true 60 short millrace.deployment.v1
[ "$(deployment)" = "$before" ] || fail "another deployment is read: $(deployment), not $before"
[ "$(jq '.predecessors | length' <<<"$before")" = 1 ] || fail "not what was adopted: $before"
for first in 0 40; do
  steady_part "$first" 40 "$([ "$first" -ne 0 ] || echo start)"
  step=$((first + 40)) trained "${steady[@]}"
  services_stop
  [ "$first" -ne 0 ] || services_start
done
# unique TOPIC: no key but the last one's is there twice.
unique() {
  damage rewrite "$1" 1
  [ "$(kcat -b "$brokers" -t "$1" -p 0 -C -e -q -f '%k\n' 2>/dev/null | sort | uniq -d | wc -l)" -le 1 ]
}
until_true 60 unique millrace.folds.v1
damage forget millrace-{ingest,validate,stage_gpu,train,persist,publish}
services_start
for service in ingest validate stage_gpu persist; do
  [ "$(grep -c '"decision":"FoldCacheTaken"' "$dir/log/$service.log")" -eq 8 ] || # 4 partitions, 2 starts
    fail "$service did not use what was compacted: $(grep FoldCache "$dir/log/$service.log")"
done
steady_part 80 40 stop
step=120 trained "${steady[@]}"
as_quiet "${steady[@]}"
until_true 60 topic_has metrics $((4 * 122))
counted $((4 * 120)) || fail "$(cat "$dir/count.log" "$dir/count.json")"


gone() { [ "$(damage bounds millrace.batches.submitted.v1 1)" = "$1 $1" ]; }
say "submitted records expire before ingest has read them: it ends, and goes on when it is told from where"
services_stop
part m01 0 3 start
end=$(damage bounds millrace.batches.submitted.v1 1 | cut -d' ' -f2)
damage set millrace.batches.submitted.v1 retention.ms=1
until_true 60 gone "$end"
refuses ingest LogGap 'millrace.batches.submitted.v1 partition 1'
damage set millrace.batches.submitted.v1 retention.ms=-1
damage move millrace-ingest millrace.batches.submitted.v1 1 end
services_start

say "batches that train has to read again are gone: their model stops, the others go on"
spec 'del(.pricing) | .labelled = {features: 3, targets: 2} | .commit_plan = {final_commit: {}}'
before=$(topic_size metrics)
part "$leased" 0 0 start
labelled_part "$leased" 0 5
spec '.commit_plan={final_and_interval_commit:{every_steps:5}}'
part "$with_leased" 0 5 start
until_true 60 topic_has metrics $((before + 12))
damage remove millrace.batches.validated.v1 0 end
old=$(service_pid train)
kill -9 "$old"
until_true 30 another_pid train "$old"
until_true 30 alarmed train LogGap "\"model\":\"$leased\""
labelled_part "$leased" 5 5
part "$with_leased" 5 3
step=5 trained "$with_leased"
until_true 60 topic_has metrics $((before + 15))

say "ingested records go before validate has read them: it ends; moved on, it knows which model they were of"
part "$lost" 0 10 start
part "$beside" 0 10 start
part "$skipped" 0 10 start
step=10 trained "$lost" "$beside" "$skipped"
before=$(topic_size batches.ingested)
old=$(service_pid validate)
kill -STOP "$old"
part "$lost" 10 5
part "$skipped" 10 5
until_true 30 topic_has batches.ingested $((before + 10))
damage remove millrace.batches.ingested.v1 2 end
kill -9 "$old"
until_true 30 test -e "$dir/run/validate.failed"
grep -q 76 "$dir/run/validate.failed" || fail "validate ended otherwise: $(cat "$dir/run/validate.failed")"
alarmed validate LogGap 'millrace.batches.ingested.v1 partition 2' || fail "no LogGap in validate's log"
damage move millrace-validate millrace.batches.ingested.v1 2 end
damage move millrace-validate millrace.batches.ingested.v1 3 end # nothing went there: it is merely skipped
# Without the cache: of the partition whose validated records went, it has to read its input again.
options_of validate
kafka_ports 1 >"$dir/run/validate.port"
"$bin/millrace-validate" "${own[@]}" --fold-every=0 "--health-port=$(cat "$dir/run/validate.port")" \
  >"$dir/log/apart_validate.log" 2>&1 &
part "$lost" 15 5 stop
part "$beside" 10 5 stop
part "$skipped" 15 5 stop
part "$with_leased" 8 2 stop
step=15 trained "$beside"
step=20 trained "$skipped"
step=10 trained "$with_leased"
as_quiet "$beside" "$skipped" "$with_leased"
until_true 30 alarmed apart_validate LogGap "\"model\":\"$lost\""
[ "$(stopped_models validate)" = 1 ] || fail "$(stopped_models validate) models are stopped in validate, not 1"
[ "$(stopped_models train)" = 1 ] || fail "$(stopped_models train) models are stopped in train, not 1"
for model in "$skipped" "$with_leased"; do
  grep -q "\"level\":\"info\".*\"LogGap\".*\"model\":\"$model\".*re-read" "$dir/log/apart_validate.log" ||
    fail "$model was not read again: $(grep LogGap "$dir/log/apart_validate.log")"
done
head_step "$lost" 10 || fail "$lost went on over a gap"
[ ! -e "$dir/store/$leased/head.json" ] || fail "$leased went on over a gap"
kill %% && wait %% || fail "validate: $(tail -n 3 "$dir/log/apart_validate.log")"
services_stop

say "ingest's own memory is gone: it does not begin anew"
refuses ingest LogGap 'millrace.batches.ingested.v1 partition 2' --fold-every=0

# known TOPIC: the broker tells of it, which it may do a little after the topic was made.
known() { kcat -b "$brokers" -L -J </dev/null | jq -e --arg topic "$1" '[.topics[].topic] | index($topic)' >/dev/null; }
# topics_anew NAME...: deleted, and made by nobody who knows of Millrace.
topics_anew() {
  local topic
  "$admin" "$brokers" delete "$@" || fail "cannot be deleted: $*"
  for topic in "$@"; do
    "$admin" "$brokers" create "$topic" 4 || fail "$topic cannot be made"
    until_true 30 known "$topic"
  done
}
say "the submitted topic was made anew, alone: new records would look like those that were handled before"
kcat -b "$brokers" -t millrace.deployment.v1 -p 0 -C -o -1 -c 1 -e -q -f '%s' >"$dir/of_before" 2>/dev/null
mapfile -t all < <(kcat -b "$brokers" -L -J </dev/null | jq -r '.topics[].topic | select(startswith("millrace"))')
"$admin" "$brokers" delete "${all[@]}" || fail 'the topics cannot be deleted'
"$millrace" topics create --brokers "$brokers" >"$dir/created" 2>&1 || fail "no topics: $(cat "$dir/created")"
rm -rf "$dir/store"
services_start
part "$beside" 0 10 start
step=10 trained "$beside"
services_stop
topics_anew millrace.batches.submitted.v1
part "$beside" 10 2
refuses ingest LogDiscontinuity 'millrace.batches.submitted.v1 partition 2 ends at 2'

say "the deployment was replaced by that of another log"
kcat -b "$brokers" -t millrace.deployment.v1 -p 0 -P -k deployment "$dir/of_before" 2>/dev/null
for service in "${services[@]}"; do
  # What train knows is of the models: it sees the other log in its first record.
  [ "$service" != train ] || damage forget millrace-train
  refuses "$service" LogDiscontinuity 'records of another log'
done

say "partitions that were added in place"
damage grow millrace.metrics.v1 5
for service in "${services[@]}"; do
  refuses "$service" CannotStart 'millrace.metrics.v1 has 5 partitions, the deployment has 4'
done
say "all of it was told"
