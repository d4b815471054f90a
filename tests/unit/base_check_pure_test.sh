#!/usr/bin/env bash
# base_check_pure_test.sh <check_pure.sh> <compiler> <libmr_base.a> <include directory>: what is planted is found.
set -euo pipefail
check=$1 compiler=$2 base=$3 include=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# planted <name> <wanted word, or "pure"> <C code>
planted() {
  echo "$3" >"$work/$1.c"
  "$compiler" -O1 -fPIE -I"$include" -c "$work/$1.c" -o "$work/$1.o"
  ar rcs "$work/lib$1.a" "$work/$1.o"
  if output=$("$check" "$base" "$work/lib$1.a" 2>&1); then found=pure; else found=$output; fi
  case $found in
    *"$2"*) ;;
    *) echo "$1: expected \"$2\", got: $found"; exit 1 ;;
  esac
}

planted clock 'outside the pure world: time' '#include <time.h>
long now(void); long now(void) { return (long)time(0); }'
planted counter 'mutable static state' 'int next(void); int next(void) { static int count; return ++count; }'
planted global 'mutable static state: total' 'int total = 7;'
planted allocates 'allocates: mr_arena_alloc' '#include "millrace/base.h"
void *get(struct mr_arena *a); void *get(struct mr_arena *a) { return mr_arena_alloc(a, 8); }'
planted heap 'outside the pure world: malloc' '#include <stdlib.h>
void *get(void); void *get(void) { return malloc(8); }'
planted table pure 'const char *text(int i); const char *text(int i) {
  static const char *const texts[] = {"a", "b", "c"}; return texts[i]; }'
planted helpers pure '#include "millrace/base.h"
#include <string.h>
int f(struct mr_bytes b); int f(struct mr_bytes b) {
  return mr_id_valid(b) && mr_mix64(b.size) > 4 && strcmp((const char *)b.data, "abcdefghijkl") < 0; }'
