#!/usr/bin/env bash
# millrace serve over HTTP: what it answers is what `millrace price` says, and every refusal has its status and name.
# Usage: serve_test.sh BIN MAKE_MODELS
set -euo pipefail
bin=$1 make_models=$2
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

fail() { echo "FAILED: $*" >&2; exit 1; }
until_true() {
  local end=$((SECONDS + 30))
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "it never became true: $*"
    sleep 0.05 # asked again until it is so
  done
}

# serve NAME MODEL OPTION...: a server on a free port; its address goes to $base.
serve() {
  local name=$1 model=$2
  shift 2
  "$bin/millrace" serve --store "file://$dir/store" --model "$model" --port 0 --poll-ms 50 "$@" 2>"$dir/$name.log" &
  pids+=($!)
  until_true grep -q '"Listening"' "$dir/$name.log"
  base=http://127.0.0.1:$(sed -n 's/.*"Listening".*"port":\([0-9]*\).*/\1/p' "$dir/$name.log")
}
# ask STATUS CURL-ARGUMENT...: the answer goes to $dir/answer.
ask() {
  local wanted=$1 status
  shift
  status=$(curl -sS -o "$dir/answer" -D "$dir/headers" -w '%{http_code}' "$@") || fail "curl $*"
  [ "$status" = "$wanted" ] || fail "$status, not $wanted, of $*: $(cat "$dir/answer")"
}
# said FILTER TEXT: what the answer says there.
said() { [ "$(jq -r "$1" "$dir/answer")" = "$2" ] || fail "$1 is not $2: $(cat "$dir/answer")"; }

ready() { [ "$(curl -s -o /dev/null -w '%{http_code}' "$base/readyz")" = 200 ]; }

# Nothing is there yet.
serve options options
ask 503 "$base/readyz"
grep -q Bootstrapping "$dir/answer" || fail "readyz says $(cat "$dir/answer")"
ask 200 "$base/healthz"
ask 503 "$base/v1/models/options"
said .error NotReady
said .code Bootstrapping
"$make_models" "file://$dir/store" options pricing 3 >/dev/null
until_true ready
model=$base/v1/models/options
served_is() { [ "$(curl -s "$model" | jq .counter)" = "$1" ]; }
until_true served_is 2

# The same prices, by each way to ask.
"$bin/millrace" price --store "file://$dir/store" --model options --version 2 --format json 100 95 1 0.02 0.01 0.2 |
  jq -c '[.[0] | {call, put}]' >"$dir/expected"
ask 200 "$model/price?X0=100&K=95&T=1&r=0.02&d=0.01&v=0.2"
[ "$(jq -c .prices "$dir/answer")" = "$(cat "$dir/expected")" ] || fail "$(cat "$dir/answer" "$dir/expected")"
ask 200 "$model/price" -d '{"contracts": [[100, 95, 1, 0.02, 0.01, 0.2]]}'
[ "$(jq -c .prices "$dir/answer")" = "$(cat "$dir/expected")" ] || fail "$(cat "$dir/answer" "$dir/expected")"
ask 200 "$model"
said .job pricing
id=$(jq -r .version_id "$dir/answer")
[ "$(jq -r .content_hash "$dir/answer")" = "$(jq -r .content_hash "$dir/store/options/head.json")" ] || fail "the hash"
grep -qi "^etag: \"$id\"" "$dir/headers" || fail "no ETag: $(cat "$dir/headers")"

# Refusals.
ask 409 "$model/price" -d '{"contracts": [[100, 95, 1, 0.02, 0.01, 0.2]], "version": 1}'
said .error Conflict
ask 200 "$model/price" -d "{\"contracts\": [[100, 95, 1, 0.02, 0.01, 0.2]], \"version\": \"$id\"}"
ask 409 -H 'If-Match: "v0000000001_00000000"' "$model"
ask 200 -H "If-Match: \"$id\"" "$model"
ask 409 "$model?version=1"
ask 400 "$model/price" -d '{"contracts": [[100, 95, 1, 0.02, 0.01, 9]]}'
said .code out_of_domain
said .field 'contracts[0].v'
ask 400 "$model/price" -d '{"contracts": [[100, 95, 1, 0.02, 0.01]]}'
said .error Invalid
said .field 'contracts[0]'
ask 400 "$model/price?X0=100"
said .field K
ask 404 "$base/v1/models/other"
said .error NotFound
ask 404 "$base/"
ask 404 "$model/outputs" -d '{"features": [[1]]}'
ask 405 -X DELETE "$model"
ask 411 -H 'Transfer-Encoding: chunked' "$model/price" -d '{}'
head -c 2000000 /dev/zero >"$dir/large"
ask 413 -H 'Expect:' "$model/price" --data-binary "@$dir/large"
ask 200 "$base/metrics"
grep -q '^millrace_serve_requests_total{.*status="409".*} 3' "$dir/answer" ||
  fail "$(grep serve_requests "$dir/answer")"
grep -q '^millrace_serve_version.* 2$' "$dir/answer" || fail "$(grep serve_version "$dir/answer")"

# With a token, and of another job.
"$make_models" "file://$dir/store" flat flat 1 >/dev/null
printf 'secret-of-the-test\n' >"$dir/token"
MILLRACE_SERVE_TOKEN_FILE=$dir/token serve flat flat --concurrency 1
until_true ready
model=$base/v1/models/flat
ask 401 "$model"
said .error RedirectToLogin
grep -qi '^www-authenticate: bearer' "$dir/headers" || fail "no WWW-Authenticate"
ask 403 -H 'Authorization: Bearer wrong' "$model"
said .error Denied
ask 401 "$base/nothing"
authorized=(-H 'Authorization: Bearer secret-of-the-test')
ask 200 "${authorized[@]}" "$model/outputs" -d '{"features": [[0.5], [1]]}'
said '.outputs | length' 2
said '.outputs[0] | length' 64
ask 400 "${authorized[@]}" "$model/outputs" -d '{"features": [[0.5, 1]]}'
ask 404 "${authorized[@]}" "$model/price" -d '{"contracts": [[1, 2, 3, 4, 5, 6]]}'

# One request at a time: while one has not sent its body, the next is told to come back.
exec 3<>"/dev/tcp/127.0.0.1/${base##*:}"
printf 'POST /v1/models/flat/outputs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-of-the-test\r\n' >&3
printf 'Content-Length: 21\r\n\r\n' >&3
busy() { [ "$(curl -s -o "$dir/answer" -w '%{http_code}' "${authorized[@]}" "$model")" = 429 ]; }
until_true busy
said .error Backpressure
printf '{"features": [[0.5]]}' >&3
IFS= read -r line <&3
[[ $line == *' 200 '* ]] || fail "the request that was under way got $line"
exec 3>&-
free() { [ "$(curl -s -o /dev/null -w '%{http_code}' "${authorized[@]}" "$model")" = 200 ]; }
until_true free
! grep -q secret-of-the-test "$dir"/*.log || fail "the token is in a log"

# A good end, and refusals to start.
kill "${pids[0]}"
wait "${pids[0]}" || fail "SIGTERM ends it with $?"
status=0
"$bin/millrace" serve --store "file://$dir/store" --model flat --host 0.0.0.0 --port 0 2>"$dir/open" || status=$?
[ "$status" -eq 64 ] && grep -q MILLRACE_SERVE_TOKEN "$dir/open" || fail "it opens to all without a token: $status"
