#!/usr/bin/env bash
# with_rgw.sh PROGRAM ARGUMENT...: runs it beside a RADOS Gateway of its own, which it finds by its environment.
# MILLRACE_TEST_RGW is the gateway's folder. MILLRACE_TEST_RGW_KIND may be bluestore; with MILLRACE_TEST_S3=minio it
# is a MinIO instead.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
kind=${MILLRACE_TEST_S3:-rgw}
trap 'code=$?; trap - EXIT; "$root/dev" "$kind" kill "$dir/s3" >/dev/null 2>&1 || true
      if [ $code -eq 0 ]; then rm -rf "$dir"; else echo "kept: $dir"; fi; exit $code' EXIT
if [ "$kind" = rgw ]; then
  "$root/dev" rgw start "$dir/s3" "${MILLRACE_TEST_RGW_KIND:-memstore}" </dev/null
else
  "$root/dev" "$kind" start "$dir/s3" </dev/null
fi
source "$dir/s3/env"
export MILLRACE_TEST_RGW=$dir/s3 NO_PROXY=127.0.0.1,localhost
"$@" </dev/null
