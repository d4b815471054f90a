#!/usr/bin/env bash
# A virtual environment with what the examples need, and Python code generated from the schemas. Usage: setup.sh DIR
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
schemas=$here/../../schemas
[ -x "$1/bin/python3" ] || python3 -m venv "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
mkdir -p "$1/generated"
mapfile -t protos < <(cd "$schemas" && find millrace -name '*.proto' | sort)
(cd "$schemas" && protoc -I . "--python_out=$1/generated" "${protos[@]}")
echo "PYTHONPATH=$1/generated $1/bin/python3 $here/submit.py --help"
