#!/usr/bin/env bash
# ./dev fmt                 formats every C file with clang-format-14
#
#   --check        changes nothing; names what is not formatted and exits 1
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
help_if_asked "$@"

options=(-i)
for argument in "$@"; do
  case $argument in
    --check) options=(--dry-run --Werror) ;;
    *) die "$EXIT_USAGE" "unknown option '$argument'" ;;
  esac
done
ensure_packages test
our_c_files | xargs -r clang-format-14 --style=file "${options[@]}"
