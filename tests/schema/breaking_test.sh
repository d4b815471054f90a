#!/usr/bin/env bash
# The check of incompatible changes fails on each kind of them, and lets compatible ones through.
# Usage: breaking_test.sh ROOT
set -euo pipefail
root=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0
proto=$tree/schemas/millrace/common/v1/common.proto

# change SED: on a fresh copy; it must change something.
change() {
  rm -rf "$tree/schemas"
  cp -r "$root/schemas" "$tree/schemas"
  sed -i "$1" "$proto"
  if cmp -s "$proto" "$root/schemas/millrace/common/v1/common.proto"; then
    echo "FAILED: '$1' changes nothing"
    exit 1
  fi
}
check() { "$root/dev" schemas breaking --root "$tree" 2>&1; }

breaks() {
  change "$2"
  if report=$(check); then
    echo "FAILED: $1 passes"
    failures=$((failures + 1))
  elif [[ $report != *common.proto* ]]; then
    echo "FAILED: $1 is refused for another reason: $report"
    failures=$((failures + 1))
  fi
}
passes() {
  change "$2"
  if ! report=$(check); then
    echo "FAILED: $1 is refused: $report"
    failures=$((failures + 1))
  fi
}

breaks "a changed type" 's/string model_id = 1;/bytes model_id = 1;/'
breaks "a changed number" 's/Offset prev = 3;/Offset prev = 4;/'
breaks "a changed name" 's/uint32 partition = 2;/uint32 shard = 2;/'
breaks "a field that is gone, its number free" '/uint32 partition = 2;/d'
breaks "a value of an enum that is gone" '/DTYPE_FLOAT16 = 4;/d'
passes "a new field" 's/Offset prev = 3;/Offset prev = 3; string note = 4;/'
passes "a field that is gone, number and name reserved" 's/uint32 partition = 2;/reserved 2; reserved "partition";/'
[ $failures -eq 0 ] && echo "incompatible changes are refused"
exit $failures
