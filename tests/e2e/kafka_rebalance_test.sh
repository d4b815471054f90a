#!/usr/bin/env bash
# Members of consumer groups on Apache Kafka, two of each stage: they come, leave, are killed, and are frozen for longer
# than their session lasts with outputs and a commit under way, all while batches of 20 models come. Nothing is lost,
# nothing is there twice once equal ce_ids are dropped, and the models have the bytes of a quiet run on the development
# broker.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
source "$e2e/kafka.bash"
source "$e2e/members.bash"
readonly models=20 batches=70 rows=4 every=5 slice=200
readonly all=$((models * (batches + 2)))

model_ids() { seq -f 'm%02g' 0 $((models - 1)); }
# stream: all events, one a line: the starts, the batches by turns, the stops.
stream() {
  jq -c --argjson models $models --argjson batches $batches --argjson rows $rows --argjson every $every '
    (. * {commit_plan: {final_and_interval_commit: {every_steps: $every}}}) as $spec
    | [range($models) | {number: ., run: {model_id: "m\(. / 10 | floor)\(. % 10)", run_id: "r1"}}] as $all
    | ($all[] | {run_started: (.run + {spec: $spec})}),
      (range($batches) as $batch | $all[] | (($batch * $models + .number) * $rows) as $start
        | {batch: (.run + {batch_id: "b\($batch)", sobol_range: {start: $start, count: $rows}})}),
      ($all[] | {run_stopped: (.run + {outcome: "completed"})})' "$e2e/small_run.json"
}
submitted=0
# submit COUNT RATE: the next so many events of the stream.
submit() {
  stream | sed -n "$((submitted + 1)),$((submitted + $1))p" |
    "$millrace" submit --brokers "$brokers" --jsonl - --rate "$2" >"$dir/log/submit.log" 2>&1 ||
    fail "submit: $(cat "$dir/log/submit.log")"
}
all_trained() {
  local model
  for model in $(model_ids); do head_step "$model" "$batches" || return 1; done
}
hashes() { for model in $(model_ids); do content_hash "$model"; done; }
said_by_second() { tail -n "+$((read_lines[second_$1] + 1))" "$dir/log/second_$1.log" | jq -cR "fromjson? | $2"; }

# during WHAT COUNT RATE COMMAND...: while so many batches come.
during() {
  local feeder before count=$2
  say "  $1"
  before=$(topic_size metrics)
  since_now
  submit "$count" "$3" &
  feeder=$!
  until_true 60 topic_has metrics $((before + 20))
  "${@:4}"
  wait "$feeder" || exit
  submitted=$((submitted + count))
}
leave() {
  seconds_signal TERM
  seconds_gone
  each holds_all
}
# come [OPTION...]
come() {
  local service
  for service in "${members[@]}"; do second "$service" "$@"; done
  each share
}
killed() {
  seconds_signal KILL
  seconds_gone
  each holds_all
}
# Those that the supervisor starts again: what comes is a new member.
firsts_killed() {
  local service
  for service in "${members[@]}"; do kill -9 "$(service_pid "$service")"; done
  each share
}

# hold_head MODEL: its head can be read and not be written until `exec {held}>&-`.
hold_head() {
  local name
  name=$(printf '%s/head.json' "$1" | sha256sum | cut -c 1-3)
  exec {held}>>"$dir/store/.millrace/locks/$name"
  flock "$held"
}
second_waits_for_head() { grep -q -- "-> FLOCK *ADVISORY *WRITE ${second_pid[persist]} " /proc/locks; }
has_counter() { [ "$(jq .counter "$dir/store/$1/head.json")" -ge "$2" ]; }
second_committed() { [ -n "$(said_by_second persist 'select(.decision == "Committed")')" ]; }
# frozen: with a swap of a head under way, whose commit is another member's then, as all partitions are.
frozen() {
  local model counter
  until_true 60 second_committed
  model=$(said_by_second persist 'select(.decision == "Committed") | .model' | tail -n 1 | jq -r .)
  hold_head "$model"
  counter=$(jq .counter "$dir/store/$model/head.json")
  until_true 60 second_waits_for_head
  seconds_frozen
  exec {held}>&-
  each holds_all
  until_true 60 has_counter "$model" $((counter + 1))
  since_now
  seconds_signal CONT
  each share
}
# repeated TOPIC COUNT: how many records it has beyond those of so many events.
repeated() { echo $(($(topic_size "$1") - $2)); }

begin
say "quiet, the development broker"
stack_broker=dev
fresh 2
submit "$all" 0
until_true 120 all_trained
quiet=$(hashes)

as_members=true
client_settings='session.timeout.ms=3000
heartbeat.interval.ms=500'
say "Apache Kafka, two members of each group"
fresh_kafka group.min.session.timeout.ms=1000
submit "$models" 0
submitted=$models
say "  nothing is handed out of partitions that were given up"
"$MR_TOOLS/mr_kafka_topics" "$brokers" create members.of-a-test 4
"$MR_TOOLS/mr_kafka_members" "$brokers" members.of-a-test >"$dir/members.log" 2>&1 || fail "$(cat "$dir/members.log")"
come
during "a member of each group leaves" "$slice" 50 leave
during "others come" "$slice" 50 come
during "they are killed" "$slice" 50 killed
# What they write waits for others, so that the frozen ones have some of it left.
come --log-level=debug --linger-ms=200
during "the first ones are killed, and start again" "$slice" 50 firsts_killed
for topic in batches.ingested batches.validated metrics; do
  until_true 60 topic_has "$topic" "$submitted"
  declare "before_${topic#*.}=$(repeated "$topic" "$submitted")"
done
during "a member of each group is frozen, and goes on" $((batches * models - 4 * slice)) 75 frozen
submit "$models" 0
until_true 120 all_trained
[ "$(hashes)" = "$quiet" ] || fail "the models have other bytes"

until_true 30 topic_has metrics "$all"
until_true 30 topic_has versions $((models * batches / every))
counted $((models * batches)) || fail "$(cat "$dir/count.log" "$dir/count.json")"
for model in $(model_ids); do
  "$millrace" store verify "$store" --model "$model" >/dev/null || fail "the chain of $model does not verify"
done
late=0
for topic in batches.ingested batches.validated metrics; do
  before=before_${topic#*.}
  late=$((late + $(repeated "$topic" "$all") - ${!before}))
done
[ "$late" -gt 0 ] || fail "nothing of what the frozen ones had under way came late"
refused=$(cat "$dir"/log/second_*.log | grep -c '"decision":"CommitRefused"') || fail "no late commit was refused"
say "all equal; of the frozen ones $late records came twice, and $refused commits of offsets were refused"
