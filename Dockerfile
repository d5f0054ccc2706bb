# finetui on a machine with NVIDIA GPUs. docs/install.md tells how to build it and how to keep it running.
# The driver is the host's; CUDA comes with torch. /data holds everything: a local disk, not a network file system.

FROM python:3.11.14-slim-bookworm AS build

WORKDIR /src
RUN python -m venv /opt/finetui
ENV PATH=/opt/finetui/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# torch first and alone: it is the largest layer and changes least.
COPY constraints.txt ./
RUN pip install -c constraints.txt torch

COPY pyproject.toml README.md LICENSE ./
COPY docs/finetui.1 docs/finetui.1
COPY tui tui
COPY engine engine
COPY store store
COPY themes themes
COPY samples samples
RUN pip install -c constraints.txt ".[train]"

FROM python:3.11.14-slim-bookworm

# A C compiler: triton builds its kernels on the machine that runs them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home finetui \
    && install -d -m 0700 -o 1000 -g 1000 /data

COPY --from=build /opt/finetui /opt/finetui
ENV PATH=/opt/finetui/bin:$PATH \
    LANG=C.UTF-8 \
    COLORTERM=truecolor \
    FINETUI_HOME=/data/finetui \
    HF_HOME=/data/huggingface \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

USER 1000
WORKDIR /home/finetui
VOLUME /data

# Nothing but tini has to live for as long as runs do: the app comes and goes with `docker exec`.
ENTRYPOINT ["tini", "--"]
CMD ["sleep", "infinity"]
