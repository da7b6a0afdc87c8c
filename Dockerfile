# The service: one image for web, workers, beat and migrations; docker-compose.yml starts them.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
RUN useradd --system --create-home --uid 10001 diskette \
    && install -d -o diskette -g diskette /srv/diskette /var/diskette
WORKDIR /srv/diskette

COPY pyproject.toml README.md LICENSE ./
COPY diskette diskette
RUN pip install --upgrade pip && pip install ".[postgresql]" --group service

COPY manage.py ./
COPY worker worker
ENV DISKETTE_VAR=/var/diskette

USER diskette
VOLUME /var/diskette
EXPOSE 8000
CMD ["gunicorn", "worker.wsgi", "--bind", "0.0.0.0:8000"]
