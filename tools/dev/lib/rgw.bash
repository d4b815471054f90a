# Ceph's RADOS Gateway on this machine, for development and tests: a real S3 server on loopback ports, of one monitor,
# one object daemon and one gateway. Sourced after common.bash and packages.bash. A folder of it has
#   env                  what Millrace needs to use it, for `source`: endpoint and credentials; while it is ready
#   endpoint, endpoint-tls, authority.pem, credentials    the same one by one; the TLS one is of the authority's
#   kind                 memstore, whose objects are in memory; or bluestore, whose objects are in DIR/osd
#   ceph.conf; mon/, osd/; mon.pid, osd.pid, rgw.pid and their .log
readonly rgw_kinds='memstore bluestore' rgw_bucket=millrace
readonly rgw_start_s=60 rgw_stop_s=20

# rgw_folder DIR: as an absolute path in $rgw_dir, refused if the sockets in it could not be opened.
rgw_folder() {
  rgw_dir=$(realpath -m -- "$1")
  case $rgw_dir in
    *[!a-zA-Z0-9/._+@=-]*) die "$EXIT_USAGE" "$rgw_dir: only letters, digits and / . _ + @ = - in its name" ;;
  esac
  [ ${#rgw_dir} -le 80 ] || die "$EXIT_USAGE" "$rgw_dir is too long for the sockets in it: 80 characters at most"
}

# rgw_pid DIR mon|osd|rgw: its process; false: it does not run. A pid that means another process is none.
rgw_pid() {
  local pid
  pid=$(cat "$1/$2.pid" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$1/ceph.conf" && printf '%s\n' "$pid"
}

# rgw_runs DIR: whether any of the three does.
rgw_runs() {
  local daemon
  for daemon in rgw osd mon; do
    ! rgw_pid "$1" "$daemon" >/dev/null || return 0
  done
  return 1
}

# rgw_ports COUNT: that many free ports of 127.0.0.1, below the range of outgoing connections.
rgw_ports() {
  local port low=15000 high
  local -A chosen=()
  read -r high _ </proc/sys/net/ipv4/ip_local_port_range
  [ "$high" -gt $((low + 1000)) ] || die "$EXIT_UNAVAILABLE" "no ports between $low and $high for the gateway"
  while [ ${#chosen[@]} -lt "$1" ]; do
    port=$((low + SRANDOM % (high - low)))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || chosen[$port]=yes
  done
  printf '%s\n' "${!chosen[@]}"
}

# rgw_conf DIR KIND ID MON_PORT PORT TLS_PORT: ceph.conf. Two lines are there because nothing works without them:
# without authentication the gateway waits for ever in its default mode "secure", and without tcp_nodelay a read takes
# 40 ms.
rgw_conf() {
  cat <<CONF
[global]
fsid = $3
mon host = v2:127.0.0.1:$4/0
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $1
pid file =
admin socket =
crash dir = $1
log to file = false
log to stderr = true
err to stderr = true
mon cluster log to file = false
mon data = $1/mon
osd data = $1/osd
osd objectstore = $2
memstore device bytes = 4294967296
bluestore block size = 10737418240
bluestore fsck on mount = false
osd memory target = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 2
osd pool default pgp num = 2
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
paxos propose interval = 0.02
paxos min wait = 0.01
[client.rgw]
ms mon client mode = crc
rgw dns name = localhost
rgw frontends = beast endpoint=127.0.0.1:$5 tcp_nodelay=1 ssl_endpoint=127.0.0.1:$6 ssl_certificate=$1/gateway.pem
rgw enable usage log = false
rgw enable gc threads = true
rgw run sync thread = false
rgw enable apis = s3, admin
CONF
}

# rgw_certificates DIR: an authority of this gateway's own, and what it signed for 127.0.0.1.
rgw_certificates() {
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  local names=IP:127.0.0.1,DNS:localhost,DNS:$rgw_bucket.localhost
  openssl req -x509 "${key[@]}" -days 365 -subj '/CN=Millrace development authority' \
    -keyout "$1/authority.key" -out "$1/authority.pem" 2>/dev/null
  openssl req "${key[@]}" -subj /CN=gateway -keyout "$1/gateway.key" -out "$1/gateway.csr" 2>/dev/null
  openssl x509 -req -in "$1/gateway.csr" -CA "$1/authority.pem" -CAkey "$1/authority.key" -CAcreateserial -days 365 \
    -extfile <(printf 'subjectAltName=%s\n' "$names") -out "$1/gateway.crt" 2>/dev/null
  cat "$1/gateway.key" "$1/gateway.crt" >"$1/gateway.pem"
  rm "$1"/gateway.{key,csr,crt} "$1/authority.key"
}

# rgw_launch DIR mon|osd|rgw: starts its process.
rgw_launch() {
  local dir=$1
  local -a words
  case $2 in
    mon) words=(ceph-mon -i a) ;;
    osd) words=(ceph-osd -i 0) ;;
    rgw) words=(radosgw -n client.rgw) ;;
  esac
  setsid "${words[@]}" -f -c "$dir/ceph.conf" </dev/null >>"$dir/$2.log" 2>&1 &
  printf '%s\n' $! >"$dir/$2.pid"
  disown # who waits for all jobs does not wait for it
}

# rgw_failed DIR DAEMON WHY: stops what runs, and leaves.
rgw_failed() {
  rgw_signal "$1" KILL || true
  tail -n 5 "$1/$2.log" >&2
  die "$EXIT_UNAVAILABLE" "$3; see $1/$2.log"
}

# rgw_make DIR KIND: a new one's files. They are whole when `kind` is there.
rgw_make() {
  local dir=$1 id
  local -a ports
  ensure_packages s3
  if [ -e "$dir/ceph.conf" ]; then die "$EXIT_FAILED" "what is in $dir was left half made: remove it"; fi
  mkdir -p "$dir/osd"
  chmod 700 "$dir"
  id=$(cat /proc/sys/kernel/random/uuid)
  mapfile -t ports < <(rgw_ports 3)
  rgw_conf "$dir" "$2" "$id" "${ports[@]}" >"$dir/ceph.conf"
  (umask 077 && rgw_certificates "$dir")
  monmaptool --create --fsid "$id" --addv a "v2:127.0.0.1:${ports[0]}/0" "$dir/monmap" >"$dir/mon.log" 2>&1 &&
    ceph-mon --mkfs -i a -c "$dir/ceph.conf" --monmap "$dir/monmap" >>"$dir/mon.log" 2>&1 ||
    rgw_failed "$dir" mon "the monitor's files cannot be made"
  printf '%s\n' "http://127.0.0.1:${ports[1]}" >"$dir/endpoint"
  printf '%s\n' "https://127.0.0.1:${ports[2]}" >"$dir/endpoint-tls"
  rgw_launch "$dir" mon
  id=$(cat /proc/sys/kernel/random/uuid)
  timeout "$rgw_start_s" ceph -c "$dir/ceph.conf" osd new "$id" >>"$dir/osd.log" 2>&1 &&
    ceph-osd -i 0 --mkfs --osd-uuid "$id" -c "$dir/ceph.conf" >>"$dir/osd.log" 2>&1 ||
    rgw_failed "$dir" osd "the object daemon's files cannot be made"
  rgw_launch "$dir" osd
  rgw_user "$dir"
  printf '%s\n' "$2" >"$dir/kind"
}

# rgw_user DIR: one who may do everything, with keys that Ceph draws.
rgw_user() {
  local user
  user=$(timeout "$rgw_start_s" radosgw-admin -c "$1/ceph.conf" -n client.rgw user create --uid=millrace \
    --display-name=Millrace 2>>"$1/rgw.log") || rgw_failed "$1" rgw "the gateway's user cannot be made"
  (
    umask 077
    jq -r '.keys[0] | "[default]\naws_access_key_id = \(.access_key)\naws_secret_access_key = \(.secret_key)"' \
      <<<"$user" >"$1/credentials"
  )
}

# rgw_request DIR METHOD PATH: curl's answer code, signed as the user.
rgw_request() {
  local access secret
  access=$(sed -n 's/^aws_access_key_id = //p' "$1/credentials")
  secret=$(sed -n 's/^aws_secret_access_key = //p' "$1/credentials")
  # By its standard input, since a command line is for everyone on the machine to read.
  curl -s -m 5 --noproxy '*' -o /dev/null -w '%{http_code}' -K - <<CURL
request = $2
url = "$(cat "$1/endpoint")/$3"
user = "$access:$secret"
aws-sigv4 = "aws:amz:us-east-1:s3"
header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
CURL
}

# rgw_await DIR: until the gateway serves, and has the bucket.
rgw_await() {
  local end=$((SECONDS + rgw_start_s)) daemon
  until [ "$(rgw_request "$1" PUT "$rgw_bucket")" = 200 ]; do
    for daemon in mon osd rgw; do
      rgw_pid "$1" "$daemon" >/dev/null || rgw_failed "$1" "$daemon" "$daemon ended"
    done
    [ "$SECONDS" -lt "$end" ] || rgw_failed "$1" rgw "the gateway does not answer"
    sleep 0.05
  done
}

# rgw_start DIR KIND: makes it if it is new, and returns when it is ready.
rgw_start() {
  local dir=$1 daemon
  if [ ! -e "$dir/kind" ]; then
    rgw_make "$dir" "$2"
  elif [ "$(cat "$dir/kind")" = memstore ] && ! rgw_pid "$dir" osd >/dev/null; then
    die "$EXIT_USAGE" "the objects in $dir were in memory, and are gone: remove it, or start in another folder"
  fi
  for daemon in mon osd rgw; do
    rgw_pid "$dir" "$daemon" >/dev/null || rgw_launch "$dir" "$daemon"
  done
  rgw_await "$dir"
  cat >"$dir/.env.new" <<ENV
export MILLRACE_S3_ENDPOINT=$(cat "$dir/endpoint")
export AWS_SHARED_CREDENTIALS_FILE=$dir/credentials
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE
ENV
  mv "$dir/.env.new" "$dir/env"
}

# rgw_signal DIR SIGNAL [DAEMON...]: to those that run; false: none does.
rgw_signal() {
  local dir=$1 signal=$2 daemon pid any=1
  shift 2
  [ $# -gt 0 ] || set -- rgw osd mon
  for daemon in "$@"; do
    pid=$(rgw_pid "$dir" "$daemon") || continue
    kill "-$signal" "$pid" 2>/dev/null && any=0
  done
  return $any
}

# rgw_gone DIR [DAEMON...]: waits until none of them runs; false: not in time.
rgw_gone() {
  local dir=$1 end=$((SECONDS + rgw_stop_s)) daemon
  shift
  [ $# -gt 0 ] || set -- rgw osd mon
  for daemon in "$@"; do
    while rgw_pid "$dir" "$daemon" >/dev/null; do
      [ "$SECONDS" -lt "$end" ] || return 1
      sleep 0.05
    done
    rm -f "$dir/$daemon.pid"
  done
}

# rgw_kill DIR [DAEMON...]: SIGKILL; false: none of them was running.
rgw_kill() {
  rm -f "$1/env"
  rgw_signal "$1" KILL "${@:2}" || return 1
  rgw_gone "$1" "${@:2}" || die "$EXIT_FAILED" "the gateway in $1 does not end"
}

# rgw_stop DIR: the gateway first; false: none was running. What is in memory is gone anyhow, so it need not end well.
rgw_stop() {
  if [ "$(cat "$1/kind" 2>/dev/null)" != bluestore ]; then
    rgw_kill "$1"
    return
  fi
  rm -f "$1/env"
  rgw_signal "$1" CONT || return 1
  rgw_signal "$1" TERM || true
  rgw_gone "$1" || rgw_kill "$1"
}
