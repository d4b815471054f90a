#!/usr/bin/env bash
# A stack on brokers that want to know who is there: client certificates on Apache Kafka 4.1, and a password by SCRAM
# over TLS on 3.9. It trains to the same bytes on both; who shows nothing, or the wrong thing, is refused with the
# reason; and what is secret is in no log, plan or command line.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
readonly batches=60 rows=8 model=secured

# secure VERSION SECURITY: a stack on a new broker; the command uses the same settings.
secure() {
  stack_down "$dir" >/dev/null 2>&1 || true
  rm -rf "${dir:?}"/*
  kafka_make "$dir/kafka" 1 "$1" "$2"
  export MILLRACE_BROKER_SETTINGS=$dir/kafka/client.properties
  stack_up "$dir" cpu 2 false
  brokers=$(head -n 1 "$dir/run/bootstrap")
  store=file://$dir/store
}

train() {
  "$millrace" submit --brokers "$brokers" --model "$model" --run first --start --spec "$e2e/small_run.json" \
    --sobol "0:$((batches * rows))" --rows-per-batch "$rows" --stop >"$dir/submit.log" 2>&1 ||
    fail "submit: $(cat "$dir/submit.log")"
  until_true 120 head_step "$model" "$batches"
  "$millrace" store verify "$store" --model "$model" || fail "the chain does not verify"
  "$millrace" replay --brokers "$brokers" --store "$store" --model "$model" --device cpu || fail "replay differs"
}

# refused EXIT REASON FILE: whoever has these settings; the command says why.
refused() {
  local status=0
  "$millrace" topics show --brokers "$brokers" --broker-settings "$3" >"$dir/refused.log" 2>&1 || status=$?
  [ "$status" -eq "$1" ] && grep -qi -- "$2" "$dir/refused.log" ||
    fail "with the settings of $3 it exits $status: $(cat "$dir/refused.log")"
}

# private FILE...: only their owner reads them.
private() {
  local file
  for file in "$@"; do
    [ "$(stat -c %a "$file")" = 600 ] || fail "$file can be read by others"
  done
}

# secret TEXT: it is in those files that are there to hold it, and nowhere else.
secret() {
  local found pid
  found=$(grep -rlF -e "$1" "$dir" | sort | paste -sd' ')
  [ "$found" = "$dir/kafka/broker-1.properties $dir/kafka/client.properties" ] || fail "the secret is in: $found"
  for pid in "$dir"/run/*.pid "$dir"/kafka/*.pid; do
    pid=$(cat "$pid")
    ! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qF -e "$1" || fail "the secret is on a command line"
  done
}

begin
stack_broker=kafka
say "client certificates, Apache Kafka 4.1"
secure 4.1 tls
train
quiet=$(content_hash "$model")
private "$dir/kafka/client.properties" "$dir"/kafka/tls/*.key "$dir/kafka/tls/keystore.pem"
grep -v '^ssl.certificate\|^ssl.key' "$dir/kafka/client.properties" >"$dir/anonymous.properties"
refused 75 certificate "$dir/anonymous.properties"

say "a password, Apache Kafka 3.9"
secure 3.9 sasl_tls
train
[ "$(content_hash "$model")" = "$quiet" ] || fail "other bytes than on the other broker"
private "$dir/kafka/client.properties" "$dir/kafka/broker-1.properties"
secret "$(sed -n 's/^sasl.password=//p' "$dir/kafka/client.properties")"
sed 's/^sasl.password=.*/sasl.password=guessed/' "$dir/kafka/client.properties" >"$dir/guessed.properties"
refused 77 authentication "$dir/guessed.properties"
status=0
MILLRACE_BROKER_SETTINGS=$dir/guessed.properties "$bin/millrace-ingest" "--brokers=$brokers" --partitions=all \
  >"$dir/refused.log" 2>&1 || status=$?
[ "$status" -eq 77 ] || fail "a service with a wrong password exits $status: $(cat "$dir/refused.log")"
grep -v '^sasl\|^security' "$dir/kafka/client.properties" >"$dir/plain.properties"
refused 75 security.protocol "$dir/plain.properties"
say "all equal: $quiet"
