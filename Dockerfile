# The service without the embedded PostgreSQL: give it DATABASE_URL and NINETY_ADMIN_KEY.
FROM python:3.11-slim AS build
WORKDIR /srv/ninety
RUN python -m venv /opt/venv
COPY requirements.lock ./
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
# The project is run from its folder: Alembic looks for the migrations beside the package. Its command and its version
# come with the installed metadata.
COPY pyproject.toml README.md ./
COPY app ./app
RUN python -m venv /opt/builder && /opt/builder/bin/pip install --no-cache-dir flit_core==3.12.0 \
    && /opt/builder/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /srv/ninety ninety
WORKDIR /srv/ninety
COPY --from=build /opt/venv /opt/venv
COPY alembic.ini ./
COPY migrations ./migrations
COPY app ./app
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/srv/ninety PYTHONUNBUFFERED=1 NINETY_HOST=0.0.0.0 NINETY_DATA_DIR=/tmp/ninety
USER ninety
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
# As the first process it gets SIGTERM itself and stops gracefully.
ENTRYPOINT ["ninety"]
CMD ["serve"]
