# A bucket of Ceph's gateway behind a proxy that can be spoiled (bucket_proxy.py), for tests that source lib.bash first.
source "$root/tools/dev/lib/rgw.bash"

# bucket_make DIR: and what Millrace needs to use it, in the environment.
bucket_make() {
  bucket_dir=$1
  mkdir -p "$bucket_dir"
  rgw_folder "$bucket_dir/rgw"
  rgw_start "$bucket_dir/rgw" memstore
  source "$bucket_dir/rgw/env"
  bucket_port=$(rgw_ports 1)
  export NO_PROXY=127.0.0.1 MILLRACE_S3_ENDPOINT=http://127.0.0.1:$bucket_port
  bucket_is good
  bucket_proxy_start
}
# bucket_end: also if there is none.
bucket_end() {
  [ -n "${bucket_dir:-}" ] || return 0
  kill -9 "${bucket_proxy:-}" 2>/dev/null || true
  rgw_kill "$bucket_dir/rgw" >/dev/null 2>&1 || true
}

bucket_proxy_start() {
  local upstream
  upstream=$(cat "$bucket_dir/rgw/endpoint")
  python3 "$e2e/bucket_proxy.py" "$bucket_port" "${upstream##*:}" "$bucket_dir/state" </dev/null \
    >>"$bucket_dir/proxy.log" 2>&1 &
  bucket_proxy=$!
  disown
  until_true 30 bucket_answers
}
bucket_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$bucket_port") 2>/dev/null; }

# bucket_is good|failing: 5xx. bucket_freeze, bucket_thaw: no answer at all. bucket_stop, bucket_again: no connection,
# and what the gateway was about is cut off.
bucket_is() { printf '%s\n' "$1" >"$bucket_dir/state"; }
bucket_freeze() { kill -STOP "$bucket_proxy"; }
bucket_thaw() { kill -CONT "$bucket_proxy"; }
bucket_stop() {
  kill -9 "$bucket_proxy"
  rgw_kill "$bucket_dir/rgw" rgw
}
bucket_again() {
  rgw_start "$bucket_dir/rgw" memstore
  bucket_proxy_start
}
