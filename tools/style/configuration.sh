#!/usr/bin/env bash
# docs/configuration.md says what the programs' option tables say. Usage: configuration.sh check|write ROOT PROGRAM...
set -euo pipefail
what=$1 document=$2/docs/configuration.md
shift 2

generate() {
  cat <<'HEAD'
# Configuration

Generated from the programs' option tables by `./dev docs`; a test compares them. A value comes from `--name=value`,
else from the environment, else from the default; one that is `required` has none. Every program, and every verb of
`millrace`, prints the same with `--help`. The settings of [S3 stores](#s3-stores) come from the
environment alone.
HEAD
  local program
  for program in "$@"; do
    printf '\n'
    "$program" --help-markdown
  done
}

case $what in
  write) generate "$@" >"$document" ;;
  check)
    if ! generate "$@" | diff -u "$document" -; then
      echo "docs/configuration.md is not what the programs say; ./dev docs writes it"
      exit 1
    fi
    ;;
  *)
    echo "configuration.sh check|write ROOT PROGRAM..." >&2
    exit 64
    ;;
esac
