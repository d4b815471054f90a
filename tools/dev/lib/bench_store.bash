# ./dev bench store, sourced by bench.sh after common.bash.
source "$root/tools/dev/lib/packages.bash"
source "$root/tools/dev/lib/rgw.bash"

# bench_store_on NAME URI OPTION...: measures a store, and tells.
bench_store_on() {
  local name=$1
  "$bin/millrace-bench-store" "--store=$2" "--report=$figures/$name.json" "${@:3}"
  jq -r --arg name "$name" 'def ms: (. * 100 | round) / 100;
    "  \($name): a request of 1 KiB: put p50 \(.request_ms.put.p50 | ms) ms, get p50 \(.request_ms.get.p50 | ms) ms",
    (.alone, .many | "    \(.models) model(s): \(.commits_per_second | round) commits/s, p50 \(.commit_ms.p50 | ms) " +
      "p99 \(.commit_ms.p99 | ms) ms in \(.trips_per_commit | ms) trips; \(.spool_ms | ms) ms to spool one"),
    "    commit p50 of one model / put p50: \(.alone.commit_ms.p50 / .request_ms.put.p50 | ms)",
    "    verify: \(.verify.versions_per_second | round) versions/s, \(.verify.mib_per_second | round) MiB/s; " +
      "SHA-256 here \(.sha256_mib_per_second | round) MiB/s"' "$figures/$name.json"
}

# bench_store_openssl SECONDS: what the machine hashes in one thread, by the library's own measure.
bench_store_openssl() {
  openssl speed -seconds "$1" -bytes 1048576 -mr -evp sha256 2>/dev/null | awk -F: '/^\+F:/ { print $NF / 1048576 }'
}

bench_store() {
  local report=$build/bench/store.json dir='' only=file,rgw seconds=3 scratch
  local -a sizes=()
  while [ $# -gt 0 ]; do
    case $1 in
      --quick)
        sizes=(--requests=20 --commits=5 --models=4 --hash-ms=100)
        seconds=1
        shift
        ;;
      --only | --report | --dir)
        needs_value "$@"
        case $1 in
          --only) only=$2 ;;
          --report) report=$(realpath -m -- "$2") ;;
          --dir) dir=$2 ;;
        esac
        shift 2
        ;;
      *) die "$EXIT_USAGE" "unknown option '$1'" ;;
    esac
  done
  if [ -z "${MILLRACE_BIN:-}" ]; then bash "$root/tools/dev/build.sh"; fi
  mkdir -p "${dir:-${TMPDIR:-/tmp}}" "$(dirname "$report")"
  scratch=$(mktemp -d -p "${dir:-${TMPDIR:-/tmp}}")
  figures=$scratch/figures
  mkdir "$figures"
  # shellcheck disable=SC2064 # now
  trap "rgw_kill '$scratch/rgw' >/dev/null 2>&1 || true; rm -rf '$scratch'" EXIT
  say "load before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
  case ,$only, in
    *,file,*) bench_store_on file "file://$scratch/store" "${sizes[@]}" ;;
  esac
  case ,$only, in
    *,rgw,*)
      rgw_folder "$scratch/rgw"
      rgw_start "$rgw_dir" memstore
      (source "$rgw_dir/env" && NO_PROXY=127.0.0.1 bench_store_on rgw "s3://$rgw_bucket/bench" "${sizes[@]}")
      ;;
  esac
  jq -n --argjson mib "$(bench_store_openssl "$seconds")" '{mib_per_second: $mib}' >"$figures/openssl.json"
  say "  openssl speed sha256: $(jq '.mib_per_second | round' "$figures/openssl.json") MiB/s"
  jq -n '[inputs | {key: (input_filename | sub(".*/"; "") | sub("\\.json$"; "")), value: .}] | from_entries' \
    "$figures"/*.json >"$report"
  say "== figures: $report"
}
