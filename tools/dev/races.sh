#!/usr/bin/env bash
# ./dev races               many processes write to one store: one winner a round, nothing lost, nothing made twice
#
#   --writers N      processes (64); --rounds N (200); --only file|rgw (both)
#
# The tests of `./dev test` do the same with 8 writers and few rounds; this takes some ten minutes on two cores.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
help_if_asked "$@"

writers=64 rounds=200 only=file,rgw
while [ $# -gt 0 ]; do
  needs_value "$@"
  case $1 in
    --writers) writers=$2 ;;
    --rounds) rounds=$2 ;;
    --only) only=$2 ;;
    *) die "$EXIT_USAGE" "unknown option '$1'" ;;
  esac
  shift 2
done
tests=${MR_TOOLS:-$build/release/tests}
if [ -z "${MR_TOOLS:-}" ]; then build_preset release; fi
export MILLRACE_TEST_WRITERS=$writers MILLRACE_TEST_ROUNDS=$rounds
say "$writers writers, $rounds rounds"
case ,$only, in
  *,file,*)
    "$tests/test_store_race"
    "$tests/test_commit_race"
    ;;
esac
case ,$only, in
  *,rgw,*)
    MILLRACE_TEST_RACES_ONLY=yes "$root/tests/s3/with_rgw.sh" "$tests/test_s3_store"
    MILLRACE_TEST_RACES_ONLY=yes "$root/tests/s3/with_rgw.sh" "$tests/test_s3_commits"
    ;;
esac
