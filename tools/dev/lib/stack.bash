# The stack of `./dev up`: its broker, its plan for the supervisor, its start and its stop.
source "$root/tools/dev/lib/packages.bash"
source "$root/tools/dev/lib/kafka.bash"
readonly -a services=(ingest validate stage_gpu train persist publish)
supervisor=$bin/millrace-supervise
readonly supervisor

# stack_process NAME LEVEL RESTART READY ARGUMENT...: one process of the plan (tools/supervise/plan.h).
stack_process() {
  printf 'process %s\nlevel %s\nrestart %s\nready %s\n' "$1" "$2" "$3" "$4"
  shift 4
  printf 'arg %s\n' "$@"
}

# What the next stack_up takes: dev, the development broker; kafka, Apache Kafka in DIR/kafka; or the addresses of
# brokers that are there, with a file of librdkafka's settings for them.
stack_broker=dev
stack_broker_settings=''
# Where its models are; none: DIR/store.
stack_store=''

# stack_plan DIR DEVICE THREADS LOGS: THREADS may be empty, then train reads MILLRACE_THREADS or counts the cores. LOGS
# are the log ids that the broker's new log follows.
stack_plan() {
  local dir=$1 device=$2 threads=$3 logs=$4 redis service
  local -a own
  redis=$(command -v redis-server) || die "$EXIT_UNAVAILABLE" "redis-server is not installed (./dev setup)"
  stack_process redis 0 always 'socket redis.sock' \
    "$redis" --port 0 --unixsocket "$dir/run/redis.sock" --save '' --appendonly no --daemonize no --dir "$dir/run"
  if [ "$stack_broker" = dev ]; then
    # Its log is in memory: a new one would be another log, so that the stack ends with it.
    stack_process broker 1 never 'file bootstrap' \
      "$bin/millrace-devbroker" "--dir=$dir/run" "--adopt=$logs"
  fi
  for service in "${services[@]}"; do
    own=()
    if [ -n "$stack_broker_settings" ]; then own+=("--broker-settings=$stack_broker_settings"); fi
    case $service in
      validate | stage_gpu | train | persist) own+=("--store=${stack_store:-file://$dir/store}") ;;
      publish) own+=("--redis=unix:$dir/run/redis.sock") ;;
    esac
    case $service in
      stage_gpu | train) own+=("--device=$device" "--arena=$dir/run/arena.sock") ;;
    esac
    if [ "$service" = train ] && [ -n "$threads" ]; then own+=("--threads=$threads"); fi
    stack_process "$service" 2 always http \
      "$bin/millrace-$service" '--brokers={file:bootstrap}' --mode=assign --partitions=all '--health-port={port}' \
      "${own[@]}"
  done
}

# stack_folder DIR: DIR as an absolute path in $stack_dir, refused if a socket in it could not be opened.
stack_folder() {
  stack_dir=$(realpath -m -- "$1")
  if [ ${#stack_dir} -gt 80 ]; then
    die "$EXIT_USAGE" "$stack_dir is too long for the sockets in it: 80 characters at most"
  fi
  case $stack_dir in
    *[!a-zA-Z0-9/._+@=,-]*)
      die "$EXIT_USAGE" "$stack_dir: only letters, digits and / . _ + @ = , - in a stack's folder"
      ;;
  esac
}

# stack_failure DIR: says what ended for good, with the end of its log; false: nothing did.
stack_failure() {
  local file name any=false
  for file in "$1"/run/*.failed; do
    [ -e "$file" ] || continue
    any=true
    name=$(basename "$file" .failed)
    printf '%s: %s\n' "$name" "$(cat "$file")" >&2
    tail -n 5 "$1/log/$name.log" 2>/dev/null | sed 's/^/  | /' >&2 || true
  done
  $any
}

# stack_logs DIR ADOPT: the log ids of the brokers that ran in DIR before, oldest first, joined by commas. They are gone
# with them; models that know them go on only when ADOPT is true.
stack_logs() {
  local heads logs head
  heads=$(find "$1/store" -mindepth 2 -maxdepth 2 -name head.json -exec jq -r .position.log_id {} + | sort -u)
  [ -n "$heads" ] || return 0
  if [ "$2" != true ]; then
    die "$EXIT_USAGE" "$1/store holds models of an earlier broker, whose log was in memory and is gone;" \
      "--adopt goes on with them in a new log"
  fi
  logs=$(jq -Rr 'fromjson? | .log_id? // empty' "$1/log/broker.log" 2>/dev/null | awk '!seen[$0]++')
  for head in $heads; do
    grep -qx "$head" <<<"$logs" ||
      die "$EXIT_FAILED" "a model in $1/store knows the log $head, of which $1/log/broker.log knows nothing"
  done
  paste -sd, - <<<"$logs"
}

# stack_kafka DIR: Apache Kafka in DIR/kafka is made if it is not there, runs, and has the topics.
stack_kafka() {
  local dir=$1/kafka
  local -a stopped
  stack_broker_settings=''
  [ -e "$dir/cluster" ] || kafka_make "$dir" 1 "${kafka_versions%% *}" none
  mapfile -t stopped < <(kafka_stopped "$dir")
  [ ${#stopped[@]} -eq 0 ] || kafka_start "$dir" "${stopped[@]}"
  kafka_bootstrap "$dir" >"$1/run/bootstrap"
  if [ -e "$dir/client.properties" ]; then stack_broker_settings=$dir/client.properties; fi
  # Whoever made the topics has chosen how many partitions they have.
  stack_command "$1" topics show >"$1/log/topics.log" 2>&1 ||
    stack_command "$1" topics create --replication "$(kafka_brokers "$dir" | wc -l)" >"$1/log/topics.log" 2>&1 || {
    stack_down "$1" || true
    die "$EXIT_FAILED" "the topics on Apache Kafka cannot be made: $(tail -n 3 "$1/log/topics.log")"
  }
}

# stack_command DIR VERB...: millrace with the stack's broker.
stack_command() {
  MILLRACE_BROKERS=$(head -n 1 "$1/run/bootstrap") MILLRACE_BROKER_SETTINGS=$stack_broker_settings \
    "$bin/millrace" "${@:2}"
}

# stack_adopt DIR: every model in DIR/store goes on in the broker's log.
stack_adopt() {
  local head
  for head in "$1"/store/*/head.json; do
    [ -e "$head" ] || continue
    stack_command "$1" log adopt --store "file://$1/store" --model "$(basename "$(dirname "$head")")"
  done
}

# stack_open_broker DIR ADOPT: what has to be done for the broker before the supervisor starts. To $logs goes what the
# development broker's log follows.
stack_open_broker() {
  local dir=$1 adopt=$2
  case $stack_broker in
    dev)
      [ ! -e "$dir/kafka" ] || die "$EXIT_USAGE" "the log is in $dir/kafka: --broker kafka goes on with it"
      logs=$(stack_logs "$dir" "$adopt") || exit
      return
      ;;
    kafka) stack_kafka "$dir" ;;
    *) printf '%s\n' "$stack_broker" >"$dir/run/bootstrap" ;;
  esac
  logs=''
  if [ "$adopt" = true ]; then stack_adopt "$dir"; fi
}

# stack_up DIR DEVICE THREADS [ADOPT]: returns when every process has said that it is ready.
stack_up() {
  local dir=$1 device=$2 threads=$3 adopt=${4:-false} running logs log waited=0 child
  log=$dir/log/supervisor.log
  mkdir -p "$dir/run" "$dir/log" "$dir/store"
  if running=$("$supervisor" pid "$dir"); then
    die 73 "a stack runs in $dir already (supervisor $running); ./dev down $dir stops it"
  fi
  rm -f "$dir"/run/*.failed "$dir/run/ready"
  stack_open_broker "$dir" "$adopt"
  stack_plan "$dir" "$device" "$threads" "$logs" >"$dir/run/plan"
  setsid "$supervisor" run "$dir" "$dir/run/plan" </dev/null >>"$log" 2>&1 &
  child=$!
  until [ -s "$dir/run/ready" ]; do
    if ! kill -0 "$child" 2>/dev/null || compgen -G "$dir/run/*.failed" >/dev/null ||
      [ "$waited" -ge 1200 ]; then
      stack_down "$dir" || true
      stack_failure "$dir" || tail -n 10 "$log" >&2
      die "$EXIT_UNAVAILABLE" "the stack in $dir is not ready; its logs are in $dir/log"
    fi
    waited=$((waited + 1))
    sleep 0.1
  done
}

# stack_down DIR: services first, then broker and Redis; waits until all have ended. False: none was running.
stack_down() {
  local status=0
  "$supervisor" stop "$1" || status=$?
  if [ -e "$1/kafka/cluster" ]; then
    # shellcheck disable=SC2046 # a number each
    kafka_stop "$1/kafka" $(kafka_brokers "$1/kafka") && status=0
  fi
  return $status
}
