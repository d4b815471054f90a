#!/usr/bin/env bash
# Many kinds of run at once in one stack: jobs, commit plans, version bumps, dtype policies, claims, restarts, a run
# that diverges. Each has the versions that its plan says, a chain that verifies and a last version that replays.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly rows=8 interval='.commit_plan={final_and_interval_commit:{every_steps:6}}'
readonly labelled='del(.pricing)|.labelled={features:3,targets:2}|'

# spec NAME FILTER: small_run.json, changed; prints the file.
spec() {
  jq "$2" "$e2e/small_run.json" >"$dir/$1.json"
  printf '%s\n' "$dir/$1.json"
}
# train MODEL RUN SPEC BATCHES-OPTIONS...: the whole run.
train() {
  local model=$1 run=$2 spec=$3
  shift 3
  "$millrace" submit --brokers "$brokers" --model "$model" --run "$run" --start --spec "$spec" \
    --rows-per-batch "$rows" \
    "$@" --stop >/dev/null 2>"$dir/$model.$run.log" || fail "submit $model $run: $(cat "$dir/$model.$run.log")"
}
sobol() { printf -- '--sobol=0:%d\n' "$(($1 * rows))"; }
npy() { printf -- '--features=%s\n--targets=%s\n' "$dir/features.npy" "$dir/$1.npy"; }
listed() { "$millrace" store list-versions "$store" --model "$1" --format json; }
# versions MODEL: "counter semantic run step" of each.
versions() { listed "$1" | jq -r '.[] | "\(.counter) \(.semantic_version) \(.run_id) \(.step)"' | paste -sd, -; }
expect_versions() { [ "$(versions "$1")" = "$2" ] || fail "versions of $1: $(versions "$1"), not $2"; }
head_run() { [ "$(jq -r .run_id "$dir/store/$1/head.json" 2>/dev/null)" = "$2" ]; }
measured() { listed "$1" | jq -c '.[] | [.step, .samples, .loss, .gradient_norm]'; }
partition() { jq .position.partition "$dir/store/$1/head.json"; }
events() {
  timeout 30 "$millrace" metrics --brokers "$brokers" --model "$1" --count "$2" --format json | jq -r .event | uniq -c |
    awk '{ printf "%s%s %s", (NR > 1 ? "," : ""), $1, $2 }'
}
# good MODEL VERSION...: its chain verifies, and each of these versions is what the log gives.
good() {
  local model=$1 version
  shift
  "$millrace" store verify "$store" --model "$model" || fail "the chain of $model does not verify"
  for version in "$@"; do
    "$millrace" replay --brokers "$brokers" --store "$store" --model "$model" --version "$version" --format json \
      >"$dir/replay" 2>"$dir/replay.log" || fail "$model $version is not what the log gives: $(cat "$dir/replay"*)"
  done
}

# Runs one after another on one model: each bump, a restart from the parent, a start anew, a restart from further back.
successors() {
  local source all='.commit_plan={final_commit:{}}'
  train final r1 "$(spec final1 "$all")" "$(sobol 10)"
  until_true 30 head_run final r1
  source=$(jq '{restart_from: {version_id, content_hash}}' "$dir/store/final/head.json")
  train final r2 "$(spec final2 "$all|.version_bump=\"minor\"|. + $source")" "$(sobol 5)"
  train final r3 "$(spec final3 "$all|.version_bump=\"major\"")" "$(sobol 5)"
  train final r4 "$(spec final4 "$all|. + $source")" "$(sobol 5)"
  until_true 30 head_run final r4
}
# A run without a commit leaves nothing behind but its records; a run after it has versions from genesis on.
uncommitted() {
  train none r1 "$(spec none1 '.commit_plan={no_commit:{}}')" "$(sobol 10)"
  [ "$(events none 12)" = "1 run_opened,10 stepped,1 run_closed" ] || fail "a run without commit: $(events none 12)"
  [ ! -e "$dir/store/none/head.json" ] || fail "a run without a commit has a version"
  train none r2 "$(spec none2 '.commit_plan={final_commit:{}}')" "$(sobol 5)"
  until_true 30 head_run none r2
}
# A run that diverges at its sixth batch, and one after it.
diverging() {
  mapfile -t tensors < <(npy poisoned)
  train "$1" r1 "$(spec diverge1 "$labelled"'.commit_plan={final_and_interval_commit:{every_steps:2}}')" "${tensors[@]}"
  mapfile -t tensors < <(npy targets)
  train "$1" r2 "$(spec diverge2 "$labelled$interval")" "${tensors[@]}"
  until_true 30 head_run "$1" r2
  until_true 30 head_step "$1" 20
}
claimed() {
  train claims r1 "$(spec claims "$labelled$interval")" "--jsonl=$dir/claims.jsonl"
  until_true 30 head_step claims 20
  rm -r "$dir/claims" # from here on the store's own copies are the log
}
fft() {
  train fft r1 "$(spec fft 'del(.pricing.characteristic_function)|.pricing.payoff_fft={network_size:16,batches:8}|
    .commit_plan={interval_commit:{every_steps:4}}')" "$(sobol 10)"
  [ "$(events fft 12)" = "1 run_opened,10 stepped,1 run_closed" ] || fail "payoff_fft: $(events fft 12)"
  until_true 30 head_step fft 8
}
plain() {
  mapfile -t tensors < <(npy targets)
  train plain r1 "$(spec plain "$labelled$interval")" "${tensors[@]}"
  until_true 30 head_step plain 20
}
bfloat16() {
  mapfile -t tensors < <(npy targets)
  train bf16 r1 "$(spec bf16 "$labelled$interval"'|.dtype_policy="cast_to_bfloat16"')" "${tensors[@]}"
  until_true 30 head_step bf16 20
}

begin
fresh 2
python3 "$e2e/labelled_data.py" "$dir"
before=$(cat "$dir"/run/*.pid)
jobs=()
readonly neighbour=diverged # on the partition of plain, which must not notice
for kind in plain claimed bfloat16 fft successors uncommitted "diverging $neighbour"; do
  $kind &
  jobs+=("$!")
done
for job in "${jobs[@]}"; do
  wait "$job" || fail "one of the models (above)"
done

for model in plain claims bf16; do
  expect_versions "$model" "0 1.0.0 r1 6,1 1.0.1 r1 12,2 1.0.2 r1 18,3 1.0.3 r1 20"
  good "$model" 0 head
done
expect_versions fft "0 1.0.0 r1 4,1 1.0.1 r1 8"
good fft head
expect_versions none "0 1.0.0 r2 5"
good none head
expect_versions final "0 1.0.0 r1 10,1 1.1.0 r2 5,2 2.0.0 r3 5,3 2.0.1 r4 5"
good final 0 1 2 3
"$millrace" replay --brokers "$brokers" --store "$store" --model final --from genesis >/dev/null ||
  fail "the restart from further back is not what the log gives from genesis"
expect_versions "$neighbour" \
  "0 1.0.0 r1 2,1 1.0.1 r1 4,2 1.0.2 r2 6,3 1.0.3 r2 12,4 1.0.4 r2 18,5 1.0.5 r2 20"
good "$neighbour" 2 head

say "a diverged run's later batches change nothing, and nothing else notices"
[ "$(events "$neighbour" 22)" = "1 run_opened,5 stepped,1 diverged,15 skipped" ] || fail "$(events "$neighbour" 22)"
[ "$(partition plain)" = "$(partition "$neighbour")" ] || fail "choose a neighbour on the partition of plain"
[ "$(partition plain)" != "$(partition claims)" ] || fail "choose a model on another partition"
[ "$(measured plain)" = "$(measured claims)" ] || fail "the same rows by claim check give other weights"
[ "$(measured plain)" != "$(measured bf16)" ] || fail "a cast to bfloat16 changes nothing"
[ "$(jq -rR 'fromjson? | select(.decision == "CastToBfloat16") | .model' "$dir/log/validate.log")" = bf16 ] ||
  fail "a cast is not told, once for its run"

say "a restart has the weights, and the chain's parent"
listed final | jq -e '(map(.restarted_from)) == [null, .[0].version_id, null, .[0].version_id] and
  (map(.parent_version_id)) == [null, .[0].version_id, .[1].version_id, .[2].version_id] and
  .[1].loss == .[3].loss and .[2].loss != .[1].loss' >/dev/null || fail "$(listed final)"

[ "$("$millrace" dlq ls --brokers "$brokers" --format json | jq length)" = 0 ] || fail "something was refused"
[ "$(cat "$dir"/run/*.pid)" = "$before" ] || fail "a service was restarted"
say "all as it should be"
