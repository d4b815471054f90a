# The embedded stack of `./dev up`: its plan for the supervisor, its start and its stop.
readonly -a services=(ingest validate stage_gpu train persist publish)
supervisor=$bin/millrace-supervise
readonly supervisor

# stack_process NAME LEVEL RESTART READY ARGUMENT...: one process of the plan (tools/supervise/plan.h).
stack_process() {
  printf 'process %s\nlevel %s\nrestart %s\nready %s\n' "$1" "$2" "$3" "$4"
  shift 4
  printf 'arg %s\n' "$@"
}

# stack_plan DIR DEVICE THREADS LOGS: THREADS may be empty, then train reads MILLRACE_THREADS or counts the cores. LOGS
# are the log ids that the broker's new log follows.
stack_plan() {
  local dir=$1 device=$2 threads=$3 logs=$4 redis service
  local -a own
  redis=$(command -v redis-server) || die "$EXIT_UNAVAILABLE" "redis-server is not installed (./dev setup)"
  stack_process redis 0 always 'socket redis.sock' \
    "$redis" --port 0 --unixsocket "$dir/run/redis.sock" --save '' --appendonly no --daemonize no --dir "$dir/run"
  # Its log is in memory: a new one would be another log, so that the stack ends with it.
  stack_process broker 1 never 'file bootstrap' \
    "$bin/millrace-devbroker" "--dir=$dir/run" "--adopt=$logs"
  for service in "${services[@]}"; do
    own=()
    case $service in
      validate | stage_gpu | train | persist) own+=("--store=file://$dir/store") ;;
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

# stack_up DIR DEVICE THREADS [ADOPT]: returns when every process has said that it is ready.
stack_up() {
  local dir=$1 device=$2 threads=$3 adopt=${4:-false} running logs log waited=0 child
  log=$dir/log/supervisor.log
  mkdir -p "$dir/run" "$dir/log" "$dir/store"
  if running=$("$supervisor" pid "$dir"); then
    die 73 "a stack runs in $dir already (supervisor $running); ./dev down $dir stops it"
  fi
  logs=$(stack_logs "$dir" "$adopt") || exit
  rm -f "$dir"/run/*.failed "$dir/run/ready"
  stack_plan "$dir" "$device" "$threads" "$logs" >"$dir/run/plan"
  setsid "$supervisor" run "$dir" "$dir/run/plan" </dev/null >>"$log" 2>&1 &
  child=$!
  until [ -s "$dir/run/ready" ]; do
    if ! kill -0 "$child" 2>/dev/null || compgen -G "$dir/run/*.failed" >/dev/null ||
      [ "$waited" -ge 1200 ]; then
      "$supervisor" stop "$dir" || true
      stack_failure "$dir" || tail -n 10 "$log" >&2
      die "$EXIT_UNAVAILABLE" "the stack in $dir is not ready; its logs are in $dir/log"
    fi
    waited=$((waited + 1))
    sleep 0.1
  done
}

# stack_down DIR: services first, then broker and Redis; waits until all have ended. False: none was running.
stack_down() { "$supervisor" stop "$1"; }
