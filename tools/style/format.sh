#!/usr/bin/env bash
# Every C file is as clang-format-14 would write it. Usage: format.sh ROOT
set -euo pipefail
cd "$1"
if report=$(find . \( -path ./build -o -path ./.git -o -name 'build-*' \) -prune \
  -o -type f \( -name '*.c' -o -name '*.h' \) -print | sort |
  xargs -r clang-format-14 --style=file --dry-run --Werror 2>&1); then
  exit 0
fi
printf '%s\n' "$report" | grep -E '(error|warning):' | cut -d: -f1,2 | sort -u
echo "./dev fmt formats them"
exit 1
