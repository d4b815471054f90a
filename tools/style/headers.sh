#!/usr/bin/env bash
# Every header compiles alone; those that say extern "C" as C++ too. Usage: headers.sh ROOT INCLUDE_DIR...
set -euo pipefail
root=$1
shift
includes=()
for directory in "$@"; do includes+=(-isystem "$directory"); done
status=0

# try HEADER COMPILER... The command shares train's fold, so that it sees train's headers.
try() {
  local header=$1 report
  shift
  if ! report=$("$@" -fsyntax-only -Wall -Wextra -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -I "$(dirname "$header")" \
    -I "$(dirname "$header")/.." -I "$root/libshared/include" -I "$root/services/train" "${includes[@]}" \
    -include "$header" /dev/null 2>&1); then
    printf '%s: does not compile alone as %s\n%s\n' "${header#"$root"/}" "$1" "$report"
    status=1
  fi
}

while IFS= read -r header; do
  try "$header" "${CC:-gcc}" -std=c17 -x c
  if grep -q 'extern "C"' "$header"; then
    try "$header" "${CXX:-g++}" -std=c++17 -x c++
  fi
done < <(find "$root/libshared" "$root/services" "$root/cli" "$root/tools" "$root/bench" -name '*.h' 2>/dev/null | sort)
exit $status
