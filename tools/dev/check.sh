#!/usr/bin/env bash
# ./dev check               what has to hold before a change lands: lint, then every test under every preset
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
help_if_asked "$@"
[ $# -eq 0 ] || die "$EXIT_USAGE" "unknown option '$1'"
"$root/dev" lint
"$root/dev" test --preset all
