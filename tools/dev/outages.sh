#!/usr/bin/env bash
# ./dev outages             brokers, Redis, the store and the clock fail while a stream runs on Apache Kafka
#
#   [OUTAGE...]      only these; tests/e2e/outage_test.sh has their names, and what must hold after each
#   --seconds N      how long each of them lasts (3); the full trial is --seconds 20 and then --seconds 60
#   --store s3       models in a bucket of Ceph's gateway, instead of in a folder
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
help_if_asked "$@"

options=()
while :; do
  case ${1:-} in
    --seconds | --store)
      needs_value "$@"
      options+=("$1" "$2")
      shift 2
      ;;
    -*) die "$EXIT_USAGE" "unknown option '$1'" ;;
    *) break ;;
  esac
done
ensure_packages test
ensure_packages kafka
if [[ " ${options[*]} " == *' --store s3 '* ]]; then ensure_packages s3; fi
# With the tools that the tests have.
build_preset gcc >"$build/outages-build.log" || die "$EXIT_FAILED" "the build failed; see $build/outages-build.log"
MILLRACE_BIN=$build/gcc/bin MR_TOOLS=$build/gcc/tests exec bash "$root/tests/e2e/outage_test.sh" "${options[@]}" "$@"
