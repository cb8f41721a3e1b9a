# A stand-in for NVIDIA's Triton image on the CPU, for where that one cannot be had: the same tritonserver binary from
# the PyPI wheel, at the same paths, with the onnxruntime backend of docker/triton. Build context: the checkout.
# The base image needs Python 3.11 as a shared library (the official images have it; Debian: libpython3.11).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
COPY docker/triton /build/docker/triton
RUN python3 /build/docker/triton/serve.py --prepare-only --prefix /opt/tritonserver

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Triton Inference Server on the CPU, a stand-in for nvcr.io/nvidia/tritonserver"
# The backend's stub takes its packages from the first python3 on PATH.
ENV PATH=/opt/tritonserver/bin:/opt/tritonserver/venv/bin:$PATH \
    LD_LIBRARY_PATH=/opt/tritonserver/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
COPY --from=build /opt/tritonserver /opt/tritonserver
USER 1000:1000
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
CMD ["tritonserver", "--model-repository=/models"]
