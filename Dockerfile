# The service without the embedded PostgreSQL: give it DATABASE_URL and NINETY_ADMIN_KEY.
FROM python:3.11-slim AS build
WORKDIR /srv/ninety
RUN python -m venv /opt/venv
COPY requirements.lock ./
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock

FROM python:3.11-slim
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Ninety" \
    org.opencontainers.image.description="A ticketing service whose first promise is a fast first answer" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /srv/ninety ninety
WORKDIR /srv/ninety
COPY --from=build /opt/venv /opt/venv
COPY alembic.ini ./
COPY migrations ./migrations
COPY app ./app
COPY embedded_postgres ./embedded_postgres
COPY deploy/worker_health.py ./deploy/worker_health.py
# It cannot be kept at the first start, whose user may not write here.
RUN /opt/venv/bin/python -m compileall -q app embedded_postgres migrations
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NINETY_HOST=0.0.0.0 NINETY_DATA_DIR=/tmp/ninety
USER 10001
EXPOSE 8000
# Of `serve`. A worker has no such socket: compose.yaml asks its metrics.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
# As the first process it gets SIGTERM itself and stops gracefully.
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
