# The image of every process of the product: web, workers, beat, migrations.
# Base images carry exact version tags; where images may be kept for long, pin their digests too.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/leerkaart
COPY requirements/runtime.txt /build/runtime.txt
RUN /opt/leerkaart/bin/pip install --no-deps --require-hashes --only-binary :all: -r /build/runtime.txt
COPY . /app
WORKDIR /app
# The settings want every variable; nothing is asked or kept of these.
RUN SECRET_KEY=only-to-collect-static-files-00000000000000000000000000 SITE_URL=https://build.invalid \
    DATABASE_URL=postgres://build.invalid/build REDIS_URL=redis://build.invalid \
    /opt/leerkaart/bin/python manage.py collectstatic --noinput -v0

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin leerkaart
COPY --from=build /opt/leerkaart /opt/leerkaart
COPY --from=build /app /app
ENV PATH=/opt/leerkaart/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "portal.alive", "web"]
CMD ["gunicorn", "--config", "python:portal.gunicorn", "portal.wsgi"]
