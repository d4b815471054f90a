#!/usr/bin/env bash
# millrace store tensorboard-log: TensorBoard's own loader reads what the store holds; the same store gives the same
# bytes; damage and folders that cannot be made are told. Usage: tensorboard_test.sh BIN MAKE_MODELS
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MILLRACE_BIN=$1 make_models=$2
source "$here/../../tools/dev/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAIL: $*" >&2; exit 1; }
# store CODE VERB OPTION...: a verb about the store, and its exit code; what it says goes to $dir/out and $dir/err.
store() {
  local wanted=$1 code=0
  "$bin/millrace" store "$2" "file://$dir/store" --model options "${@:3}" >"$dir/out" 2>"$dir/err" || code=$?
  [ "$code" -eq "$wanted" ] || fail "exit code $code, not $wanted, of: ${*:2} ($(cat "$dir/err"))"
}
loads() {
  PYTHONPATH=$venv/generated "$venv/bin/python3" "$here/tensorboard_loads.py" "$dir/store/options" "$1" ||
    fail "TensorBoard does not read what was written"
}
sums() { (cd "$1" && find . -type f -exec sha256sum {} + | sort); }

store 2 tensorboard-log --log-dir "$dir/log"
[ ! -e "$dir/log" ] || fail "nothing to log, and there is a folder"
"$make_models" "file://$dir/store" options pricing 7 4 >/dev/null

store 0 tensorboard-log --log-dir "$dir/deep/log" --format json
[ "$(jq -c '[.versions, .collected, .files]' "$dir/out")" = '[7,0,3]' ] || fail "$(cat "$dir/out")"
loads "$dir/deep/log/options"
cp -r "$dir/deep/log" "$dir/first"
store 0 tensorboard-log --log-dir "$dir/deep/log"
[ "$(sums "$dir/first")" = "$(sums "$dir/deep/log")" ] || fail "the same store gave other bytes"

store 0 gc-run --keep 3 --yes
store 0 tensorboard-log --log-dir "$dir/deep/log"
grep -q '7 versions in 3 files .*, 3 without weights: collected' "$dir/out" || fail "$(cat "$dir/out")"
loads "$dir/deep/log/options"

printf x >>"$(echo "$dir"/store/options/versions/v0000000005_*/checkpoint.pb)"
sums "$dir/deep/log" >"$dir/before"
store 1 tensorboard-log --log-dir "$dir/deep/log"
grep -q v0000000005_ "$dir/err" || fail "$(cat "$dir/err")"
[ "$(sums "$dir/deep/log")" = "$(cat "$dir/before")" ] || fail "a run that failed left something, or took it away"
store 0 tensorboard-log --log-dir "$dir/meta" --metadata-only

store 2 tensorboard-log --log-dir "$dir/out/log"
grep -q "cannot make the folder $dir/out" "$dir/err" || fail "$(cat "$dir/err")"
store 64 tensorboard-log
