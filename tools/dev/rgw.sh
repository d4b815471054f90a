#!/usr/bin/env bash
# ./dev rgw start DIR       starts Ceph's RADOS Gateway, a real S3 server, in DIR, and returns when it is ready
#
#   start DIR [memstore|bluestore]   memstore (the default) is quick and forgets everything when it stops; a DIR of
#                    bluestore goes on with its objects and ports
#   stop DIR         stops it; its files stay
#   kill DIR [front] the same by SIGKILL. front: of the process that speaks S3 alone, so that start goes on with what
#                    is in memory too
#
# `source DIR/env` lets Millrace use it, with --store=s3://millrace/PREFIX. By TLS: the endpoint in
# DIR/endpoint-tls, and MILLRACE_S3_CA_FILE=DIR/authority.pem. It listens on 127.0.0.1 alone. Debian has the packages;
# the first start installs them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
source "$root/tools/dev/lib/rgw.bash"
help_if_asked "$@"

verb=${1:-} kind=${3:-memstore}
case $verb in
  start) [ $# -le 3 ] || die "$EXIT_USAGE" "one folder and one kind, not '$4' too" ;;
  stop) [ $# -le 2 ] || die "$EXIT_USAGE" "one folder, not '$3' too" ;;
  kill)
    case ${3:-} in
      '') daemons=() ;;
      front) daemons=(rgw) ;;
      *) die "$EXIT_USAGE" "kill DIR, or kill DIR front" ;;
    esac
    kind=memstore
    ;;
  *) die "$EXIT_USAGE" "start, stop or kill? ./dev rgw --help" ;;
esac
[ -n "${2:-}" ] || die "$EXIT_USAGE" "which folder? ./dev rgw $verb DIR"
case " $rgw_kinds " in
  *" $kind "*) ;;
  *) die "$EXIT_USAGE" "the kind is one of: $rgw_kinds" ;;
esac
rgw_folder "$2"

case $verb in
  start)
    if rgw_pid "$rgw_dir" rgw >/dev/null; then die 73 "a gateway runs in $rgw_dir already"; fi
    rgw_start "$rgw_dir" "$kind"
    say "ready: $(cat "$rgw_dir/endpoint"), bucket $rgw_bucket; source $rgw_dir/env; ./dev rgw stop $rgw_dir stops it"
    ;;
  stop) rgw_stop "$rgw_dir" || die "$EXIT_FAILED" "no gateway runs in $rgw_dir" ;;
  kill) rgw_kill "$rgw_dir" "${daemons[@]}" || die "$EXIT_FAILED" "no gateway runs in $rgw_dir" ;;
esac
