#!/usr/bin/env bash
# persist is killed at every step of a commit to a bucket: while it waits for an answer that the server never gives,
# has given, or gives when persist is gone. The next one goes on: the same versions as of a quiet run, and they verify.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
source "$root/tools/dev/lib/rgw.bash"
readonly batches=210 rows=8 model=same

eval "whole_$(declare -f stack_plan)"
persist_too=true
# The plan of ./dev up, without persist where the test starts it.
stack_plan() {
  whole_stack_plan "$@" | awk -v all="$persist_too" '
    $1 == "process" { process = $2 }
    all == "true" || process != "persist" { print }'
}

train_stream() {
  "$millrace" submit --brokers "$brokers" --model "$model" --run first --start --spec "$e2e/small_run.json" \
    --sobol "0:$((batches * rows))" --rows-per-batch "$rows" --stop >/dev/null 2>"$dir/submit.log" ||
    fail "submit: $(cat "$dir/submit.log")"
}
listed() { timeout 60 "$millrace" store list-versions "$store" --model "$model" --format json 2>/dev/null; }
has_versions() { [ "$(listed | jq length)" = "$1" ]; }
hashes() { listed | jq -c 'sort_by(.counter) | map([.counter, .content_hash])'; }
produced() { [ "$(grep -c CheckpointProduced "$dir/log/train.log")" = "$1" ]; }

# persist_at ENDPOINT: starts one of ours, in $persist.
persist_at() {
  MILLRACE_S3_ENDPOINT=$1 "$bin/millrace-persist" --mode=assign --partitions=all "--brokers=$brokers" \
    "--store=$store" >>"$dir/log/persist.log" 2>&1 &
  persist=$!
}

# kill_at KIND METHOD PATH_PART: one of ours, killed while its request is held.
kill_at() {
  local said=$dir/log/proxy
  "$MR_TOOLS/mr_fault_proxy" "$gateway_port" "$@" >"$said" &
  proxy=$!
  until_true 10 grep -q '^port ' "$said"
  persist_at "http://127.0.0.1:$(sed -n 's/^port //p' "$said")"
  until_true 60 grep -q '^stalled' "$said"
  kill -9 "$persist"
  wait "$persist" 2>/dev/null || true
}
end_proxy() {
  kill "$proxy"
  wait "$proxy" 2>/dev/null || true
}

begin
gateway=$(mktemp -d)
trap 'code=$?; trap - EXIT; kill $(jobs -p) 2>/dev/null || true; stack_down "$dir" >/dev/null 2>&1 || true
      rgw_kill "$gateway/rgw" >/dev/null 2>&1 || true
      if [ $code -eq 0 ]; then rm -rf "$dir" "$gateway"; else tail -n 5 "$dir"/log/*.log; echo "kept: $dir $gateway"; fi
      exit $code' EXIT
rgw_folder "$gateway/rgw"
rgw_start "$gateway/rgw" memstore
source "$gateway/rgw/env"
export NO_PROXY=127.0.0.1
gateway_port=${MILLRACE_S3_ENDPOINT##*:}

say "quiet"
stack_store=s3://$rgw_bucket/quiet
fresh 2
train_stream
until_true 120 has_versions 3
quiet=$(hashes)

say "killed"
persist_too=false
stack_store=s3://$rgw_bucket/killed
fresh 2
train_stream
until_true 120 produced 3
for step in 'stall GET /head.json' 'stall GET /spool/' 'stall PUT /checkpoint.pb' 'done PUT /checkpoint.pb' \
  'done PUT /content_hash.txt' 'done PUT /metadata.json' 'done PUT /audit/' 'stall PUT /head.json'; do
  # shellcheck disable=SC2086 # three words
  kill_at $step
  end_proxy
  ! has_versions 1 || fail "$step: there is a version already"
done
kill_at done PUT /head.json
end_proxy
until_true 10 has_versions 1
kill_at late PUT /head.json
until_true 30 has_versions 2
end_proxy
for step in 'stall DELETE /spool/' 'done DELETE /spool/'; do
  # shellcheck disable=SC2086 # three words
  kill_at $step
  end_proxy
done
persist_at "$MILLRACE_S3_ENDPOINT"
until_true 60 has_versions 3
[ "$(hashes)" = "$quiet" ] || fail "other versions than without kills: $(hashes), not $quiet"
"$millrace" store verify "$store" --model "$model" || fail "the chain does not verify"
say "all equal: $quiet"
