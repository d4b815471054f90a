#!/usr/bin/env bash
# The counter of the benchmark passes what the benchmark's load leaves, also when a record was written twice, and finds
# each fault that is planted: a record that is lost, doubled or changed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
export PYTHONPATH=$venv/generated
readonly batches=200

# count: its exit code in $code, what it says in $dir/count.txt.
count() {
  code=0
  "$venv/bin/python3" "$root/bench/pipeline/count.py" --brokers "$brokers" --expect "$1" >"$dir/count.txt" 2>&1 ||
    code=$?
}
is_good() {
  count "$1"
  [ "$code" -eq 0 ]
}
# finds KIND BATCHES: and nothing else.
finds() {
  count "$2"
  [ "$code" -eq 1 ] || fail "the counter exits $code, not 1, for what is $1: $(cat "$dir/count.txt")"
  [ "$(tail -n 1 "$dir/count.txt" | jq -r '.findings | keys | join(" ")')" = "$1" ] ||
    fail "the counter does not find what is $1, or more: $(cat "$dir/count.txt")"
}
plant() {
  "$venv/bin/python3" "$e2e/count_faults.py" --brokers "$brokers" "$1" || fail "the fault '$1' is not planted"
}

[ -d "$PYTHONPATH" ] || fail "what the counter needs is not there (./dev setup)"
begin
fresh 2
"$bin/millrace-bench-pipeline" "--brokers=$brokers" --name=load --models=3 "--events=$batches" --backlog=50 \
  --commit-every=20 --start --all-points "--report=$dir/load.json" || fail "the load failed"
[ "$(jq .versions "$dir/load.json")" -eq 9 ] || fail "versions: $(jq .versions "$dir/load.json"), expected 9"
[ "$(jq .latency_ms.metric.count "$dir/load.json")" -eq "$batches" ] || fail "not every batch was measured"
"$bin/millrace-bench-restart" "--brokers=$brokers" "--report=$dir/restart.json" \
  "--processes=train:$(service_pid train):$(cat "$dir/run/train.port")" || fail "the restart failed"
jq -e '.train.next_record_ms > 0' "$dir/restart.json" >/dev/null || fail "no figure: $(cat "$dir/restart.json")"
readonly all=$((batches + 2))
until_true 30 is_good "$all"
repeated=$(jq .trained_repeated "$dir/count.txt") # by train, which was killed
plant again
is_good "$all" || fail "a record that was written twice is no fault: $(cat "$dir/count.txt")"
[ "$(jq .trained_repeated "$dir/count.txt")" -eq $((repeated + 1)) ] ||
  fail "not seen as written twice, with $repeated before: $(cat "$dir/count.txt")"

say "a batch that never comes through is lost"
kill -STOP "$(service_pid ingest)"
"$millrace" submit --brokers "$brokers" --model load-00000 --run load --jsonl - >"$dir/submit.log" 2>&1 <<<"$(jq -nc '
  {batch: {batch_id: "late", labelled: {features: [[1, 2, 3, 4, 5, 6]], targets: [[[1, 2]]]}}}')" ||
  fail "submit: $(cat "$dir/submit.log")"
finds lost $((all + 1))
kill -CONT "$(service_pid ingest)"
until_true 30 is_good $((all + 1))

say "so is one that was never submitted; one that came under two ids is doubled, one with other bytes is changed"
finds lost $((all + 2))
plant changed
finds changed $((all + 1))
plant doubled
finds 'changed doubled' $((all + 1))
