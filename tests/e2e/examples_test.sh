#!/usr/bin/env bash
# The examples do what examples/README.md says: a run submitted from C and one from Python each become a version, which
# both followers print alike.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
python=$root/examples/python
export PYTHONPATH=$venv/generated

[ -d "$PYTHONPATH" ] || fail "what the Python examples need is not there (./dev setup)"
begin
fresh 2
"$bin/example-submit" "$brokers" plane run-1 || fail "the C example did not submit"
"$venv/bin/python3" "$python/submit.py" --brokers "$brokers" --model options --run run-1 ||
  fail "the Python example did not submit"
for model in plane options; do
  in_c=$(timeout 60 "$bin/example-follow" "$brokers" "$model" 1) || fail "the C example saw no version of $model"
  in_python=$(timeout 60 "$venv/bin/python3" "$python/follow.py" --brokers "$brokers" --model "$model") ||
    fail "the Python example saw no version of $model"
  [ "${in_c##* }" = "$(content_hash "$model")" ] || fail "C says '$in_c', the head says $(content_hash "$model")"
  [ "$in_c" = "$in_python" ] || fail "C says '$in_c', Python says '$in_python'"
  say "$in_c"
done
