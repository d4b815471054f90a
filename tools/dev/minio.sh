#!/usr/bin/env bash
# ./dev minio start DIR     starts MinIO, another S3 server, in DIR, and returns when it is ready
#
#   start DIR        a DIR that had it before goes on, with its objects and its port
#   stop DIR         stops it; its files stay
#   kill DIR         the same by SIGKILL
#
# `source DIR/env` lets Millrace use it, with --store=s3://millrace/PREFIX. It listens on 127.0.0.1 alone. The first
# start builds it from its Go module, which takes some minutes and a Go that Debian 12 does not have; so no test uses it
# by itself. MILLRACE_TEST_S3=minio ./dev test --label s3 runs the tests of s3:// on it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
source "$root/tools/dev/lib/rgw.bash"
source "$root/tools/dev/lib/minio.bash"
help_if_asked "$@"

verb=${1:-}
case $verb in
  start | stop | kill) ;;
  *) die "$EXIT_USAGE" "start, stop or kill? ./dev minio --help" ;;
esac
[ -n "${2:-}" ] || die "$EXIT_USAGE" "which folder? ./dev minio $verb DIR"
[ $# -le 2 ] || die "$EXIT_USAGE" "one folder, not '$3' too"
dir=$(realpath -m -- "$2")

case $verb in
  start)
    if minio_pid "$dir" >/dev/null; then die 73 "MinIO runs in $dir already"; fi
    minio_start "$dir"
    say "ready: $(cat "$dir/endpoint"), bucket $minio_bucket; source $dir/env; ./dev minio stop $dir stops it"
    ;;
  stop) minio_end "$dir" TERM || die "$EXIT_FAILED" "no MinIO runs in $dir" ;;
  kill) minio_end "$dir" KILL || die "$EXIT_FAILED" "no MinIO runs in $dir" ;;
esac
