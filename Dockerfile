# One file, a target for each role:
#   front        receiver, web page, sweeper, delivery worker, database upgrade; no torch
#   worker-cpu   the reading worker on a CPU
#   worker-cuda  the reading worker on an NVIDIA GPU (start with --gpus, or as in compose.yaml)
#
#   docker build --target front -t wetread-front .
#
# Each RUN is a plain command; tests/deploy runs what it can of them without a container engine.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/wetread/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WETREAD_DATA_DIR=/var/lib/wetread \
    WETREAD_LOG__FORMAT=json
# Fixed numbers: volumes keep their owner from one image to the next, and Kubernetes' runAsNonRoot can
# check them, which it cannot do with a name.
RUN groupadd --system --gid 10001 wetread \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin wetread
RUN install --directory --owner 10001 --group 10001 --mode 0750 /var/lib/wetread
# Lays out names in Arabic, Hebrew, Thai and Devanagari on the pictures (dicom/drawing/fonts.py).
RUN apt-get update && apt-get install --yes --no-install-recommends libfribidi0 && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/wetread
WORKDIR /usr/src/wetread

FROM base AS source
COPY pyproject.toml constraints.txt README.md ./
COPY dicom dicom
COPY service service
COPY workers workers
COPY migrations migrations

FROM source AS front
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install . --constraint constraints.txt
USER 10001:10001
WORKDIR /var/lib/wetread
VOLUME /var/lib/wetread
# Settings valid, database reachable. compose.yaml has a closer look for receiver and web page.
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s CMD ["wetread", "db", "current"]
ENTRYPOINT ["wetread"]
CMD ["--help"]

FROM source AS worker-cpu
# The CPU build of torch has the same version number and a tenth of the size.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install ".[worker]" --constraint constraints.txt --extra-index-url ${TORCH_INDEX}
USER 10001:10001
WORKDIR /var/lib/wetread
VOLUME /var/lib/wetread
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s CMD ["wetread", "db", "current"]
ENTRYPOINT ["wetread"]
CMD ["worker", "--queues", "reading"]

FROM source AS worker-cuda
# PyPI's torch for Linux is a CUDA build and brings the CUDA libraries; the host has the driver only.
# For another CUDA version: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126
ARG TORCH_INDEX=https://pypi.org/simple
# Of the extras also `quantised`, for reading.quantisation. No compiler is in it: reading.compile stays off.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    WETREAD_READING__DEVICE=cuda
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install ".[worker,quantised]" --constraint constraints.txt --extra-index-url ${TORCH_INDEX}
USER 10001:10001
WORKDIR /var/lib/wetread
VOLUME /var/lib/wetread
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s CMD ["wetread", "db", "current"]
ENTRYPOINT ["wetread"]
CMD ["worker", "--queues", "reading"]
