# MinIO on this machine, for development: another S3 server, on a loopback port. Sourced after common.bash and
# rgw.bash. A folder of it has
#   env                      what Millrace needs to use it, for `source`: endpoint and credentials; while it is ready
#   endpoint, credentials    the same one by one
#   data/, minio.pid, minio.log
readonly minio_module=github.com/minio/minio minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
readonly minio_bucket=millrace minio_start_s=60 minio_stop_s=20
readonly minio_program=${XDG_CACHE_HOME:-$HOME/.cache}/millrace/minio-$minio_version/minio

# minio_build: its program, built once.
minio_build() {
  [ ! -x "$minio_program" ] || return 0
  command -v go >/dev/null ||
    die "$EXIT_UNAVAILABLE" "MinIO is built from its Go module: that takes Go 1.24 or later, and Debian 12 has 1.19"
  say "building MinIO from $minio_module@$minio_version, once: some minutes"
  mkdir -p "$(dirname "$minio_program")"
  GOBIN=$(dirname "$minio_program") go install -trimpath "$minio_module@$minio_version" ||
    die "$EXIT_UNAVAILABLE" "MinIO cannot be built; see above"
}

# minio_pid DIR: its process; false: it does not run. A pid that means another process is none.
minio_pid() {
  local pid
  pid=$(cat "$1/minio.pid" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$1/data" && printf '%s\n' "$pid"
}

# minio_make DIR: a new one's files. They are whole when `endpoint` is there.
minio_make() {
  local dir=$1
  mkdir -p "$dir/data"
  chmod 700 "$dir"
  (
    umask 077
    printf '[default]\naws_access_key_id = millrace\naws_secret_access_key = %s\n' \
      "$(od -An -N 24 -tx1 /dev/urandom | tr -d ' \n')" >"$dir/credentials"
  )
  printf 'http://127.0.0.1:%s\n' "$(rgw_ports 1)" >"$dir/endpoint"
}

# minio_request DIR METHOD PATH: curl's answer code, signed as the user.
minio_request() {
  curl -s -m 5 --noproxy '*' -o /dev/null -w '%{http_code}' -K - <<CURL
request = $2
url = "$(cat "$1/endpoint")/$3"
user = "millrace:$(sed -n 's/^aws_secret_access_key = //p' "$1/credentials")"
aws-sigv4 = "aws:amz:us-east-1:s3"
header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
CURL
}

# minio_start DIR: makes it if it is new, and returns when it is ready, with its bucket.
minio_start() {
  local dir=$1 end=$((SECONDS + minio_start_s)) code
  minio_build
  [ -e "$dir/endpoint" ] || minio_make "$dir"
  # Its password by the environment: a command line is for everyone on the machine to read.
  MINIO_ROOT_USER=millrace MINIO_ROOT_PASSWORD=$(sed -n 's/^aws_secret_access_key = //p' "$dir/credentials") \
    MINIO_BROWSER=off MINIO_UPDATE=off MINIO_DOMAIN=localhost setsid "$minio_program" server --quiet \
    --address "$(sed 's,http://,,' "$dir/endpoint")" "$dir/data" </dev/null >>"$dir/minio.log" 2>&1 &
  printf '%s\n' $! >"$dir/minio.pid"
  disown # who waits for all jobs does not wait for it
  until code=$(minio_request "$dir" PUT "$minio_bucket") && { [ "$code" = 200 ] || [ "$code" = 409 ]; }; do
    if ! minio_pid "$dir" >/dev/null || [ "$SECONDS" -ge "$end" ]; then
      tail -n 5 "$dir/minio.log" >&2
      minio_end "$dir" KILL || true
      die "$EXIT_UNAVAILABLE" "MinIO does not answer; see $dir/minio.log"
    fi
    sleep 0.05
  done
  cat >"$dir/.env.new" <<ENV
export MILLRACE_S3_ENDPOINT=$(cat "$dir/endpoint")
export AWS_SHARED_CREDENTIALS_FILE=$dir/credentials
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE
ENV
  mv "$dir/.env.new" "$dir/env"
}

# minio_end DIR SIGNAL: ends it, and waits for that; false: none was running.
minio_end() {
  local pid end=$((SECONDS + minio_stop_s))
  rm -f "$1/env"
  pid=$(minio_pid "$1") || return 1
  kill "-$2" "$pid"
  while minio_pid "$1" >/dev/null; do
    [ "$SECONDS" -lt "$end" ] || die "$EXIT_FAILED" "MinIO in $1 does not end"
    sleep 0.05
  done
  rm -f "$1/minio.pid"
}
