#!/usr/bin/env bash
# Other people's clients on Apache Kafka. Java's, librdkafka's and a Python one find the same partition for a model id,
# whatever its length, and ingest accepts what they send; a client that partitions otherwise is told so. Large records
# come through, or are refused with a word on what to do, and a dead letter holds them byte for byte.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
source "$e2e/kafka.bash"
readonly alphabet=0k3z.a_9-m7xq.4b-t_r0d8

clients() { "$venv/bin/python3" "$e2e/kafka_clients.py" "$@" || fail "kafka_clients.py $1"; }
# model_ids: of each length that murmur2 treats apart (by its last bytes), and the shortest and the longest.
model_ids() {
  local length text
  for length in {1..20} 31 32 33 61 62 63; do
    text=$alphabet$alphabet$alphabet
    printf '%s\n' "${text:length % 4:length}"
  done
}
java_produce() {
  java -cp "$kafka_libs/*" -Dlog4j2.statusLoggerLevel=OFF "$e2e/KafkaProduce.java" "$brokers" \
    millrace.batches.submitted.v1 2>"$dir/log/java.log" || fail "Java: $(tail -n 3 "$dir/log/java.log")"
}
# batches NUMBER: one for each model.
batches() { clients batches "$1" <"$dir/models"; }
letters() { "$millrace" dlq ls --brokers "$brokers" --format json | jq "$1"; }
letters_are() { [ "$(letters "$1")" = "$2" ]; }
# submit OPTION...: exit code in $code.
submit() {
  code=0
  "$millrace" submit --brokers "$brokers" "$@" >"$dir/submit.log" 2>&1 || code=$?
}
refused() {
  [ "$code" -eq 64 ] || fail "exit $code, not 64: $(cat "$dir/submit.log")"
  grep -qF -- "$1" "$dir/submit.log" || fail "no word of '$1': $(cat "$dir/submit.log")"
}

begin
fresh_kafka
model_ids | sort -u >"$dir/models"
say "$(wc -l <"$dir/models") model ids: runs by millrace, batches by Java, librdkafka and Python"
jq -Rc --slurpfile spec "$e2e/small_run.json" '
  {run_started: {model_id: ., run_id: "r1", spec: ($spec[0] + {commit_plan: {final_commit: {}}})}}
' "$dir/models" >"$dir/starts.jsonl"
submit --jsonl "$dir/starts.jsonl"
[ "$code" -eq 0 ] || fail "submit: $(cat "$dir/submit.log")"
batches 0 | java_produce >"$dir/placed.java"
batches 1 | clients produce confluent "$brokers" >"$dir/placed.confluent"
batches 2 | clients produce kafka-python "$brokers" >"$dir/placed.python"
for client in java confluent python; do
  sort -o "$dir/placed.$client" "$dir/placed.$client"
  cmp "$dir/placed.java" "$dir/placed.$client" || fail "$client chooses other partitions than Java"
  [ "$(wc -l <"$dir/placed.$client")" -eq "$(wc -l <"$dir/models")" ] || fail "$client did not write everything"
done
[ "$(cut -d' ' -f2 "$dir/placed.java" | sort -u | paste -sd' ')" = '0 1 2 3' ] || fail 'not all partitions are used'

say "a client with another partitioner: what it places wrongly is rejected, and the model goes on"
batches 3 | clients produce confluent-default "$brokers" | sort >"$dir/placed.otherwise"
wrong=$(comm -13 "$dir/placed.java" "$dir/placed.otherwise" | wc -l)
[ "$wrong" -gt 0 ] || fail 'it places all ids alike: choose others'
until_true 30 letters_are 'map(select(.reason == "wrong_partition")) | length' "$wrong"
jq -Rc '{run_stopped: {model_id: ., run_id: "r1", outcome: "completed"}}' "$dir/models" >"$dir/stops.jsonl"
submit --jsonl "$dir/stops.jsonl"
[ "$code" -eq 0 ] || fail "submit: $(cat "$dir/submit.log")"
while read -r model partition; do
  steps=3
  ! grep -qx "$model $partition" "$dir/placed.otherwise" || steps=4
  until_true 60 head_step "$model" "$steps"
  [ "$(jq .position.partition "$dir/store/$model/head.json")" = "$partition" ] || fail "$model is not on $partition"
done <"$dir/placed.java"
letters_are length "$wrong" || fail "other dead letters: $(letters .)"

say "batches with all that goes inline: trained as they are, and refused with one row more"
jq 'del(.pricing) | .labelled = {features: 4, targets: 2} | .commit_plan = {final_commit: {}}' "$e2e/small_run.json" \
  >"$dir/labelled.json"
"$venv/bin/python3" - "$dir" <<'PYTHON'
import array, pathlib, sys
folder, rows = pathlib.Path(sys.argv[1]), 3 * 16384
def npy(name, shape, values):
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    data = array.array("f", (value % 17 / 17 for value in range(values))).tobytes()
    (folder / name).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data)
npy("x.npy", (rows, 4), rows * 4)
npy("y.npy", (rows, 2, 2), rows * 4)
PYTHON
tensors=(--model wide --run r1 --features "$dir/x.npy" --targets "$dir/y.npy")
submit "${tensors[@]}" --start --spec "$dir/labelled.json" --rows-per-batch 16384 --stop
[ "$code" -eq 0 ] || fail "submit: $(cat "$dir/submit.log")"
submit "${tensors[@]}" --rows-per-batch 16385
refused 'at most 16384 rows'
jq -nc --argjson numbers $((16385 * 4)) '{batch: {model_id: "wide", run_id: "r1", batch_id: "more", labelled: {
  features: {dtype: "float32", shape: [16385, 4], data: ("00000000" * $numbers)},
  targets: {dtype: "float32", shape: [16385, 2, 2], data: ("00000000" * $numbers)}}}}' >"$dir/more.jsonl"
submit --jsonl "$dir/more.jsonl"
refused 'batch "more" has 524320 bytes of payload; at most 524288 go inline'
until_true 60 head_step wide 3
"$millrace" replay --brokers "$brokers" --store "$store" --model wide >"$dir/replayed" 2>&1 ||
  fail "it does not replay: $(cat "$dir/replayed")"

say "what is refused is kept whole, as large as it may be"
submit --model whole --run r1 --start --spec "$dir/labelled.json"
clients large "$brokers" whole batch >"$dir/sent"
until_true 30 letters_are 'map(select(.model_id == "whole" and .reason == "non_finite")) | length' 1
[ "$(clients letter "$brokers" whole)" = "$(cat "$dir/sent")" ] || fail 'the dead letter of a batch is another record'
clients large "$brokers" huge submitted >"$dir/sent"
until_true 30 letters_are 'map(select(.model_id == "huge" and .reason == "too_large")) | length' 1
[ "$(clients letter "$brokers" huge)" = "$(cat "$dir/sent")" ] || fail 'the dead letter of a huge record is another one'
say "nothing else was refused: $(letters length) dead letters"
[ "$(letters length)" -eq $((wrong + 2)) ] || fail "other dead letters: $(letters .)"
