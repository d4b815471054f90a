#!/usr/bin/env bash
# ./dev lint                clang-tidy-14 over the product's C files (.clang-tidy says what it looks for)
#
#   FILE...        only these
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
help_if_asked "$@"

ensure_packages test
# The generated headers have to be there.
build_preset clang >"$build/lint-build.log" || die "$EXIT_FAILED" "the build failed; see $build/lint-build.log"
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
  mapfile -t files < <(jq -r '.[].file' "$build/clang/compile_commands.json" |
    grep -vE "^$root/(build|tests)/" | sort -u)
fi
status=0
printf '%s\n' "${files[@]}" |
  xargs -P "$(nproc)" -n 8 clang-tidy-14 -p "$build/clang" --quiet >"$build/lint.log" 2>"$build/lint-noise.log" ||
  status=1
sort -u "$build/lint.log" | grep -E '(warning|error):' || true
[ $status -eq 0 ] || die "$EXIT_FAILED" "the whole report is in $build/lint.log"
say "${#files[@]} files: nothing found"
