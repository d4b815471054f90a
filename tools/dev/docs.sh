#!/usr/bin/env bash
# ./dev docs                writes what is generated in docs/: configuration.md
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/stack.bash"
help_if_asked "$@"
[ $# -eq 0 ] || die "$EXIT_USAGE" "unknown option '$1'"
bash "$root/tools/dev/build.sh"
mkdir -p "$root/docs"
"$root/tools/style/configuration.sh" write "$root" "${services[@]/#/$bin/millrace-}" \
  "$bin/millrace" "$bin/millrace-devbroker"
