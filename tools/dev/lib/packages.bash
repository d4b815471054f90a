# Which Debian 12 packages are needed, and which of them are missing.

# To build, and to run the demo and the embedded stack.
readonly -a packages_for_build=(
  build-essential cmake ninja-build pkg-config
  librdkafka-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
  libcurl4-openssl-dev libexpat1-dev libssl-dev libjansson-dev libhiredis-dev libmicrohttpd-dev librandom123-dev
  redis-server jq
)
# To run every test under every preset, and the checks of style and schemas.
readonly -a packages_for_tests=(
  check curl clang clang-format-14 clang-tidy-14 libclang-rt-14-dev python3-venv npm
  docker-compose prometheus python3-yaml openjdk-17-jdk-headless
)
# To run Apache Kafka. The jars come by Maven: kafka.bash.
readonly -a packages_for_kafka=(openjdk-17-jre-headless maven kcat openssl)
# To run Ceph's RADOS Gateway, a real S3 server: rgw.bash.
readonly -a packages_for_s3=(ceph-mon ceph-osd radosgw ceph-common curl openssl)

# The buf that lints the schemas, from npm, under build/npm.
readonly buf_package=@bufbuild/buf@1.75.0
readonly buf=$build/npm/node_modules/.bin/buf

# What the Python examples need, from pip, with their generated code; and for the tests another client of Kafka, and
# TensorBoard, of the last version that takes the protobuf of the examples.
readonly venv=$build/venv
readonly -a pip_for_tests=(kafka-python==3.0.12 tensorboard==2.20.0)

# beside_packages_are_there: what setup gets from npm and pip for the tests.
beside_packages_are_there() {
  [ -x "$buf" ] && [ -d "$venv/generated" ] &&
    compgen -G "$venv/lib/python3*/site-packages/kafka/__init__.py" >/dev/null &&
    compgen -G "$venv/lib/python3*/site-packages/tensorboard/version.py" >/dev/null
}

# installed PACKAGE: npm, Maven and Java count in any form, since people have them from elsewhere.
installed() {
  case $1 in
    npm | maven | openjdk-*)
      local program=${1/maven/mvn}
      program=${program/#openjdk-*-jdk-*/javac}
      program=${program/#openjdk-*/java}
      ! command -v "$program" >/dev/null || return 0
      ;;
  esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# missing_packages build|test|kafka|s3|all: one a line; what the build needs is in each.
missing_packages() {
  local -a wanted=("${packages_for_build[@]}")
  case $1 in
    test | all) wanted+=("${packages_for_tests[@]}") ;;
  esac
  case $1 in
    kafka | all) wanted+=("${packages_for_kafka[@]}") ;;
  esac
  case $1 in
    s3 | all) wanted+=("${packages_for_s3[@]}") ;;
  esac
  local package
  for package in "${wanted[@]}"; do
    installed "$package" || printf '%s\n' "$package"
  done
}

# ensure_packages build|test|kafka|s3: runs setup when, and only when, something is missing.
ensure_packages() {
  local -a answer=()
  # Whoever started this verb wants it to run; without a terminal there is nobody to ask, so setup only says.
  [ -t 0 ] || answer=(--yes)
  if ! command -v dpkg-query >/dev/null; then
    # Another system: the build names what it does not find.
    return 0
  fi
  if [ -n "$(missing_packages "$1")" ] || { [ "$1" = test ] && ! beside_packages_are_there; }; then
    bash "$root/tools/dev/setup.sh" "--for=$1" "${answer[@]}"
  fi
}
