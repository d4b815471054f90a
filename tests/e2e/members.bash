# Sourced after lib.bash: ingest, validate, persist and publish as members of consumer groups; stage_gpu and train by a
# fixed list. The stack has one of each; second() starts another.
readonly members=(ingest validate persist publish)
as_members=false # what the next stack_up does
declare -A second_pid=() read_lines=()

eval "assign_$(declare -f stack_plan)"
# The plan of ./dev up, with members of groups where they are wanted.
stack_plan() {
  if ! $as_members; then
    assign_stack_plan "$@"
    return
  fi
  assign_stack_plan "$@" | awk -v members="${members[*]}" '
    BEGIN { count = split(members, name, " "); for (i = 1; i <= count; i++) member[name[i]] = 1 }
    $1 == "process" { process = $2 }
    process in member && $2 == "--partitions=all" { next }
    process in member && $2 == "--mode=assign" { $2 = "--mode=subscribe" }
    { print }'
}

# second SERVICE [OPTION...]: another member of its group, which nobody starts again.
second() {
  local service=$1
  local -a own=(--mode=subscribe "--brokers=$brokers")
  case $service in
    validate | persist) own+=("--store=$store") ;;
    publish) own+=("--redis=unix:$dir/run/redis.sock") ;;
  esac
  [ -z "$stack_broker_settings" ] || own+=("--broker-settings=$stack_broker_settings")
  "$bin/millrace-$service" "${own[@]}" "${@:2}" >>"$dir/log/second_$service.log" 2>&1 &
  second_pid[$service]=$!
}
seconds_signal() {
  local service
  for service in "${members[@]}"; do kill "-$1" "${second_pid[$service]}"; done
}
# seconds_frozen: SIGSTOP, and until each of their threads has stopped.
seconds_frozen() {
  local service
  seconds_signal STOP
  for service in "${members[@]}"; do until_true 30 frozen_whole "${second_pid[$service]}"; done
}
frozen_whole() { ! grep -Ehq '^State:[[:space:]]+[^T[:space:]]' "/proc/$1"/task/*/status; }
# seconds_gone: waits for their end.
seconds_gone() { wait "${second_pid[@]}" 2>/dev/null || true; }

# since_now: holds() counts what is assigned from here on.
since_now() {
  local service
  for service in "${members[@]}"; do
    read_lines[$service]=$(lines_of "$service")
    read_lines[second_$service]=$(lines_of "second_$service")
  done
}
lines_of() { if [ -e "$dir/log/$1.log" ]; then wc -l <"$dir/log/$1.log"; else echo 0; fi; }
# holds NAME: how many partitions the process with this log has taken over last; nothing: none was assigned since.
holds() {
  tail -n "+$((${read_lines[$1]:-0} + 1))" "$dir/log/$1.log" |
    jq -rR 'fromjson? | select(.decision == "Assigned") | .partitions' | tail -n 1
}
# share SERVICE: the two of it have two partitions each.
share() { [ "$(holds "$1")" = 2 ] && [ "$(holds "second_$1")" = 2 ]; }
holds_all() { [ "$(holds "$1")" = 4 ]; }
# each CONDITION: until it is true of every member.
each() {
  local service
  for service in "${members[@]}"; do until_true 60 "$1" "$service"; done
}
