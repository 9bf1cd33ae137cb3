# Gateway on an NVIDIA GPU (x86-64; driver for CUDA 13 and the NVIDIA container toolkit on the host).
#   docker build -f deploy/docker/gpu.Dockerfile -t hawkvision-gateway-gpu .
#   docker run --gpus all … hawkvision-gateway-gpu --engine onnx-cuda
# CUDA's and cuDNN's libraries are in the base; ONNX Runtime finds them there.
ARG BASE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/hawkvision
COPY . /src
ARG EXTRAS=gpu,tensorrt,power,redis
RUN /opt/hawkvision/bin/pip install --no-cache-dir "/src[${EXTRAS}]"

FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 hawkvision \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/hawkvision --create-home \
        --shell /usr/sbin/nologin hawkvision
COPY --from=build /opt/hawkvision /opt/hawkvision
ENV PATH=/opt/hawkvision/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /var/lib/hawkvision
USER 10001:10001
# Engines that TensorRT built are kept here: mount a volume, or every start builds them again.
VOLUME /var/lib/hawkvision
STOPSIGNAL SIGTERM
EXPOSE 8001/tcp 9091/tcp
ENTRYPOINT ["hawkvision", "dc"]
