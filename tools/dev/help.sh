#!/usr/bin/env bash
# ./dev help                lists the verbs; ./dev VERB --help says more
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
say "usage: ./dev VERB [OPTIONS]"
say
for script in "$root"/tools/dev/*.sh; do
  usage_of "$script" | sed -n 's/^/  /; 1p'
done
say
say "./dev VERB --help says more."
