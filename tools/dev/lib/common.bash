# Sourced by every verb: where things are, how to speak, how to leave. Exit codes are those of millrace/config.h.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
build=$root/build
bin=${MILLRACE_BIN:-$build/bin}
# Numbers are written with a point, and sorted alike, wherever this runs.
export LC_ALL=C
readonly root build bin
readonly EXIT_FAILED=1 EXIT_USAGE=64 EXIT_UNAVAILABLE=69

say() { printf '%s\n' "$*"; }

# die CODE MESSAGE...: the message goes to stderr, with the verb's name before it.
die() {
  local code=$1
  shift
  printf 'dev %s: %s\n' "$(basename "$0" .sh)" "$*" >&2
  exit "$code"
}

# The comment at the head of a verb's script is its help.
usage_of() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$1"; }

# help_if_asked "$@": prints the verb's help and leaves when --help is among the arguments.
help_if_asked() {
  local argument
  for argument in "$@"; do
    case $argument in
      -h | --help)
        usage_of "$0"
        exit 0
        ;;
    esac
  done
}

# needs_value "$@": an option that takes a value was given one.
needs_value() { [ $# -ge 2 ] || die "$EXIT_USAGE" "$1 needs a value"; }

# The project's own C files, headers and scripts, one a line. Not by git: a release archive has none.
our_files() {
  find "$root" \( -path "$root/build" -o -path "$root/.git" -o -name node_modules -o -name 'build-*' \) -prune \
    -o -type f \( "$@" \) -print | sort
}
our_c_files() { our_files -name '*.c' -o -name '*.h'; }

# build_preset PRESET [CMAKE OPTIONS]: configures it once (ninja notices later changes by itself) and builds all of it.
build_preset() {
  if [ ! -f "$build/$1/build.ninja" ]; then
    (cd "$root" && cmake --preset "$@" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
  fi
  cmake --build "$build/$1" --parallel "$(nproc)"
}
