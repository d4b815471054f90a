#!/usr/bin/env bash
# with_rgw.sh PROGRAM ARGUMENT...: runs it beside a RADOS Gateway of its own, which it finds by its environment.
# MILLRACE_TEST_RGW is the gateway's folder. MILLRACE_TEST_RGW_KIND may be bluestore.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
trap 'code=$?; trap - EXIT; "$root/dev" rgw kill "$dir/rgw" >/dev/null 2>&1 || true
      if [ $code -eq 0 ]; then rm -rf "$dir"; else echo "kept: $dir"; fi; exit $code' EXIT
"$root/dev" rgw start "$dir/rgw" "${MILLRACE_TEST_RGW_KIND:-memstore}" </dev/null
source "$dir/rgw/env"
export MILLRACE_TEST_RGW=$dir/rgw NO_PROXY=127.0.0.1,localhost
"$@" </dev/null
