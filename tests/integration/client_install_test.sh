#!/usr/bin/env bash
# What `cmake --install` installs of the client is enough: a program in another folder finds it by pkg-config, shared
# and static, in C and in C++, and it shows no name but ours. Usage: client_install_test.sh BUILD SOURCE MAKE_MODELS
set -euo pipefail
build=$1 source=$2 make_models=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

cmake --install "$build" --prefix "$dir/prefix" >"$dir/install.log"
PKG_CONFIG_PATH=$(dirname "$(find "$dir/prefix" -name millrace-client.pc)")
export PKG_CONFIG_PATH
libraries=$(pkg-config --variable=libdir millrace-client)
[ "$(cd "$libraries" && pwd)" = "$(dirname "$PKG_CONFIG_PATH")" ] || fail "pkg-config says $libraries"
"$make_models" "file://$dir/store" options pricing 3 >/dev/null
"$make_models" "file://$dir/store" flat flat 2 >/dev/null

cd "$dir"
cp "$source/examples/c/client.c" .
strict=(-Wall -Wextra -Wpedantic -Werror)
# shellcheck disable=SC2046 # words
gcc -std=c17 -D_POSIX_C_SOURCE=200809L "${strict[@]}" client.c $(pkg-config --cflags --libs millrace-client) -pthread \
  -o shared
# shellcheck disable=SC2046
gcc -std=c17 -D_POSIX_C_SOURCE=200809L "${strict[@]}" client.c $(pkg-config --cflags millrace-client) \
  "$libraries/libmillrace-client.a" $(pkg-config --libs --static millrace-client | sed 's/-lmillrace-client//') \
  -pthread -o static
cat >client.cc <<'CODE'
#include <millrace/client.h>
int main()
{
    mr_client *client = nullptr;
    mr_client_options options{};
    options.store = "file:///tmp";
    options.model = "Not an id";
    return mr_failed(mr_client_open(&options, &client)) && client == nullptr ? 0 : 1;
}
CODE
# shellcheck disable=SC2046
g++ -std=c++17 "${strict[@]}" client.cc $(pkg-config --cflags --libs millrace-client) -o cplusplus

export LD_LIBRARY_PATH=$libraries
./cplusplus || fail "the C++ program says no"
for program in shared static; do
  [ "$(timeout 60 "./$program" "file://$dir/store" options none 1 | cut -d' ' -f 1-3)" = 'options version 2' ] ||
    fail "$program does not serve the head"
done
[ "$(./shared "file://$dir/store" options none 1)" = "$(./static "file://$dir/store" options none 1)" ] ||
  fail "the shared and the static library say different prices"
[ "$(./shared "file://$dir/store" flat none 1)" = 'flat version 1: not_a_pricing_model' ] || fail "a labelled model"

# Nothing else is shown or needed.
others=$(nm -D --defined-only "$libraries/libmillrace-client.so" | awk '$3 !~ /^mr_(client|view|contract)_/ {print $3}')
[ -z "$others" ] || fail "the shared library shows $others"
others=$(nm -g --defined-only "$libraries/libmillrace-client.a" |
  awk 'NF == 3 && $3 !~ /^mr_(client|view|contract)_/ {print $3}')
[ -z "$others" ] || fail "the static library shows $others"
for library in rdkafka microhttpd; do
  ! readelf -d "$libraries/libmillrace-client.so" | grep -q "NEEDED.*$library" || fail "it needs lib$library"
done
