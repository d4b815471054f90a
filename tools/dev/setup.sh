#!/usr/bin/env bash
# ./dev setup               installs what is missing, after saying what and asking
#
#   --yes          do not ask
#   --for=build    only what the build, the demo and the embedded stack need
#   --for=test     that, and what the tests need
#   --for=kafka    that of the build, and what Apache Kafka needs (./dev kafka)
#   --for=s3       that of the build, and what a real S3 server needs (./dev rgw)
#   --for=all      everything (the default)
#
# Packages come from Debian 12 by apt; for the tests, buf from npm into build/npm, and what the Python examples and the
# tests need from pip into build/venv. Without root and without sudo it prints the one line that someone else has to
# run, and exits 69.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
help_if_asked "$@"

yes=false
purpose=all
for argument in "$@"; do
  case $argument in
    --yes) yes=true ;;
    --for=build | --for=test | --for=kafka | --for=s3 | --for=all) purpose=${argument#--for=} ;;
    *) die "$EXIT_USAGE" "unknown option '$argument'" ;;
  esac
done

confirm() {
  $yes && return 0
  local answer=
  printf '%s [y/N] ' "$1"
  read -r answer || true
  [ -t 0 ] || say
  case $answer in
    y | Y | yes) ;;
    *) die "$EXIT_UNAVAILABLE" "nothing was installed (answer y, or use --yes)" ;;
  esac
}

# Becomes the words that apt-get has to be started with.
find_root() {
  if [ "$(id -u)" -eq 0 ]; then
    as_root=()
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=(sudo)
  else
    return 1
  fi
}

# Debian starts a server that it installs. The stack has a Redis of its own; one on port 6379 is not wanted.
policy=/usr/sbin/policy-rc.d
without_services() {
  local ours=false status=0
  if [ ! -e "$policy" ]; then
    ours=true
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
  fi
  "$@" || status=$?
  if $ours; then "${as_root[@]}" rm -f "$policy"; fi
  return $status
}

install_packages() {
  local -a missing=("$@")
  local line="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  say "Millrace needs these Debian packages, which are not installed:"
  printf '  %s\n' "${missing[@]}"
  if ! command -v apt-get >/dev/null; then
    die "$EXIT_UNAVAILABLE" "this is not Debian: install the counterparts of the packages above"
  fi
  if ! find_root; then
    say "That needs root, and there is neither root nor sudo here. Someone who has it should run:"
    say "  $line"
    exit "$EXIT_UNAVAILABLE"
  fi
  confirm "Install them with apt-get?"
  "${as_root[@]}" apt-get update -qq
  without_services "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
  local server
  for server in redis-server prometheus; do
    case " ${missing[*]} " in
      *" $server "*)
        # Nor at the next boot: it came for its programs alone.
        if [ -d /run/systemd/system ]; then "${as_root[@]}" systemctl disable --quiet "$server"; fi
        ;;
    esac
  done
}

install_beside_packages() {
  say "Two things for the tests go into build/, and nowhere else: $buf_package from npm, and from pip what the Python"
  say "examples need ($(paste -sd' ' "$root/examples/python/requirements.txt")) and ${pip_for_tests[*]}."
  confirm "Install them?"
  npm install --prefix "$build/npm" --no-audit --no-fund --no-save --loglevel=error "$buf_package"
  "$buf" --version >/dev/null || die "$EXIT_UNAVAILABLE" "buf does not run on this machine"
  "$root/examples/python/setup.sh" "$venv" >/dev/null
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${pip_for_tests[@]}"
}

mapfile -t missing < <(missing_packages "$purpose")
if [ ${#missing[@]} -gt 0 ]; then
  install_packages "${missing[@]}"
fi
if { [ "$purpose" = test ] || [ "$purpose" = all ]; } && ! beside_packages_are_there; then
  install_beside_packages
fi
