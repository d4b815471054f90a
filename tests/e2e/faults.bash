# What can befall a stack, for tests that source lib.bash first. Processes that are started by with_faults have
# libmr_faults.so before the C library (tests/faults): it moves their clock, and keeps the store from them. The store is
# a small file system of its own, so that it can also be full. Mounting takes root or a user namespace, and is seen by
# nobody else.
readonly disk_size=64m
readonly -A faults_at=([clock]=0 [store]=8 [claims]=16) # in the file; libmr_faults.so has the struct
readonly store_good=0 store_frozen=1 store_failing=2

# in_own_mounts SCRIPT ARGUMENT...: begins the script again, where mounts are its own and end with it.
in_own_mounts() {
  local -a own=(unshare --mount)
  [ -z "${MR_OWN_MOUNTS:-}" ] || return 0
  [ "$(id -u)" -eq 0 ] || own=(unshare --user --map-root-user --mount)
  MR_OWN_MOUNTS=yes exec "${own[@]}" "$BASH" "$@"
}

# faults_make CLAIMS: as faults_of_claims, and with a store that can fail and be full.
faults_make() {
  mkdir -p "$dir/store"
  mount -t tmpfs -o "size=$disk_size" millrace "$dir/store"
  faults_of_claims "$1"
}
# faults_of_claims CLAIMS: a stack in $dir has none yet, and room to count so many claimed files.
faults_of_claims() {
  faults_file=$dir/faults
  mkdir -p "$dir/store"
  rm -f "$faults_file"
  truncate -s $((24 + 4 * $1)) "$faults_file"
  faults_set claims "$1"
}
faults_end() { umount "$dir/store"; }
# faults_set NAME NUMBER: for all that were started with_faults.
faults_set() {
  python3 -c 'import os, struct, sys
file = os.open(sys.argv[1], os.O_WRONLY)
os.pwrite(file, struct.pack("=q", int(sys.argv[3])), int(sys.argv[2]))' "$faults_file" "${faults_at[$1]}" "$2"
}
with_faults() {
  local -x LD_PRELOAD=$MR_TOOLS/libmr_faults.so MR_FAULTS=$faults_file MR_FAULTS_STORE=$dir/store
  "$@"
}

disk_fill() {
  dd if=/dev/zero "of=$dir/store/filler" bs=64k 2>/dev/null && fail "the disk is never full"
  [ "$(df --output=avail "$dir/store" | tail -n 1)" -eq 0 ] || fail "the disk is not full"
}
disk_empty() { rm "$dir/store/filler"; }

# Redis is started again by the supervisor, which is held up meanwhile.
redis_stop() {
  kill -STOP "$("$supervisor" pid "$dir")"
  kill "$(service_pid redis)"
}
redis_again() { kill -CONT "$("$supervisor" pid "$dir")"; }
