# The image that every component runs from: Jetpost without embedded servers, as a user without rights, on a read-only file system.
#
#   docker build -t jetpost .                        every component
#   docker build -t jetpost-sql --target sql .       with what `jetpost send` needs to read Parquet and PostgreSQL
#
# Dependencies are pinned with their hashes in requirements.lock; all have wheels, so no compiler is needed anywhere.
# An SBOM: docker buildx build --sbom=true --provenance=true …

ARG PYTHON=3.13.9-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all:
RUN python -m venv /opt/jetpost
COPY requirements.lock /src/
RUN /opt/jetpost/bin/pip install --require-hashes -r /src/requirements.lock
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY analytics analytics
COPY events events
COPY examples examples
COPY jetpost jetpost
COPY producer producer
COPY sender sender
RUN /opt/jetpost/bin/pip install --no-deps . \
    && /opt/jetpost/bin/pip uninstall --yes pip \
    && /opt/jetpost/bin/jetpost --version

FROM build AS build-sql
COPY requirements-sql.lock /src/
RUN python -m pip --python /opt/jetpost install --require-hashes -r /src/requirements-sql.lock

FROM python:${PYTHON} AS runtime
ENV PATH=/opt/jetpost/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["jetpost"]
CMD ["--help"]

FROM runtime AS sql
COPY --from=build-sql /opt/jetpost /opt/jetpost

FROM runtime AS jetpost
COPY --from=build /opt/jetpost /opt/jetpost
