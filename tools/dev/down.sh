#!/usr/bin/env bash
# ./dev down DIR            stops what ./dev up started in DIR; its files stay
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/stack.bash"
help_if_asked "$@"

[ $# -eq 1 ] || die "$EXIT_USAGE" "which folder? ./dev down DIR"
stack_folder "$1"
[ -x "$supervisor" ] || die "$EXIT_UNAVAILABLE" "$supervisor is not built (./dev build)"
if stack_down "$stack_dir"; then
  say "stopped; its files are in $stack_dir"
else
  die "$EXIT_FAILED" "no stack runs in $stack_dir"
fi
