#!/usr/bin/env bash
# The command against a development broker and ingest. Usage: cli_test.sh BIN SPEC STORE_MAKER
set -euo pipefail
bin=$1 spec=$2 make=$3
dir=$(mktemp -d)
pids=()
finish() {
  local code=$? pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ "$code" -ne 0 ]; then tail -n 20 "$dir"/*.log >&2 || true; fi
  rm -rf "$dir"
  exit "$code"
}
trap finish EXIT

fail() { echo "FAIL: $*" >&2; exit 1; }
# expect CODE COMMAND...: its exit code; what it says goes to $dir/out and $dir/err.
expect() {
  local wanted=$1 code=0
  shift
  "$@" >"$dir/out" 2>"$dir/err" || code=$?
  [ "$code" -eq "$wanted" ] || fail "exit code $code, not $wanted, of: $* ($(cat "$dir/err"))"
}
# until_true COMMAND...: within 20 s.
until_true() {
  local end=$((SECONDS + 20))
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "it never became true: $*"
    sleep 0.05 # asked again until it is so
  done
}
m() { "$bin/millrace" "$@"; }

expect 64 m
expect 64 m nosuch
expect 0 m --help
expect 0 m submit --help
expect 64 m submit --brokers 127.0.0.1:1 --model Bad! --run r --stop
expect 64 m submit --brokers 127.0.0.1:1 --model a --run r
expect 75 m status --brokers 127.0.0.1:1
expect 66 m store list-versions "file://$dir/store" --model nothing
expect 2 m store verify "file://$dir/store" --model nothing
expect 2 m store find-corruption "file://$dir/store" --model nothing
[ ! -e "$dir/store" ] || fail "looking at a store made one"
mkdir "$dir/store"
expect 2 m store verify "file://$dir/store" --model nothing --format json
[ "$(jq -r .verdict "$dir/out")" = no_model ] || fail "$(cat "$dir/out")"

# A good store, the same with a payload of version 7 that was touched, and then without its metadata.
"$make" "file://$dir/made" many 20
expect 0 m store verify "file://$dir/made" --model many --format json
[ "$(jq -c '[.verdict, .versions, .audit_entries, .hashed_bytes]' "$dir/out")" = '["good",20,20,1280]' ] ||
  fail "$(cat "$dir/out")"
expect 0 m store find-corruption "file://$dir/made" --model many
printf x >>"$(echo "$dir"/made/many/versions/v0000000007_*/checkpoint.pb)"
expect 1 m store verify "file://$dir/made" --model many --threads 1
grep -q 'many: corrupt: payload_hash of v0000000007_' "$dir/out" || fail "$(cat "$dir/out")"
expect 1 m store find-corruption "file://$dir/made" --model many --format json
[ "$(jq -c '[.corrupted, .corruption, .counter]' "$dir/out")" = '[true,"payload_hash",7]' ] || fail "$(cat "$dir/out")"
expect 0 m store verify "file://$dir/made" --model many --metadata-only
grep -q 'payloads not read' "$dir/out" || fail "$(cat "$dir/out")"
rm "$dir"/made/many/versions/v0000000003_*/metadata.json
expect 1 m store find-corruption "file://$dir/made" --model many --metadata-only
grep -q 'version     v0000000003_' "$dir/out" || fail "$(cat "$dir/out")"
expect 64 m store doctor
expect 2 env MILLRACE_S3_ENDPOINT=http://127.0.0.1:9 MILLRACE_S3_ATTEMPTS=1 AWS_ACCESS_KEY_ID=a \
  AWS_SECRET_ACCESS_KEY=b NO_PROXY=127.0.0.1 "$bin/millrace" store doctor s3://bucket/x
expect 0 m store doctor "file://$dir/store" --large-mib 1 --rounds 3 --writers 4
[ "$(tail -n 1 "$dir/out")" = good ] || fail "$(cat "$dir/out")"
expect 0 m store doctor "file://$dir/store" --large-mib 0 --rounds 1 --format json
[ "$(jq -c '[.verdict, ([.checks[].verdict] | unique)]' "$dir/out")" = '["good",["good"]]' ] || fail "$(cat "$dir/out")"
expect 64 m price --store "file://$dir/store" --model nothing 1 2 3
expect 66 m price --store "file://$dir/store" --model nothing 100 100 1 0.02 0.01 0.2

"$bin/millrace-devbroker" --dir="$dir" >"$dir/broker.log" 2>&1 &
pids+=($!)
until_true test -s "$dir/bootstrap"
MILLRACE_BROKERS=$(head -n 1 "$dir/bootstrap")
export MILLRACE_BROKERS
"$bin/millrace-ingest" >"$dir/ingest.log" 2>&1 &
pids+=($!)

# A whole run by one command; the last batch is smaller.
expect 0 m submit --model a --run r1 --start --spec "$spec" --sobol 0:100 --rows-per-batch 32 --stop --format json
[ "$(jq -c '[.accepted, .starts, .batches, .rows, .stops]' "$dir/out")" = '[6,1,4,100,1]' ] || fail "$(cat "$dir/out")"
ingested() { [ "$(m status --format json | jq '.stages[] | select(.stage == "validate") | .end')" = "$1" ]; }
until_true ingested 6
expect 0 m top --count 1 --interval-ms 100 --format json
[ "$(jq -c '.stages[0] | [.stage, .end]' "$dir/out")" = '["ingest",6]' ] || fail "$(cat "$dir/out")"

# The same batches again, by the same producer: recognised.
expect 0 m submit --model a --run r2 --start --spec "$spec"
expect 0 m submit --model a --run r2 --sobol 0:64 --producer p --epoch 3
expect 0 m submit --model a --run r2 --sobol 0:96 --producer p --epoch 3
until_true ingested 10

# A mistake is told with its place, and nothing is sent for it.
printf 'X0,K,T,r,d,v\n100,100,1,0.02,0.01,0.2\n100,x,1,0.02,0.01,0.2\n' >"$dir/bad.csv"
expect 64 m submit --model a --run r2 --contracts "$dir/bad.csv" --rows-per-batch 1
grep -q 'line 3 field K' "$dir/err" || fail "$(cat "$dir/err")"
expect 64 m submit --model a --run r2 --sobol 5
printf '{"pricing":{"nosuch":1}}' >"$dir/bad.json"
expect 64 m submit --model a --run r3 --start --spec "$dir/bad.json"
grep -q nosuch "$dir/err" || fail "$(cat "$dir/err")"
printf '{"batch":{}}\n{"batch":\n' | expect 64 m submit --model a --run r2 --jsonl -
grep -q 'line 2' "$dir/err" || fail "$(cat "$dir/err")"

# A dead letter, its replay after the cause is gone, and its marker.
expect 0 m submit --model b --run late --sobol 0:32
letters() { [ "$(m dlq ls --model b --format json | jq length)" = "$1" ]; }
until_true letters 1
id=$(m dlq ls --model b --format json | jq -r '.[0].id')
[ "$(m dlq show "$id" | jq -r '.reason + " " + .key')" = 'unknown_run b' ] || fail "$(m dlq show "$id")"
expect 0 m submit --model b --run late --start --spec "$spec"
expect 0 m dlq replay "$id"
until_true letters 0
[ "$(m dlq ls --all --model b --format json | jq -c 'map(.resolved)')" = '[true]' ] || fail "the letter is not kept"
expect 66 m dlq purge nosuch
expect 64 m dlq purge
expect 0 m submit --model b --run never --sobol 0:32
until_true letters 1
expect 0 m dlq purge --all --model b
until_true letters 0

# A broker that goes away while batches are sent: what is known is said, and the numbers to send the same again.
m submit --model a --run r2 --sobol 0:100000 --rows-per-batch 1 --rate 50 --timeout 1 --producer q --epoch 7 \
  >"$dir/out" 2>"$dir/err" &
submit=$!
pids+=("$submit")
until_true grep -q 'submit: .* accepted' "$dir/err"
kill "${pids[0]}"
code=0
wait "$submit" || code=$?
[ "$code" -eq 75 ] || fail "exit code $code, not 75 ($(cat "$dir/err"))"
grep -q 'unacknowledged: the broker acknowledged nothing for 1 s' "$dir/err" || fail "$(cat "$dir/err")"
grep -q -- '--producer=q --epoch=7 --sequence=1' "$dir/err" || fail "$(cat "$dir/err")"
grep -Eq '^accepted [1-9][0-9]* of [0-9]+: 0 starts' "$dir/out" || fail "$(cat "$dir/out")"
echo ok
