# One image for every role: `docker build -t footstream:0.1.0 .`, then `docker run footstream:0.1.0 bridge`.
# Built from requirements-image.lock (the part of requirements.lock without what only developers need), every wheel by its hash.
# chDB names pandas and pyarrow, and works without them as long as nobody asks for their types: they are not in that file, so
# dependencies are not looked for. What packages bring to test themselves is taken out.
FROM python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements-image.lock ./
RUN python -m venv --without-pip /opt/footstream
RUN python -m pip --python /opt/footstream/bin/python install --require-hashes --only-binary :all: --no-deps --no-compile -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY connectors connectors
COPY operators operators
COPY flows flows
COPY infra infra
COPY dashboards dashboards
RUN python -m pip --python /opt/footstream/bin/python install --no-deps --no-compile .
RUN find /opt/footstream/lib -type d -name tests -prune -exec rm -rf {} +
# Byte code that is never checked against times: the file system is read-only, and two builds are equal.
RUN SOURCE_DATE_EPOCH=0 /opt/footstream/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/footstream/lib

FROM python:3.11.13-slim-bookworm
LABEL org.opencontainers.image.title="footstream" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin footstream \
 && install -d -o 10001 -g 10001 /data
COPY --from=build /opt/footstream /opt/footstream
ENV PATH=/opt/footstream/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FOOTSTREAM_DATA=/data \
    FOOTSTREAM_METRICS=0.0.0.0:9100 \
    FOOTSTREAM_LOG_FORMAT=json
WORKDIR /data
VOLUME /data
EXPOSE 8080 9100
USER 10001:10001
ENTRYPOINT ["footstream"]
CMD ["--help"]
