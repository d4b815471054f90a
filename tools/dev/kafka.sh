#!/usr/bin/env bash
# ./dev kafka start DIR     starts Apache Kafka in DIR, and returns when it is ready; its addresses: DIR/bootstrap
#
#   start DIR [N]    a DIR that had it before goes on, with its data and its ports
#     --brokers 1|3    how many (1); each is a controller too
#     --version V      4.1 (the default) or 3.9, from Maven Central, kept in ~/.cache/millrace
#     --security S     tls: clients show a certificate; sasl_tls: TLS, and a password by SCRAM-SHA-512 (version 3.9).
#                      DIR/client.properties has what librdkafka needs for it
#     --set NAME=VALUE   a further setting of the brokers, repeatable
#   stop DIR [N]     stops it; its files stay
#   kill DIR [N]     the same by SIGKILL
#   freeze DIR [N]   SIGSTOP: it runs, and does nothing; thaw DIR [N] ends that
#
# N is the number of a broker; without it, all of them: start starts those that do not run. The options count when DIR
# is new, and are refused later.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/packages.bash"
source "$root/tools/dev/lib/kafka.bash"
help_if_asked "$@"

verb=${1:-}
case $verb in
  start | stop | kill | freeze | thaw) shift ;;
  *) die "$EXIT_USAGE" "start, stop, kill, freeze or thaw? ./dev kafka --help" ;;
esac

dir='' number='' brokers=1 version=${kafka_versions%% *} security=none options=() settings=()
while [ $# -gt 0 ]; do
  case $1 in
    --brokers | --version | --security | --set)
      needs_value "$@"
      options+=("$1")
      case $1 in
        --brokers) brokers=$2 ;;
        --version) version=$2 ;;
        --security) security=$2 ;;
        --set) settings+=("$2") ;;
      esac
      shift 2
      ;;
    -*) die "$EXIT_USAGE" "unknown option '$1'" ;;
    *)
      if [ -z "$dir" ]; then
        dir=$1
      elif [ -z "$number" ]; then
        number=$1
      else
        die "$EXIT_USAGE" "one folder and one broker, not '$1' too"
      fi
      shift
      ;;
  esac
done
[ -n "$dir" ] || die "$EXIT_USAGE" "which folder? ./dev kafka $verb DIR"
[ "$verb" = start ] || [ ${#options[@]} -eq 0 ] || die "$EXIT_USAGE" "${options[0]} is an option of start"
case $brokers in
  1 | 3) ;;
  *) die "$EXIT_USAGE" "--brokers is 1 or 3" ;;
esac
case " $kafka_versions " in
  *" $version "*) ;;
  *) die "$EXIT_USAGE" "--version is one of: $kafka_versions" ;;
esac
case " $kafka_securities " in
  *" $security "*) ;;
  *) die "$EXIT_USAGE" "--security is one of: $kafka_securities" ;;
esac
for setting in "${settings[@]}"; do
  case $setting in
    [a-z]*=*) ;;
    *) die "$EXIT_USAGE" "--set is NAME=VALUE, not '$setting'" ;;
  esac
done
kafka_folder "$dir"
dir=$kafka_dir

if [ ! -e "$dir/cluster" ]; then
  [ "$verb" = start ] && [ -z "$number" ] || die "$EXIT_FAILED" "there is no Apache Kafka in $dir"
  kafka_make "$dir" "$brokers" "$version" "$security" "${settings[@]}"
elif [ ${#options[@]} -gt 0 ]; then
  die "$EXIT_USAGE" "the brokers in $dir are made already: ${options[0]} is for new ones"
fi
mapfile -t numbers < <(if [ "$verb" = start ]; then kafka_stopped "$dir"; else kafka_brokers "$dir"; fi)
if [ -n "$number" ]; then
  [ -e "$dir/broker-$number.properties" ] || die "$EXIT_USAGE" "there is no broker $number in $dir"
  if [ "$verb" = start ] && kafka_pid "$dir" "$number" >/dev/null; then numbers=(); else numbers=("$number"); fi
fi

case $verb in
  start)
    [ ${#numbers[@]} -gt 0 ] || die 73 "Apache Kafka runs in $dir already"
    kafka_start "$dir" "${numbers[@]}"
    say "ready: Apache Kafka $(cat "$dir/version"), $(cat "$dir/bootstrap"); ./dev kafka stop $dir stops it"
    ;;
  stop) kafka_stop "$dir" "${numbers[@]}" || die "$EXIT_FAILED" "no broker runs in $dir" ;;
  kill) kafka_kill "$dir" "${numbers[@]}" || die "$EXIT_FAILED" "no broker runs in $dir" ;;
  freeze) kafka_signal "$dir" STOP "${numbers[@]}" || die "$EXIT_FAILED" "no broker runs in $dir" ;;
  thaw) kafka_signal "$dir" CONT "${numbers[@]}" || die "$EXIT_FAILED" "no broker runs in $dir" ;;
esac
