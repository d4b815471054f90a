# Two images on Debian 12, which is what Millrace is built and tested on:
#
#   docker build --target services -t millrace .      the six services; the command says which: millrace-ingest, ...
#   docker build --target cli -t millrace-cli .       the command
#
# A test compares the packages below with the libraries that the programs load.
FROM debian:12 AS build
WORKDIR /src
# What is needed to build changes less often than what is built.
COPY dev ./
COPY tools/dev tools/dev
RUN ./dev setup --yes --for=build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN ./dev build

# /store and /run/millrace: a volume that is mounted there for the first time gets their owner.
FROM debian:12-slim AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates libcurl4 libexpat1 libhiredis0.14 libjansson4 libmicrohttpd12 libprotobuf-c1 librdkafka1 libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin millrace \
    && install -d -o millrace -g millrace /store /run/millrace

FROM runtime AS cli
COPY --from=build /src/build/bin/millrace /usr/local/bin/
USER 10001:10001
ENTRYPOINT ["millrace"]

FROM runtime AS services
# curl asks /readyz.
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build \
    /src/build/bin/millrace-ingest /src/build/bin/millrace-validate /src/build/bin/millrace-stage_gpu \
    /src/build/bin/millrace-train /src/build/bin/millrace-persist /src/build/bin/millrace-publish \
    /usr/local/bin/
USER 10001:10001
