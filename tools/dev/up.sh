#!/usr/bin/env bash
# ./dev up DIR              starts broker, Redis and the six services in DIR, and returns when they are ready
#
#   --threads N    threads of train (default: MILLRACE_THREADS, else the number of cores)
#   --device D     where training runs; cpu is what there is (the default)
#   --broker B     dev, the development broker (the default): in memory, 5 MiB a partition, for trying things out;
#                  kafka, Apache Kafka in DIR/kafka (./dev kafka --help), whose log is there again at the next up;
#                  or HOST:PORT,...: brokers that are there and have the topics (millrace topics create)
#   --broker-settings FILE  of librdkafka's settings for brokers that are there (TLS, SASL)
#   --adopt        the models in DIR, whose log is another one, go on in this broker's
#
# DIR/run has a pid file for each process and the broker's address in `bootstrap`, DIR/log their logs, DIR/store the
# models. A service that dies is started again at once; ./dev down DIR stops all of it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
source "$root/tools/dev/lib/stack.bash"
help_if_asked "$@"

dir='' threads='' device=cpu adopt=false
while [ $# -gt 0 ]; do
  case $1 in
    --threads | --device | --broker | --broker-settings)
      needs_value "$@"
      case $1 in
        --threads) threads=$2 ;;
        --device) device=$2 ;;
        --broker) stack_broker=$2 ;;
        --broker-settings) stack_broker_settings=$(realpath -m -- "$2") ;;
      esac
      shift 2
      ;;
    --adopt)
      adopt=true
      shift
      ;;
    -*) die "$EXIT_USAGE" "unknown option '$1'" ;;
    *)
      [ -z "$dir" ] || die "$EXIT_USAGE" "one folder, not '$dir' and '$1'"
      dir=$1
      shift
      ;;
  esac
done
[ -n "$dir" ] || die "$EXIT_USAGE" "which folder? ./dev up DIR"
case $threads in
  *[!0-9]*) die "$EXIT_USAGE" "--threads is a number" ;;
esac
case $stack_broker in
  dev | kafka)
    [ -z "$stack_broker_settings" ] || die "$EXIT_USAGE" "--broker-settings is for brokers that are there"
    ;;
  *:*) ;;
  *) die "$EXIT_USAGE" "--broker is dev, kafka or HOST:PORT,..., not '$stack_broker'" ;;
esac
stack_folder "$dir"
bash "$root/tools/dev/build.sh"
stack_up "$stack_dir" "$device" "$threads" "$adopt"
say "ready: ${services[*]}, on $device, broker $(head -n 1 "$stack_dir/run/bootstrap")"
say "store file://$stack_dir/store, logs $stack_dir/log; ./dev down $dir stops it"
