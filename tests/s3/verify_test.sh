#!/usr/bin/env bash
# More versions than a page of a listing holds, on a real server: listed and verified, twice. And what could not be read
# is never taken for good or empty. Usage: with_rgw.sh verify_test.sh BIN STORE_MAKER
set -euo pipefail
millrace=$1/millrace make=$2 versions=1010
out=$(mktemp)
trap 'rm -f "$out"' EXIT

fail() { echo "FAIL: $*: $(cat "$out")" >&2; exit 1; }
# expect CODE COMMAND...: its exit code; what it says goes to $out.
expect() {
  local wanted=$1 code=0
  shift
  "$@" >"$out" 2>&1 || code=$?
  [ "$code" -eq "$wanted" ] || fail "exit code $code, not $wanted, of: $*"
}
# undecided TEXT URI: both say with 2 that they could not tell, and why; no list comes out empty.
undecided() {
  local verb
  for verb in verify find-corruption; do
    expect 2 "$millrace" store "$verb" "$2" --model many
    grep -q 'could not tell: ' "$out" && grep -q "$1" "$out" || fail "$verb says not \"$1\""
    expect 2 "$millrace" store "$verb" "$2" --model many --format json
  done
  [ "$(jq -r .corrupted "$out")" = null ] || fail "corrupted or not, it seems to know"
  if "$millrace" store list-versions "$2" --model many >"$out" 2>&1; then fail "listed"; fi
  grep -q "$1" "$out" || fail "list-versions says not \"$1\""
}

uri=s3://millrace/verified
"$make" "$uri" many "$versions"
for _ in 1 2; do
  expect 0 "$millrace" store list-versions "$uri" --model many --format json
  [ "$(jq -c 'map(.counter) == [range(length)], length' "$out" | paste -sd ' ')" = "true $versions" ] || fail "listed"
  expect 0 "$millrace" store verify "$uri" --model many --format json
  [ "$(jq -c '[.verdict, .versions, .audit_entries]' "$out")" = "[\"good\",$versions,$versions]" ] || fail "verified"
done
undecided 'NoSuchBucket: create the bucket' s3://no-such-bucket/verified
export AWS_ACCESS_KEY_ID=AKNOBODY AWS_SECRET_ACCESS_KEY=not-the-secret
undecided 'HTTP 403' "$uri"
