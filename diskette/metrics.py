"""The report on health as numbers for Prometheus.

In a process that Prometheus asks already: `REGISTRY.register(diskette.metrics.Collector())`.
Elsewhere a textfile: `manage.py diskette_health --format prometheus`. Needs the extra
`prometheus`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from django.db import DatabaseError, InterfaceError, close_old_connections
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector as BaseCollector

from diskette import conf, health
from diskette.core.logs import logger_of
from diskette.core.report import JSON
from diskette.health import Health

logger = logger_of(__name__)

PLAIN: Mapping[str, tuple[str, str]] = {
    "archive_bytes": ("archive_bytes", "Size of the newest archive."),
    "archives": ("archives", "Whole archives in the destination."),
    "free_bytes": ("destination_free_bytes", "What is free where archives are kept."),
    "total_bytes": ("destination_bytes", "How large the destination's disk is."),
    "open_runs": ("open_runs", "Runs that have not ended."),
    "workers": ("workers", "Workers that serve the queue of dumps."),
}
"""By figure of a report, the metric's name and what it says."""
INSTANTS: Mapping[str, tuple[str, str]] = {
    "archive_at": ("archive_timestamp_seconds", "The instant that the newest archive shows."),
    "proven_at": ("proven_timestamp_seconds", "When an archive was last proven restorable."),
    "report_at": (
        "report_timestamp_seconds",
        "When people were last told, had there been trouble.",
    ),
    "sweep_at": ("sweep_timestamp_seconds", "When a worker last swept."),
}


class Collector(BaseCollector):
    """Examines whenever it is asked, which takes some seconds where workers are asked as well."""

    def __init__(self, report: Health | None = None) -> None:
        self._report = report

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing beforehand: a database may not be there yet when it is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every number there is; what could not be measured is left out.

        That is all of them where the database is away: the process has other numbers to tell.
        """
        try:
            report = self._report or _examined()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("health cannot be examined: %s", error)
            return
        figures = report.figures
        yield _gauge("healthy", "1 if nothing is wrong with the backups.", not report.problems)
        yield _by("problem", "1 for each problem there is: docs/findings.md.", "code", _of(report))
        for name, (metric, about) in PLAIN.items():
            if figures.get(name) is not None:
                yield _gauge(metric, about, figures[name])
        for name, (metric, about) in INSTANTS.items():
            if figures.get(name) is not None:
                yield _gauge(metric, about, _seconds(figures[name]))
        yield from _of_kinds(figures)


def _examined() -> Health:
    """Asked by a thread that Django knows nothing of, which closes no connection by itself."""
    close_old_connections()
    try:
        return health.examine()
    finally:
        close_old_connections()


def text(report: Health) -> str:
    """As Prometheus reads it."""
    registry = CollectorRegistry()
    registry.register(Collector(report))
    return generate_latest(registry).decode()


def _of(report: Health) -> dict[str, float]:
    found = {each.code for each in report.problems}
    return {code: code in found for code in health.CODES}


def _of_kinds(figures: Mapping[str, JSON]) -> Iterator[GaugeMetricFamily]:
    failed = figures["failures_in_a_row"]
    done = {kind: each for kind, each in figures["succeeded"].items() if each}
    took = {kind: each["seconds"] for kind, each in done.items() if each["seconds"] is not None}
    ended = {kind: _seconds(each["at"]) for kind, each in done.items()}
    yield _by(
        "failures_in_a_row", "Runs of the kind that failed since one did not.", "kind", failed
    )
    yield _by("success_timestamp_seconds", "When the last good run ended.", "kind", ended)
    yield _by("success_duration_seconds", "How long the last good run took.", "kind", took)


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"diskette_{name}", about, labels=["label"])
    family.add_metric([conf.label()], float(value))
    return family


def _by(name: str, about: str, what: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"diskette_{name}", about, labels=["label", what])
    for each, value in values.items():
        family.add_metric([conf.label(), each], float(value))
    return family


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
