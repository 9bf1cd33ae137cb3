# Edge agent and gateway on any CPU, x86-64 and aarch64: one build, two images.
#   docker build -f deploy/docker/cpu.Dockerfile --target edge    -t hawkvision-edge .
#   docker build -f deploy/docker/cpu.Dockerfile --target gateway -t hawkvision-gateway .
#   docker buildx build --platform linux/amd64,linux/arm64 …
# Every package is a wheel on both platforms, so no compiler is needed.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/hawkvision
COPY . /src
ARG EXTRAS=cpu,redis
RUN /opt/hawkvision/bin/pip install --no-cache-dir --only-binary :all: --no-binary hawkvision \
        "/src[${EXTRAS}]" \
    && /opt/hawkvision/bin/pip uninstall -y --quiet pip setuptools

FROM ${BASE} AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 hawkvision \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/hawkvision --create-home \
        --shell /usr/sbin/nologin hawkvision
COPY --from=build /opt/hawkvision /opt/hawkvision
ENV PATH=/opt/hawkvision/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/hawkvision
USER 10001:10001
# The root may be read-only. What is written: the journal here, sockets of workers in /tmp.
VOLUME /var/lib/hawkvision
STOPSIGNAL SIGTERM

FROM base AS edge
EXPOSE 8080/tcp 8080/udp
ENTRYPOINT ["hawkvision", "edge"]

FROM base AS gateway
EXPOSE 8001/tcp 9091/tcp
ENTRYPOINT ["hawkvision", "dc"]
