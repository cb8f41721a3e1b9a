# The gateway: FastAPI, face alignment, both backends; no torch. Build context: the checkout.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements/serve.txt .
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps -r serve.txt \
    && /opt/venv/bin/python -m pip uninstall --quiet --yes pip setuptools
WORKDIR /app
COPY model_repository /weights/model_repository
COPY LICENSE MODEL_CARD.md NOTICE THIRD_PARTY.md ./
COPY smile smile
COPY service service
# Readable by the user below, whatever the modes of the checkout.
RUN /opt/venv/bin/python -m compileall -q smile service && chmod -R a+rX . /weights

FROM ${PYTHON_IMAGE}
# THIRD_PARTY.md tells why the first.
LABEL org.opencontainers.image.title="smile-interpreter gateway" \
      org.opencontainers.image.licenses="GPL-3.0-or-later AND Apache-2.0 AND LicenseRef-weights-non-commercial-research"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    HOME=/tmp \
    HOST=0.0.0.0 \
    PORT=8080
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY --from=build /weights .
COPY --from=build /app .
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/ready', timeout=4)"]
CMD ["python", "-m", "service", "serve"]
