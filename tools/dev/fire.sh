#!/usr/bin/env bash
# ./dev fire                poisoned batches on Apache Kafka, while ingest and validate are killed
#
#   --models N           20; the full trial is --models 100 --poison 10000 --kills 20
#   --poison N           1000: refused at once, or claims that fail 1 to 4 times, or always
#   --kills N            2: kill -9 of ingest and validate, in turn
#   --first-wait-ms N    20: how long a failed record waits for its second attempt
#
# tests/e2e/kafka_fire_test.sh says what must hold.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
help_if_asked "$@"

ensure_packages test
ensure_packages kafka
# With the tools that the tests have.
build_preset gcc >"$build/fire-build.log" || die "$EXIT_FAILED" "the build failed; see $build/fire-build.log"
MILLRACE_BIN=$build/gcc/bin MR_TOOLS=$build/gcc/tests exec bash "$root/tests/e2e/kafka_fire_test.sh" "$@"
