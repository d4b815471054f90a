#!/usr/bin/env bash
# The packages that the Dockerfile installs are those whose libraries the programs load: none is missing, none is spare.
# Usage: images_test.sh ROOT PROGRAM-FOLDER
set -euo pipefail
root=$1 programs=$2
# What a Debian has anyway, and what the images have besides libraries.
essential=$'libc6\nlibgcc-s1'
besides=$'ca-certificates\ncurl'
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# stage NAME: its lines of the Dockerfile.
stage() { awk -v name="$1" '/^FROM/ { inside = $4 == name } inside' "$root/Dockerfile"; }

# installed STAGE...: the packages that they install, one a line.
installed() {
  local name
  for name in "$@"; do
    stage "$name" | sed -e ':a' -e '/\\$/N' -e 's/\\\n/ /' -e 'ta' |
      sed -n 's/.*apt-get install -y --no-install-recommends \([^&]*\)&&.*/\1/p' | tr -s ' ' '\n'
  done | grep . | sort -u
}

# libraries PROGRAM...: the files of the libraries that they name, one a line. What those load comes with them.
libraries() {
  local program
  for program in "$@"; do
    awk 'NR == FNR { named[$1]; next } $1 in named { print $3 }' \
      <(objdump -p "$programs/$program" | awk '$1 == "NEEDED" { print $2 }') <(ldd "$programs/$program")
  done | sort -u
}

# loaded PROGRAM...: the packages of those libraries, one a line.
loaded() {
  local library
  while read -r library; do
    # dpkg knows a file by the path that its package has, which may be without /usr.
    { dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "$(realpath "$library")" 2>/dev/null ||
      dpkg-query -S "$(realpath "$library" | sed 's|^/usr||')" || echo "no-package-of-$library:"; } | cut -d: -f1
  done < <(libraries "$@") | sort -u | grep -vxF "$essential"
}

# check STAGE: its programs against its packages and those of the stage that it is made from.
check() {
  local -a found
  local wanted has
  mapfile -t found < <(stage "$1" | grep -o '/src/build/bin/[a-z_-]*' | xargs -n 1 basename)
  [ ${#found[@]} -gt 0 ] || fail "$1 has no programs"
  wanted=$(loaded "${found[@]}")
  has=$(installed runtime "$1" | grep -vxF "$besides")
  [ "$wanted" = "$has" ] || fail "$1: $(diff <(echo "$wanted") <(echo "$has") |
    sed -n 's/^< /missing: /p; s/^> /spare: /p' | paste -sd, -)"
}

check cli
check services
[ $failures -eq 0 ] && echo "images: packages as loaded"
exit $failures
