# litune with all its backends. docker build -t litune . ; then
#   docker run --rm -v "$PWD/runs:/litune/runs" litune python search.py backend=optuna
# On NVIDIA GPUs: docker run --gpus all ... ; PyPI's torch brings its own CUDA.
# A third of the size, for CPUs: --build-arg TORCH_INDEX=URL, the address of PyTorch's index of CPU wheels.
FROM debian:bookworm-slim
ARG TORCH_INDEX=
ARG EXTRAS=all
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3.11 python3.11-venv \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 litune
RUN python3.11 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /litune
COPY constraints.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install -c constraints.txt --index-url "$TORCH_INDEX" torch torchvision; fi
COPY . ./
RUN pip install -c constraints.txt -e ".[$EXTRAS]"
RUN mkdir -p runs data && chown litune:litune runs data
USER litune
RUN litune doctor
CMD ["python", "search.py", "backend=optuna"]
