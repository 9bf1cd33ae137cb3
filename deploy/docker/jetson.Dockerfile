# Edge agent on a Jetson with JetPack 6 (L4T r36): TensorRT is for the system's Python 3.10, and
# HawkVision, under 3.11, runs it in a worker process.
#   docker build -f deploy/docker/jetson.Dockerfile -t hawkvision-edge-jetson .
#   docker run --runtime nvidia … hawkvision-edge-jetson --engine tensorrt
# JetPack 7 has Python 3.12: --build-arg BASE=<its image> --build-arg PYTHON=python3
#   --build-arg CUDA_BINDINGS=13.*
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0

FROM ${BASE}
ARG PYTHON=python3.11
ARG CUDA_BINDINGS=12.9.*
RUN apt-get update \
    && apt-get install -y --no-install-recommends "${PYTHON}" "${PYTHON}-venv" python3-pip \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 hawkvision \
    && useradd --system --uid 10001 --gid 10001 --groups video --home-dir /var/lib/hawkvision \
        --create-home --shell /usr/sbin/nologin hawkvision
COPY . /src
RUN "${PYTHON}" -m venv --system-site-packages /opt/hawkvision \
    && /opt/hawkvision/bin/pip install --no-cache-dir "/src[redis]" \
    && /usr/bin/python3 -m pip install --no-cache-dir "cuda-bindings==${CUDA_BINDINGS}" \
    && rm -rf /src
ENV PATH=/opt/hawkvision/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/hawkvision
USER 10001:10001
# Engines that TensorRT built are kept here: mount a volume, or every start builds them again.
VOLUME /var/lib/hawkvision
STOPSIGNAL SIGTERM
EXPOSE 8080/tcp 8080/udp
ENTRYPOINT ["hawkvision", "edge"]
