#!/usr/bin/env bash
# Each check of style finds what is planted for it, and finds nothing in the clean tree that it is planted in.
# Usage: plants_test.sh ROOT INCLUDE_DIR...
set -euo pipefail
root=$1
shift
style=$root/tools/style
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

clean_tree() {
  rm -rf "${tree:?}"/*
  mkdir -p "$tree"/{libshared/{include/millrace,base,model,stage},services/{ingest,train},tools}
  cp "$root/.clang-format" "$tree/"
  cp "$root"/libshared/include/millrace/{base,error,order,store}.h "$tree/libshared/include/millrace/"
  printf '#include "millrace/base.h"\n\nint base_f(int x);\nint base_f(int x)\n{\n    return x;\n}\n' \
    >"$tree/libshared/base/f.c"
  printf '%s\n' '#ifndef INGEST_H' '#define INGEST_H' '#include <stdint.h>' 'struct ingest_state {' '    uint64_t at;' \
    '};' '#endif' >"$tree/services/ingest/ingest.h"
  printf '#include "ingest.h"\n' >"$tree/services/ingest/ingest_decide.c"
  printf '#!/usr/bin/env bash\nset -euo pipefail\necho\n' >"$tree/tools/x.sh"
}

check() {
  case $1 in
    headers) "$style/headers.sh" "$tree" "${@:2}" ;;
    format | scripts) "$style/$1.sh" "$tree" ;;
    *) python3 -B "$style/$1.py" "$tree" ;;
  esac
}

# plant CHECK FILE WANTED TEXT: with TEXT as FILE, CHECK fails and says WANTED.
plant() {
  local name=$1 file=$2 wanted=$3 text=$4 report
  clean_tree
  printf '%b' "$text" >"$tree/$file"
  if report=$(check "$name" "${includes[@]}" 2>&1); then
    echo "FAILED: $name accepts $file: $text"
    failures=$((failures + 1))
  elif [[ $report != *"$wanted"* ]]; then
    echo "FAILED: $name says '$report' of $file, and not '$wanted'"
    failures=$((failures + 1))
  fi
}
includes=("$@")

clean_tree
for name in words shape decisions layers headers format scripts; do
  if ! report=$(check "$name" "${includes[@]}" 2>&1); then
    echo "FAILED: $name finds fault with a clean tree: $report"
    failures=$((failures + 1))
  fi
done

plant words libshared/base/f.c 'unfinished work' '/* TO''DO */\n'
plant words libshared/base/f.c 'strcpy(' 'void f(void)\n{\n    strcpy(a, b);\n}\n'
plant words libshared/base/f.c 'waits for time' 'void f(void)\n{\n    sleep(1);\n}\n'
plant words libshared/base/f.c 'runs a shell' 'int f(void)\n{\n    return system("ls");\n}\n'
plant words libshared/base/f.c 'use its tag' 'typedef struct a a;\n'
plant words tools/x.sh 'a path of one machine' 'cd /home/someone\n'
plant shape libshared/base/f.c 'a function of 72 lines' "void f(void)\n{\n$(printf '    g();\\n%.0s' {1..70})}\n"
plant shape libshared/base/f.c '121 columns' "/* $(printf 'x%.0s' {1..115}) */\n"
plant shape tools/x.sh 'a tab' 'a\tb\n'
plant decisions services/ingest/ingest_decide.c 'default: hides' \
  'int f(void)\n{\n    switch (1) {\n    default: return 1;\n    }\n}\n'
plant decisions services/ingest/ingest_decide.c '<stdio.h> in a pure' '#include <stdio.h>\n'
plant decisions services/ingest/ingest.h 'pb-c.h" in a pure' '#include "millrace/run/v1/run.pb-c.h"\n'
plant layers libshared/base/f.c 'base may not use store' '#include "millrace/store.h"\n'
plant layers libshared/model/f.c 'model may not use stage' '#include "millrace/order.h"\n'
plant layers services/train/f.c 'ingest.h belongs to another part' '#include "ingest.h"\n'
plant layers services/train/f.c 'ingest.h belongs to another part' '#include "../ingest/ingest.h"\n'
plant layers services/train/f.c 'librdkafka/rdkafka.h is used by' '#include <librdkafka/rdkafka.h>\n'
plant layers libshared/base/f.c 'base knows no schema' '#include "millrace/run/v1/run.pb-c.h"\n'
plant layers libshared/include/millrace/new.h 'has no owner' '\n'
plant layers libshared/stage/f.c 'new.h has no owner' '#include "millrace/new.h"\n'
plant headers services/ingest/ingest.h 'does not compile alone as gcc' 'struct a {\n    uint64_t x;\n};\n'
plant headers libshared/include/millrace/base.h 'does not compile alone as g++' \
  '#ifdef __cplusplus\nextern "C" {\n#endif\nint class;\n#ifdef __cplusplus\n}\n#endif\n'
plant format libshared/base/f.c 'f.c:1' 'int   x;\n'
plant scripts tools/x.sh 'does not parse' 'set -euo pipefail\nif then\n'
plant scripts tools/x.sh 'lacks set -euo pipefail' 'echo\n'

[ $failures -eq 0 ] && echo "every plant was found"
exit $failures
