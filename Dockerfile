# plugwave in one image: any command, as a user without rights, on a read-only root.
#   docker build -t plugwave .
#   docker run --rm -v plugwave:/data plugwave work
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/app \
 && /opt/app/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY jobs jobs
COPY config config
COPY worker worker
RUN /opt/app/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/app/bin/pip uninstall -y pip

FROM python:${PYTHON_VERSION}-slim
ENV PATH=/opt/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PLUGWAVE_STORE__URL=sqlite:////data/state.db
COPY --from=build /opt/app /opt/app
RUN install -d -o 10001 -g 10001 -m 0700 /data
USER 10001:10001
VOLUME /data
WORKDIR /data
# The worker itself is process 1: SIGTERM drains it, so allow more than `worker.drain` to stop.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 \
  CMD ["plugwave", "workers", "--here"]
ENTRYPOINT ["plugwave"]
CMD ["work"]
