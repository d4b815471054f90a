#!/usr/bin/env bash
# A run whose models are in a bucket (of Ceph's gateway; MILLRACE_TEST_S3=minio: of MinIO) ends with the bytes that it
# has in a folder; also when services are killed meanwhile, and when the server itself is away for a while. Nothing is
# lost, and no secret is told.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
source "$root/tools/dev/lib/rgw.bash"
source "$root/tools/dev/lib/minio.bash"
# small_run.json has a version every 70 steps, and one of the last.
readonly batches=210 before_outage=100 rows=8 model=same server=${MILLRACE_TEST_S3:-rgw}

# The server that speaks S3: start it (again), and kill it, with its objects there for the next start.
server_start() {
  if [ "$server" = minio ]; then minio_start "$gateway/s3"; else rgw_start "$gateway/s3" memstore; fi
}
server_kill() {
  if [ "$server" = minio ]; then minio_end "$gateway/s3" KILL; else rgw_kill "$gateway/s3" "$@"; fi
}

# submit FROM TO RATE OPTION...: these batches of the run, so many a second.
submit() {
  "$millrace" submit --brokers "$brokers" --model "$model" --run first --sobol "$(($1 * rows)):$((($2 - $1) * rows))" \
    --rows-per-batch "$rows" --rate "$3" "${@:4}" >/dev/null 2>"$dir/submit.log" ||
    fail "submit: $(cat "$dir/submit.log")"
}
readonly -a start=(--start --spec "$e2e/small_run.json")

listed() { timeout 60 "$millrace" store list-versions "$store" --model "$model" --format json 2>/dev/null; }
has_versions() { listed | jq -e 'length > 0' >/dev/null; }
has_step() { [ "$(listed | jq -r '[.[].step] | max')" = "$batches" ]; }
last_hash() { listed | jq -r 'max_by(.counter).content_hash'; }

check_versions() {
  [ "$(listed | jq -c '[.[].counter] | sort')" = '[0,1,2]' ] || fail "the versions are not 0 .. 2: $(listed)"
  "$millrace" store verify "$store" --model "$model" || fail "the chain does not verify"
  "$millrace" replay --brokers "$brokers" --store "$store" --model "$model" --device cpu || fail "replay differs"
}

begin
gateway=$(mktemp -d)
trap 'code=$?; trap - EXIT; kill $(jobs -p) 2>/dev/null || true; stack_down "$dir" >/dev/null 2>&1 || true
      server_kill >/dev/null 2>&1 || true
      if [ $code -eq 0 ]; then rm -rf "$dir" "$gateway"; else tail -n 5 "$dir"/log/*.log; echo "kept: $dir $gateway"; fi
      exit $code' EXIT
say "a folder"
fresh 2
submit 0 "$batches" 0 "${start[@]}" --stop
until_true 120 has_step
quiet=$(last_hash)

server_start
source "$gateway/s3/env"
export NO_PROXY=127.0.0.1
stack_store=s3://$rgw_bucket/quiet
say "a bucket, quiet"
fresh 2
submit 0 "$batches" 0 "${start[@]}" --stop
until_true 120 has_step
[ "$(last_hash)" = "$quiet" ] || fail "in a bucket it has other bytes"
check_versions

stack_store=s3://$rgw_bucket/killed
say "a bucket, services killed and the gateway away"
fresh 2
submit 0 "$before_outage" 30 "${start[@]}" &
submitter=$!
for victim in persist train validate; do
  pid=$(service_pid "$victim")
  kill -9 "$pid"
  until_true 30 another_pid "$victim" "$pid"
done
wait "$submitter" || fail "the submitter failed"
until_true 60 has_versions
server_kill rgw
# Only now, so that there is something left to store.
submit "$before_outage" "$batches" 30 --stop
until_true 60 grep -q StoreDown "$dir/log/train.log"
server_start
until_true 120 has_step
[ "$(last_hash)" = "$quiet" ] || fail "after the outage it has other bytes"
check_versions

secret=$(sed -n 's/^aws_secret_access_key = //p' "$gateway/s3/credentials")
[ -n "$secret" ] || fail "there is no secret to look for"
! grep -rqF "$secret" "$dir" || fail "the secret is in $(grep -rlF "$secret" "$dir")"
say "all equal: $quiet"
