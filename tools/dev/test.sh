#!/usr/bin/env bash
# ./dev test                builds and runs the tests; the last line is 'N passed, N failed'
#
#   --label L      only the tests with this label: unit, property, integration, s3, e2e, schema, style, ...
#   --quick        only those that start no server: unit, property, compute, schema, style, deploy
#   --offline      without those on Apache Kafka, which comes from Maven Central; it names what it left out
#   --preset NAME  gcc (the default), clang, asan or tsan; or all: gcc, clang, asan and tsan in turn
#
# gcc runs everything. The others leave out what a compiler does not change: style, schema, e2e, and but for asan s3.
# The tsan preset runs what has threads of its own; integration is not in it, because ThreadSanitizer cannot run
# librdkafka.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
help_if_asked "$@"

presets=(gcc)
selection=()
kafka=true
s3=true
offline=false
while [ $# -gt 0 ]; do
  case $1 in
    --label)
      needs_value "$@"
      selection=(-L "^$2\$")
      shift 2
      ;;
    --quick)
      selection=(-L '^(unit|property|compute|schema|style|deploy)$')
      kafka=false
      s3=false
      shift
      ;;
    --offline)
      offline=true
      kafka=false
      shift
      ;;
    --preset)
      needs_value "$@"
      case $2 in
        gcc | clang | asan | tsan) presets=("$2") ;;
        all) presets=(gcc clang asan tsan) ;;
        *) die "$EXIT_USAGE" "there is no preset '$2'" ;;
      esac
      shift 2
      ;;
    *) die "$EXIT_USAGE" "unknown option '$1'" ;;
  esac
done
ensure_packages test
if $kafka; then ensure_packages kafka; fi
if $s3; then ensure_packages s3; fi

passed=0 failed=0 skipped=0
# count PRESET: adds what CTest's report says; a broken or absent report counts as a failure.
count() {
  local report=$build/tests-$1.xml attribute
  local -A of=()
  for attribute in tests failures disabled skipped; do
    of[$attribute]=$(sed -n "s/^.*[[:space:]]$attribute=\"\([0-9]*\)\".*$/\1/p" "$report" 2>/dev/null | head -n 1)
  done
  if [ -z "${of[tests]}" ] || [ "${of[tests]}" -eq 0 ]; then
    say "$1: no test ran"
    failed=$((failed + 1))
    return
  fi
  skipped=$((skipped + of[skipped] + of[disabled]))
  failed=$((failed + of[failures]))
  passed=$((passed + of[tests] - of[failures] - of[skipped] - of[disabled]))
}

# kafka_tests PRESET: the names of those selected tests that need Apache Kafka, one a line.
kafka_tests() {
  (cd "$root" && ctest --preset "$1" --show-only -L '^kafka$' "${selection[@]}") |
    sed -n 's/^ *Test *#[0-9]*: *//p'
}

for preset in "${presets[@]}"; do
  say "== $preset: build"
  if ! build_preset "$preset"; then
    say "$preset: the build failed"
    failed=$((failed + 1))
    continue
  fi
  say "== $preset: test"
  rm -f "$build/tests-$preset.xml"
  without=()
  if $offline; then
    mapfile -t left_out < <(kafka_tests "$preset")
    if [ ${#left_out[@]} -gt 0 ]; then
      skipped=$((skipped + ${#left_out[@]}))
      say "left out, since they need Apache Kafka (--offline):" "${left_out[@]}"
      # By name: a second exclusion by label would leave out only what the preset's own does too.
      without=(-E "^($(IFS='|' && printf '%s' "${left_out[*]//./\\.}"))\$")
    fi
  fi
  status=0
  (cd "$root" && ctest --preset "$preset" --parallel "$(nproc)" --output-junit "$build/tests-$preset.xml" \
    "${selection[@]}" "${without[@]}") || status=$?
  before=$failed
  count "$preset"
  if [ "$status" -ne 0 ] && [ "$failed" -eq "$before" ]; then
    say "$preset: ctest exited $status"
    failed=$((failed + 1))
  fi
done

closing="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || closing+=", $skipped skipped"
say "$closing"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
