# One image for the operator, the agent and the downloader.
# BASE: any image of the Debian family with Python 3.11 or newer as `python3`, and the venv module.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# Set where package downloads go through a proxy or a mirror with its own certificate authority.
ARG PIP_CERT
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# The tools that build stay in an environment of their own and out of the image.
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements/build.lock \
    && python3 -m venv --without-pip /opt/shoal \
    && /opt/build/bin/pip --python /opt/shoal/bin/python3 install \
       --compile --require-hashes -r requirements/runtime.lock

COPY pyproject.toml README.md ./
COPY operator operator
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/shoal/bin/python3 install --compile --no-deps \
       --no-index /wheels/*.whl

FROM ${BASE}
# Models in git repositories come through these programs.
RUN command -v git-lfs > /dev/null || { apt-get update -q \
    && apt-get install -y -q --no-install-recommends ca-certificates git git-lfs \
    && rm -rf /var/lib/apt/lists/*; }
COPY --from=build /opt/shoal /opt/shoal
# Everything is compiled: nothing is written at run time, the root file system may be read-only.
ENV PATH=/opt/shoal/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["shoal"]
