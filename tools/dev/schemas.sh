#!/usr/bin/env bash
# ./dev schemas WHAT        checks and keeps the schemas; WHAT is one of
#
#   lint           buf's standard rules
#   breaking       nothing that is released has changed its meaning (against schemas/released.binpb)
#   golden         encodes each text of tests/schema/golden that has no bytes yet; bytes that exist are never changed
#   release        makes the schemas as they are now the released ones; refused if that breaks what is released
#
#   --root DIR     another tree than this one (for the tests)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
help_if_asked "$@"

what='' tree=$root
while [ $# -gt 0 ]; do
  case $1 in
    --root)
      needs_value "$@"
      tree=$2
      shift 2
      ;;
    lint | breaking | golden | release)
      what=$1
      shift
      ;;
    *) die "$EXIT_USAGE" "unknown argument '$1'" ;;
  esac
done
[ -n "$what" ] || die "$EXIT_USAGE" "which? lint, breaking, golden or release"

run_buf() {
  [ -x "$buf" ] || die "$EXIT_UNAVAILABLE" "buf is not installed; ./dev setup does that"
  (cd "$tree/schemas" && "$buf" "$@")
}

# encode TEXT: the message that MESSAGE.CASE.txtpb says, as bytes on standard output.
encode() {
  local message
  local -a protos
  message=$(basename "$1" .txtpb)
  (
    cd "$tree/schemas"
    mapfile -t protos < <(find millrace -name '*.proto' | sort)
    protoc -I . "--encode=${message%.*}" "${protos[@]}" <"$1"
  )
}

case $what in
  lint) run_buf lint ;;
  breaking) run_buf breaking --against released.binpb ;;
  release)
    run_buf breaking --against released.binpb
    run_buf build --exclude-source-info -o released.binpb
    ;;
  golden)
    for text in "$tree"/tests/schema/golden/*.txtpb; do
      bytes=${text%.txtpb}.bin
      if [ ! -e "$bytes" ]; then
        encode "$text" >"$bytes.draft" || { rm "$bytes.draft" && die "$EXIT_FAILED" "$text cannot be encoded"; }
        mv "$bytes.draft" "$bytes"
        say "encoded $(basename "$bytes")"
      elif ! encode "$text" | cmp -s - "$bytes"; then
        die "$EXIT_FAILED" "$(basename "$text") no longer says what its bytes say"
      fi
    done
    ;;
esac
