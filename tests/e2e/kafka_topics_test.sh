#!/usr/bin/env bash
# `millrace topics create` on Apache Kafka: creates everything once, whoever runs it, and wherever it ended before;
# tells what differs, and changes nothing that is there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly admin=$MR_TOOLS/mr_kafka_topics
readonly log_of='s/.*deployment of log \([0-9a-f]\{32\}\),.*/\1/p'

# expect CODE COMMAND...: its exit code; what it said goes to $dir/said.
expect() {
  local wanted=$1 code=0
  shift
  "$@" >"$dir/said" 2>&1 || code=$?
  [ "$code" -eq "$wanted" ] || fail "exit $code, not $wanted: $*: $(cat "$dir/said")"
}
# said TEXT: whether the last command did.
said() { grep -qF -- "$1" "$dir/said" || fail "it does not say '$1': $(cat "$dir/said")"; }
create() { MILLRACE_PARTITIONS=2 "$millrace" topics create --brokers "$brokers" "$@"; }
show() { "$millrace" topics show --brokers "$brokers" --format json; }
names() { kcat -b "$brokers" -L -J </dev/null | jq -r '.topics[].topic | select(startswith("millrace"))' | sort; }
delete_all() {
  local -a all
  mapfile -t all < <(names)
  [ ${#all[@]} -eq 0 ] || "$admin" "$brokers" delete "${all[@]}" || fail 'the topics cannot be deleted'
  [ -z "$(names)" ] || fail "still there: $(names)"
}
setting() { show | jq -r --arg topic "millrace.$1" --arg name "$2" \
  '.topics[] | select(.topic == $topic) | .settings[$name]'; }
setting_is() { [ "$(setting "$1" "$2")" = "$3" ] || fail "$1: $2 is $(setting "$1" "$2"), not $3"; }

begin
# The limit of Kafka's brokers when nobody sets one: the topics' own must count.
kafka_make "$dir/kafka" 1 "${kafka_versions%% *}" none message.max.bytes=1048588
kafka_start "$dir/kafka" 1
brokers=$(cat "$dir/kafka/bootstrap")

say "nothing is there, and asking creates nothing"
expect 66 show
said no_deployment
expect 66 "$millrace" dlq ls --brokers "$brokers"
[ -z "$(names)" ] || fail "asking created $(names)"
expect 64 create --replication 3
said 'replication factor'
[ -z "$(names)" ] || fail "a refused plan left $(names)"

say "everything is created, and services find it at once"
expect 0 create
said "$(names | wc -l) topics created"
log=$(sed -n "$log_of" "$dir/said")
expect 0 "$millrace" status --brokers "$brokers"
expect 0 show
[ "$(show | jq -r '.deployment | "\(.log_id) \(.partitions)"')" = "$log 2" ] || fail "another deployment: $(show)"
[ "$(show | jq -c '[.topics[] | select(.topic != "millrace.deployment.v1") | .partitions] | unique')" = '[2]' ] ||
  fail "other partitions: $(show)"
setting_is batches.validated.v1 retention.ms -1
setting_is deployment.v1 cleanup.policy compact
setting_is deadletters.v1 unclean.leader.election.enable false

say "what was submitted fits into a dead letter, whatever codec it came with"
expect 0 "$admin" "$brokers" produce millrace.deadletters.v1 0 4194304 none
expect 0 "$admin" "$brokers" produce millrace.batches.submitted.v1 0 3145000 none
expect 3 "$admin" "$brokers" produce millrace.batches.submitted.v1 0 3145728 none
expect 3 "$admin" "$brokers" produce millrace.batches.submitted.v1 0 8000000 lz4

say "again: compared, told, and nothing changed"
show >"$dir/before"
expect 0 create
said "0 topics created; deployment of log $log, 2 partitions, was there"
expect 1 create --validated-retention-hours 24
said 'millrace.batches.validated.v1: retention.ms is -1, and should be 86400000'
expect 76 create --partitions 3
said 'the deployment has 2 partitions, not 3'
show | cmp - "$dir/before" || fail 'comparing changed something'

say "a topic that is missing, or has another count"
"$admin" "$brokers" delete millrace.metrics.v1
expect 76 show
expect 76 create
said 'the deployment has no millrace.metrics.v1'
expect 0 create --add-missing
said "1 topics created; deployment of log $log"
"$admin" "$brokers" delete millrace.metrics.v1
"$admin" "$brokers" create millrace.metrics.v1 3
expect 76 show
expect 76 create
said 'millrace.metrics.v1: partitions is 3, and should be 2'
expect 76 "$millrace" dlq ls --brokers "$brokers"
said log_discontinuity
"$admin" "$brokers" delete millrace.batches.submitted.v1
expect 76 create --add-missing
said 'millrace.batches.submitted.v1 is lost, and the log with it'
expect 76 show

say "many at once make one deployment, and all say the same"
for round in 1 2 3; do
  delete_all
  for one in 1 2 3 4; do create >"$dir/said-$one" 2>&1 & done
  wait
  [ "$(cat "$dir"/said-? | sed -n "$log_of" | sort | uniq -c | awk '{print $1}')" = 4 ] ||
    fail "round $round: not one deployment: $(cat "$dir"/said-?)"
  [ "$(cat "$dir"/said-? | grep -c 'is new')" = 1 ] || fail "round $round: not one creator: $(cat "$dir"/said-?)"
  # And that is what is read from then on, though there is a record of each that was quick.
  [ "$(show | jq -r .deployment.log_id)" = "$(sed -n "$log_of" "$dir/said-1")" ] || fail "round $round: another is read"
done

say "topics without a deployment, as a crash leaves them: the next run goes on from there"
"$admin" "$brokers" delete millrace.deployment.v1
expect 66 show
expect 0 create
said '1 topics created'
for wait_s in 0.03 0.06 0.09 0.12 0.15 0.2 0.25 0.3; do
  delete_all
  # Wherever the kill finds it.
  { timeout -s KILL "$wait_s" "$millrace" topics create --brokers "$brokers" --partitions 2; } >/dev/null 2>&1 || true
  expect 0 create
  log=$(sed -n "$log_of" "$dir/said")
  expect 0 create
  said "0 topics created; deployment of log $log, 2 partitions, was there"
done

say "topics that somebody else made: no deployment on what differs, or on records of another one"
delete_all
"$admin" "$brokers" create millrace.deadletters.v1 2
expect 1 create
said 'no deployment was written'
said 'millrace.deadletters.v1: max.message.bytes is 1048588, and should be 4259840'
[ "$(names)" = millrace.deadletters.v1 ] || fail "topics beside those that differ: $(names)"
delete_all
expect 0 create
expect 0 "$admin" "$brokers" produce millrace.batches.submitted.v1 1 100 none
"$admin" "$brokers" delete millrace.deployment.v1
expect 0 create
expect 0 "$admin" "$brokers" produce millrace.batches.ingested.v1 1 100 none
"$admin" "$brokers" delete millrace.deployment.v1
expect 76 create
said 'millrace.batches.ingested.v1 has got records'

say "the development broker makes its topics itself"
mkdir "$dir/dev"
"$bin/millrace-devbroker" "--dir=$dir/dev" >"$dir/dev.log" 2>&1 &
until_true 30 test -s "$dir/dev/bootstrap"
brokers=$(head -n 1 "$dir/dev/bootstrap")
expect 64 create
said 'is millrace-devbroker, which makes the topics itself'
expect 0 show
