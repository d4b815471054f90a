#!/usr/bin/env bash
# Every script parses, stops at the first failure, and can be executed where it is meant to be. Usage: scripts.sh ROOT
set -euo pipefail
cd "$1"
status=0
complain() {
  echo "$1: $2"
  status=1
}
# ours EXPRESSION...: the project's files that match.
ours() {
  find . \( -path ./build -o -path ./.git -o -name node_modules -o -name 'build-*' \) -prune \
    -o -type f "$@" -print | sort
}
while IFS= read -r script; do
  bash -n "$script" || complain "$script" "does not parse"
  case $script in
    *.bash) continue ;;
  esac
  grep -q '^set -euo pipefail' "$script" || complain "$script" "lacks set -euo pipefail"
done < <(ours \( -name '*.sh' -o -name '*.bash' -o -path ./dev -o -path ./.ci/run \))
while IFS= read -r script; do
  python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$script" ||
    complain "$script" "does not parse"
done < <(ours -name '*.py')
for program in ./dev ./.ci/run; do
  [ ! -e $program ] || [ -x $program ] || complain $program "cannot be executed"
done
exit $status
