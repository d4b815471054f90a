#!/usr/bin/env bash
# millrace serve follows a model while it trains, woken by Redis alone: every answer is a good one, each price is what
# `millrace price` says of the version that the answer names, and the last version is served; example-client, too.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly model=same batches=400 rows=8 hour_ms=3600000
readonly contract=(100 95 1 0.02 0.01 0.2)

serving() { grep -q '"Listening"' "$dir/log/serve.log"; }
status_of() { curl -s -o "$dir/answer" -w '%{http_code}' "$1"; }
ready() { [ "$(status_of "$base/readyz")" = 200 ]; }
head_counter() { jq -r .counter "$dir/store/$model/head.json" 2>/dev/null; }
served_is_head() { [ "$(curl -s "$base/v1/models/$model" | jq .counter)" = "$(head_counter)" ]; }

begin
fresh 2
"$millrace" serve --store "$store" --model "$model" --redis "unix:$dir/run/redis.sock" --poll-ms $hour_ms --port 0 \
  2>"$dir/log/serve.log" &
server=$!
"$bin/example-client" "$store" "$model" "unix:$dir/run/redis.sock" >"$dir/log/client.log" 2>&1 &
client=$!
until_true 30 serving
base=http://127.0.0.1:$(sed -n 's/.*"Listening".*"port":\([0-9]*\).*/\1/p' "$dir/log/serve.log")
"$millrace" submit --brokers "$brokers" --model "$model" --run first --start --spec "$e2e/small_run.json" \
  --sobol "0:$((batches * rows))" --rows-per-batch "$rows" --rate 80 --stop >/dev/null 2>"$dir/log/submit.log" &
submitter=$!
until_true 60 ready

url="$base/v1/models/$model/price?X0=${contract[0]}&K=${contract[1]}&T=${contract[2]}&r=${contract[3]}"
url+="&d=${contract[4]}&v=${contract[5]}"
asked=0
until head_step "$model" "$batches" && served_is_head; do
  [ "$SECONDS" -lt 240 ] || fail "the last version is not served: $(cat "$dir/answer")"
  [ "$(status_of "$url")" = 200 ] || fail "while it swapped: $(cat "$dir/answer")"
  jq -c '{version_id, price: .prices[0]}' "$dir/answer" >>"$dir/prices"
  asked=$((asked + 1))
done
wait "$submitter"
[ "$(status_of "$url")" = 200 ] || fail "$(cat "$dir/answer")"
jq -c '{version_id, price: .prices[0]}' "$dir/answer" >>"$dir/prices"
sort -u "$dir/prices" >"$dir/seen"
while IFS= read -r line; do
  version=$(jq -r .version_id <<<"$line")
  expected=$("$millrace" price --store "$store" --model "$model" --version "$version" --format json "${contract[@]}" |
    jq -c '.[0] | {call, put}')
  [ "$(jq -c .price <<<"$line")" = "$expected" ] || fail "$version over HTTP: $line, by the command: $expected"
done <"$dir/seen"
[ "$(jq -r .version_id "$dir/seen" | sort -u | wc -l)" = "$(wc -l <"$dir/seen")" ] || fail "two prices of one version"

kill "$server"
wait "$server" || fail "SIGTERM ends serve with $?"
until_true 30 grep -q " version $(head_counter) " "$dir/log/client.log"
kill "$client"
say "$asked answers of $(wc -l <"$dir/seen") versions"
