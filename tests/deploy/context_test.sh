#!/usr/bin/env bash
# What .dockerignore leaves of the tree is enough to configure the build of the images. Usage: context_test.sh ROOT
set -euo pipefail
root=$1
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT

mkdir "$here/context"
(cd "$root" && tar --create --anchored --exclude-from=.dockerignore -- .[!.]* *) | tar --extract -C "$here/context"
for path in Dockerfile docker-compose.yml tests deploy docs build .git; do
  [ ! -e "$here/context/$path" ] || { echo "FAILED: $path is in the context" && exit 1; }
done
if ! cmake -S "$here/context" -B "$here/build" -G Ninja -DBUILD_TESTING=OFF >"$here/log" 2>&1; then
  grep -A4 'CMake Error' "$here/log"
  echo "FAILED: the build does not configure without what .dockerignore leaves out"
  exit 1
fi
echo "context: complete"
