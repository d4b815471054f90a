# Apache Kafka on this machine, for development and tests: from Maven Central, in KRaft mode, each broker its own
# controller too, on loopback ports. Sourced after common.bash and packages.bash. A folder of it has
#   bootstrap            the brokers' addresses, while they are ready
#   version, cluster     4.1 or 3.9; the id of the cluster
#   broker-N.properties, .pid, .log; data-N    of broker N, from 1
#   client.properties    with security: settings for librdkafka, with the password if there is one (mode 600)
#   tls/                 with security: an authority, and the certificates that it gave to the brokers and to a client
readonly kafka_versions='4.1 3.9' kafka_securities='none tls sasl_tls'
readonly kafka_start_s=120 kafka_stop_s=15
# The collector and its settings are those of Kafka's own scripts.
readonly -a kafka_collector=(-XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35)

# kafka_jars VERSION: its jars' folder in $kafka_libs, fetched once per machine.
kafka_jars() {
  local pom=$root/tools/kafka/$1/pom.xml cache part sum
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/millrace
  sum=$(sha256sum <"$pom")
  kafka_libs=$cache/kafka-$1-${sum:0:12}
  if [ ! -d "$kafka_libs" ]; then
    mkdir -p "$cache"
    part=$(mktemp -d "$cache/.part-XXXXXX")
    if ! mvn -B -q -C -f "$pom" dependency:copy-dependencies "-DoutputDirectory=$part" >"$part/maven.log" 2>&1; then
      cat "$part/maven.log" >&2
      rm -rf "$part"
      die "$EXIT_UNAVAILABLE" "Maven could not fetch Apache Kafka $1"
    fi
    rm "$part/maven.log"
    # Another one may have been quicker; theirs is as good.
    mv -T "$part" "$kafka_libs" 2>/dev/null || rm -rf "$part"
  fi
  [ -e "$kafka_libs.jsa" ] || kafka_archive "$1"
}

# kafka_archive VERSION: keeps the classes that a broker has loaded, which halves the work of each later start.
kafka_archive() {
  local scratch
  scratch=$(mktemp -d "$kafka_libs.XXXXXX")
  kafka_new "$scratch" 1 "$1" none
  kafka_launch "$scratch" 1 "-XX:ArchiveClassesAtExit=$scratch/classes"
  kafka_await "$scratch" 1
  kafka_stop "$scratch" 1
  mv "$scratch/classes" "$kafka_libs.jsa" || die "$EXIT_UNAVAILABLE" "Java wrote no archive; see $scratch/broker-1.log"
  rm -rf "$scratch"
}

# kafka_folder DIR: as an absolute path in $kafka_dir.
kafka_folder() {
  kafka_dir=$(realpath -m -- "$1")
  case $kafka_dir in
    *[!a-zA-Z0-9/._+@=-]*) die "$EXIT_USAGE" "$kafka_dir: only letters, digits and / . _ + @ = - in its name" ;;
  esac
}

# kafka_brokers DIR: the numbers of its brokers, one a line.
kafka_brokers() {
  local file number
  for file in "$1"/broker-*.properties; do
    [ -e "$file" ] || continue
    number=${file##*/broker-}
    printf '%s\n' "${number%.properties}"
  done
}

# kafka_pid DIR N: the process of broker N; false: it does not run. A pid that means another process is none.
kafka_pid() {
  local pid
  pid=$(cat "$1/broker-$2.pid" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$1/broker-$2.properties" && printf '%s\n' "$pid"
}

# kafka_runs DIR: whether any of its brokers does.
kafka_runs() { [ "$(kafka_stopped "$1")" != "$(kafka_brokers "$1")" ]; }

# kafka_stopped DIR: the numbers of those brokers that do not run, one a line.
kafka_stopped() {
  local number
  for number in $(kafka_brokers "$1"); do
    kafka_pid "$1" "$number" >/dev/null || printf '%s\n' "$number"
  done
}

# kafka_ports COUNT: that many free ports of 127.0.0.1. Below the range of outgoing connections, so that none of those
# takes a broker's port while the broker is down.
kafka_ports() {
  local port low=15000 high
  local -A chosen=()
  read -r high _ </proc/sys/net/ipv4/ip_local_port_range
  [ "$high" -gt $((low + 1000)) ] || die "$EXIT_UNAVAILABLE" "no ports between $low and $high for the brokers"
  while [ ${#chosen[@]} -lt "$1" ]; do
    port=$((low + SRANDOM % (high - low)))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || chosen[$port]=yes
  done
  printf '%s\n' "${!chosen[@]}"
}

# kafka_properties DIR N COUNT VOTERS CLIENT_PORT CONTROLLER_PORT: the settings of broker N of COUNT.
kafka_properties() {
  local copies=$3
  cat <<PROPERTIES
process.roles=broker,controller
node.id=$2
controller.quorum.voters=$4
listeners=CLIENT://127.0.0.1:$5,CONTROLLER://127.0.0.1:$6
advertised.listeners=CLIENT://127.0.0.1:$5
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
log.dirs=$1/data-$2
auto.create.topics.enable=false
default.replication.factor=$copies
min.insync.replicas=$(((copies + 1) / 2))
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$(((copies + 1) / 2))
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$(((copies + 1) / 2))
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
# A producer's limit (4 MiB) is not exact: librdkafka may exceed it by a record's framing.
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
# The default, 128 MiB, is half of the heap.
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
PROPERTIES
}

# kafka_authority DIR: an authority of these brokers' own, for a year, as all that it signs.
kafka_authority() {
  mkdir -p "$1/tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj '/CN=Millrace development authority' \
    -keyout "$1/tls/authority.key" -out "$1/tls/authority.pem" 2>/dev/null
}

# kafka_certificate DIR NAME: a key and the authority's certificate for it, for 127.0.0.1.
kafka_certificate() {
  local tls=$1/tls
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$2" -keyout "$tls/$2.key" -out "$tls/$2.csr" 2>/dev/null
  openssl x509 -req -in "$tls/$2.csr" -CA "$tls/authority.pem" -CAkey "$tls/authority.key" -CAcreateserial -days 365 \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n') -out "$tls/$2.pem" 2>/dev/null
  rm "$tls/$2.csr"
}

# kafka_secure DIR SECURITY PASSWORD: the brokers' settings. Towards controllers, certificates count.
kafka_secure() {
  local protocol=PLAINTEXT controllers=SSL login=org.apache.kafka.common.security.scram.ScramLoginModule
  case $2 in
    none) controllers=PLAINTEXT ;;
    tls) protocol=SSL ;;
    sasl_tls) protocol=SASL_SSL ;;
  esac
  printf '%s\n' "listener.security.protocol.map=CONTROLLER:$controllers,CLIENT:$protocol"
  [ "$2" != none ] || return 0
  cat <<PROPERTIES
ssl.keystore.type=PEM
ssl.keystore.location=$1/tls/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$1/tls/authority.pem
listener.name.controller.ssl.client.auth=required
PROPERTIES
  if [ "$2" = tls ]; then
    printf '%s\n' listener.name.client.ssl.client.auth=required
    return
  fi
  cat <<PROPERTIES
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=$login required username="millrace" password="$3";
PROPERTIES
}

# kafka_client DIR SECURITY PASSWORD: what a client on librdkafka needs.
kafka_client() {
  printf '%s\n' "ssl.ca.location=$1/tls/authority.pem"
  if [ "$2" = tls ]; then
    printf '%s\n' security.protocol=SSL "ssl.certificate.location=$1/tls/client.pem" \
      "ssl.key.location=$1/tls/client.key"
  else
    printf '%s\n' security.protocol=SASL_SSL sasl.mechanism=SCRAM-SHA-512 sasl.username=millrace "sasl.password=$3"
  fi
}

# kafka_java DIR OPTION... -- CLASS ARGUMENT...: the words of the command in $java.
kafka_java() {
  local conf
  conf=$root/tools/kafka/$(cat "$1/version")
  shift
  java=(java -XX:-UsePerfData "-Dlog4j2.configurationFile=$conf/log4j2.properties"
    "-Dlog4j.configuration=file:$conf/log4j.properties")
  [ ! -e "$kafka_libs.jsa" ] || java+=("-XX:SharedArchiveFile=$kafka_libs.jsa")
  while [ "$1" != -- ]; do
    java+=("$1")
    shift
  done
  shift
  java+=(-cp "$kafka_libs/*" "$@")
}

# kafka_format DIR N CLUSTER SCRAM: makes broker N's storage. SCRAM may be empty.
kafka_format() {
  local arguments=$1/.format-$2 log=$1/broker-$2.log status=0
  local -a java
  kafka_java "$1" -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -- kafka.tools.StorageTool format \
    --cluster-id "$3" --config "$1/broker-$2.properties" ${4:+--add-scram "$4"}
  # By a file, since a command line is for everyone on the machine to read.
  (umask 077 && printf '"%s"\n' "${java[@]:1}" >"$arguments")
  java "@$arguments" >"$log" 2>&1 || status=$?
  rm "$arguments"
  if [ "$status" -ne 0 ]; then
    tail -n 5 "$log" >&2
    die "$EXIT_UNAVAILABLE" "the storage of broker $2 cannot be made; see $log"
  fi
}

# kafka_make DIR BROKERS VERSION SECURITY [NAME=VALUE...]: a new cluster, with further settings of its brokers.
kafka_make() {
  if [ "$4" = sasl_tls ] && [ "$3" != 3.9 ]; then
    die "$EXIT_USAGE" "librdkafka 2.0.2, which Debian has, cannot log in to Kafka 4 by SCRAM (2.6.1 can):" \
      "version 3.9, or the security tls"
  fi
  ensure_packages kafka
  kafka_jars "$3"
  kafka_new "$@"
}

# kafka_new DIR BROKERS VERSION SECURITY [NAME=VALUE...]: its files. They are whole when `cluster` is there.
kafka_new() {
  local dir=$1 count=$2 security=$4 number voters='' cluster password='' scram=''
  local -a ports
  if [ -e "$dir/version" ]; then
    die "$EXIT_FAILED" "the brokers in $dir were left half made: remove it"
  fi
  mkdir -p "$dir"
  chmod 700 "$dir"
  printf '%s\n' "$3" >"$dir/version"
  shift 4
  mapfile -t ports < <(kafka_ports $((2 * count)))
  for ((number = 1; number <= count; number++)); do
    voters+=${voters:+,}$number@127.0.0.1:${ports[count + number - 1]}
  done
  if [ "$security" = sasl_tls ]; then
    password=$(openssl rand -hex 24)
    scram="SCRAM-SHA-512=[name=millrace,password=$password]"
  fi
  if [ "$security" != none ]; then
    (
      umask 077
      kafka_authority "$dir"
      kafka_certificate "$dir" broker
      kafka_certificate "$dir" client
      cat "$dir/tls/broker.key" "$dir/tls/broker.pem" >"$dir/tls/keystore.pem"
      kafka_client "$dir" "$security" "$password" >"$dir/client.properties"
    )
  fi
  cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
  cluster=${cluster/#-/A} # no option of the storage tool
  for ((number = 1; number <= count; number++)); do
    (
      umask 077
      exec >"$dir/broker-$number.properties"
      kafka_properties "$dir" "$number" "$count" "$voters" "${ports[number - 1]}" "${ports[count + number - 1]}"
      kafka_secure "$dir" "$security" "$password"
      [ $# -eq 0 ] || printf '%s\n' "$@"
    )
    kafka_format "$dir" "$number" "$cluster" "$scram"
  done
  printf '%s\n' "$cluster" >"$dir/cluster"
}

# kafka_address DIR N: where its clients find broker N.
kafka_address() { sed -n 's|^advertised.listeners=CLIENT://||p' "$1/broker-$2.properties"; }

# kafka_launch DIR N [OPTION...]: starts its process.
kafka_launch() {
  local most=512m
  local -a java
  [ "$(kafka_brokers "$1" | wc -l)" -eq 1 ] || most=384m
  kafka_java "$1" -Xms256m "-Xmx$most" "${kafka_collector[@]}" -XX:+ExitOnOutOfMemoryError "${@:3}" -- \
    kafka.Kafka "$1/broker-$2.properties"
  setsid "${java[@]}" </dev/null >>"$1/broker-$2.log" 2>&1 &
  printf '%s\n' $! >"$1/broker-$2.pid"
  disown # who waits for all jobs does not wait for it
}

# kafka_sees DIR N NUMBER...: whether broker N answers that those brokers are there.
kafka_sees() {
  local dir=$1 number=$2 seen wanted
  local -a settings=()
  [ ! -e "$dir/client.properties" ] || settings=(-F "$dir/client.properties")
  seen=$(kcat "${settings[@]}" -b "$(kafka_address "$dir" "$number")" -L -J -m 2 2>/dev/null </dev/null |
    jq -r '.brokers[].id') || return 1
  shift 2
  for wanted in "$@"; do grep -qx "$wanted" <<<"$seen" || return 1; done
}

# kafka_await DIR NUMBER...: until each of these brokers answers that all of them are there. If one does not in time, it
# stops them.
kafka_await() {
  local dir=$1 number end=$((SECONDS + kafka_start_s))
  shift
  for number in "$@"; do
    until kafka_sees "$dir" "$number" "$@"; do
      if ! kafka_pid "$dir" "$number" >/dev/null || [ "$SECONDS" -ge "$end" ]; then
        tail -n 5 "$dir/broker-$number.log" >&2
        kafka_stop "$dir" "$@" || true
        die "$EXIT_UNAVAILABLE" "broker $number does not answer; see $dir/broker-$number.log"
      fi
      sleep 0.1
    done
  done
}

# kafka_bootstrap DIR: the addresses of all its brokers, joined by commas.
kafka_bootstrap() {
  local number
  for number in $(kafka_brokers "$1"); do kafka_address "$1" "$number"; done | paste -sd,
}

# kafka_start DIR NUMBER...: starts these brokers, which do not run, and returns when they are ready.
kafka_start() {
  local dir=$1 number
  shift
  kafka_jars "$(cat "$dir/version")"
  for number in "$@"; do kafka_launch "$dir" "$number"; done
  kafka_await "$dir" "$@"
  kafka_bootstrap "$dir" >"$dir/.bootstrap.new"
  mv "$dir/.bootstrap.new" "$dir/bootstrap"
}

# kafka_signal DIR SIGNAL NUMBER...: to those of these brokers that run; false: none does.
kafka_signal() {
  local dir=$1 signal=$2 number pid any=1
  shift 2
  for number in "$@"; do
    pid=$(kafka_pid "$dir" "$number") || continue
    kill "-$signal" "$pid" 2>/dev/null && any=0
  done
  return $any
}

# kafka_gone DIR SECONDS NUMBER...: waits until none of these brokers runs; false: not in time.
kafka_gone() {
  local dir=$1 end=$((SECONDS + $2)) number
  shift 2
  for number in "$@"; do
    while kafka_pid "$dir" "$number" >/dev/null; do
      [ "$SECONDS" -lt "$end" ] || return 1
      sleep 0.05
    done
    rm -f "$dir/broker-$number.pid"
  done
}

# kafka_stop DIR NUMBER...: frozen ones too; false: none was running.
kafka_stop() {
  local dir=$1
  shift
  kafka_signal "$dir" CONT "$@" || return 1
  kafka_signal "$dir" TERM "$@" || true
  # The last of three may wait 5 minutes for a controller, since the two before it are gone. What it holds is safe: a
  # broker that was killed checks its log when it starts.
  if ! kafka_gone "$dir" "$kafka_stop_s" "$@"; then
    kafka_signal "$dir" KILL "$@" || true
    kafka_gone "$dir" "$kafka_stop_s" "$@" || die "$EXIT_FAILED" "brokers in $dir do not end"
  fi
  if ! kafka_runs "$dir"; then rm -f "$dir/bootstrap"; fi
}

# kafka_kill DIR NUMBER...: SIGKILL; false: none was running.
kafka_kill() {
  kafka_signal "$1" KILL "${@:2}" && kafka_gone "$1" "$kafka_stop_s" "${@:2}"
}
