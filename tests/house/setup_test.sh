#!/usr/bin/env bash
# ./dev setup on machines that lack things: what it asks, what it prints, what it would run. Nothing is installed:
# apt-get, sudo, npm and dpkg-query are stand-ins that note how they were called.
# Usage: setup_test.sh ROOT
set -euo pipefail
root=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# tool NAME BODY: a stand-in.
tool() {
  printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$here/bin/$1"
  chmod +x "$here/bin/$1"
}

# machine LACKING-PACKAGES...: a Debian without them, for a user who is not root and has no sudo.
machine() {
  local name
  rm -rf "$here/bin" "$here/calls"
  mkdir -p "$here/bin"
  : >"$here/calls"
  for name in bash awk basename dirname cat chmod env mkdir rm sed; do
    ln -s "$(command -v "$name")" "$here/bin/$name"
  done
  tool id 'echo 1000'
  tool dpkg-query "case ' $* ' in *\" \$4 \"*) echo not-installed ;; *) echo installed ;; esac"
  tool apt-get "echo \"apt-get \$*\" >>'$here/calls'"
  tool npm 'true'
}
with_sudo() { tool sudo "[ \"\$1\" = -n ] || echo \"sudo \$*\" >>'$here/calls'; [ \"\$1\" != tee ] || cat >/dev/null"; }

# setup ANSWER OPTIONS...: its output in $output, its exit code in $status.
setup() {
  local answer=$1
  shift
  status=0
  output=$(printf '%s' "$answer" | PATH=$here/bin bash "$root/dev" setup "$@" 2>&1) || status=$?
}

machine
setup '' --for=build
[ "$status" -eq 0 ] || fail "with everything installed it exits $status: $output"
[ -z "$output" ] || fail "with everything installed it says: $output"

machine jq cmake
setup '' --yes --for=build
[ "$status" -eq 69 ] || fail "without root and sudo it exits $status, not 69"
[ "$(grep -c 'apt-get install --no-install-recommends cmake jq$' <<<"$output")" -eq 1 ] ||
  fail "without root and sudo it does not print the line: $output"
[ ! -s "$here/calls" ] || fail "without root it called $(cat "$here/calls")"

machine jq cmake
with_sudo
setup $'n\n' --for=build
[ "$status" -eq 69 ] || fail "after 'no' it exits $status, not 69"
grep -q '^  cmake$' <<<"$output" || fail "it does not say what it would install: $output"
[ ! -s "$here/calls" ] || fail "after 'no' it called $(cat "$here/calls")"

for answer in $'y\n' --yes; do
  machine jq cmake
  with_sudo
  if [ "$answer" = --yes ]; then setup '' --yes --for=build; else setup "$answer" --for=build; fi
  [ "$status" -eq 0 ] || fail "after $answer it exits $status: $output"
  grep -q 'apt-get install -y -qq --no-install-recommends cmake jq$' "$here/calls" ||
    fail "after $answer it called: $(cat "$here/calls")"
done

# What a test needs is not asked of someone who builds.
machine clang-tidy-14
setup '' --for=build
[ "$status" -eq 0 ] && [ -z "$output" ] || fail "the build asks for clang-tidy: $output"

# Nor what Apache Kafka needs; who wants that is asked for it.
machine maven
setup '' --for=build
! grep -q maven <<<"$output" || fail "the build asks for Maven: $output"
setup '' --for=kafka
[ "$status" -eq 69 ] && grep -q 'install --no-install-recommends maven$' <<<"$output" ||
  fail "Kafka does not ask for Maven ($status): $output"

# Nor what an S3 server needs.
machine radosgw
setup '' --for=build
! grep -q radosgw <<<"$output" || fail "the build asks for an S3 server: $output"
setup '' --for=s3
[ "$status" -eq 69 ] && grep -q 'install --no-install-recommends radosgw$' <<<"$output" ||
  fail "S3 does not ask for its server ($status): $output"

setup '' --frobnicate
[ "$status" -eq 64 ] || fail "an unknown option exits $status, not 64"

[ $failures -eq 0 ] && echo "setup: as promised"
exit $failures
