#!/usr/bin/env bash
# ./dev build               builds everything, optimised; the programs are in build/bin
#
#   --preset NAME  another preset of CMakePresets.json: gcc, clang, asan, tsan (in build/NAME)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
help_if_asked "$@"

preset=release
while [ $# -gt 0 ]; do
  case $1 in
    --preset)
      needs_value "$@"
      preset=$2
      shift 2
      ;;
    *) die "$EXIT_USAGE" "unknown option '$1'" ;;
  esac
done
case $preset in
  release)
    ensure_packages build
    build_preset release -DBUILD_TESTING=OFF
    ;;
  gcc | clang | asan | tsan)
    ensure_packages test
    build_preset "$preset"
    ;;
  *) die "$EXIT_USAGE" "there is no preset '$preset'; there are release, gcc, clang, asan, tsan" ;;
esac
