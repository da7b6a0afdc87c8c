"""Formats, values and decisions: plain Python that knows neither Django nor Celery."""
