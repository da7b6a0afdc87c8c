"""The steps of each run, as plain functions from a context to a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.db import DatabaseError, InterfaceError, close_old_connections

from diskette import fetch
from diskette.core.exceptions import DisketteError
from diskette.core.logs import logger_of
from diskette.core.plan import Kind
from diskette.core.report import JSON, Finding, Severity, StepReport
from diskette.models import Run
from diskette.steps import drill, dump, load, prune
from diskette.steps.context import Context

logger = logger_of(__name__)

FUNCTIONS: Mapping[tuple[str, str], Callable[[Context], StepReport]] = {
    (Kind.DUMP, "check_space"): dump.check_space,
    (Kind.DUMP, "open_snapshot"): dump.open_snapshot,
    (Kind.DUMP, "dump_application"): dump.dump_application,
    (Kind.DUMP, "check_data"): dump.check_data,
    (Kind.DUMP, "collect_storage"): dump.collect_storage,
    (Kind.DUMP, "assemble_archive"): dump.assemble_archive,
    (Kind.DUMP, "verify_archive"): dump.verify_archive,
    (Kind.DUMP, "publish_archive"): dump.publish_archive,
    (Kind.DUMP, "prune"): prune.prune,
    (Kind.DUMP, "finish"): dump.finish,
    (Kind.LOAD, "fetch_archive"): load.fetch_archive,
    (Kind.LOAD, "check_space"): load.check_space,
    (Kind.LOAD, "verify_archive"): load.verify_archive,
    (Kind.LOAD, "extract_archive"): load.extract_archive,
    (Kind.LOAD, "check_compatibility"): load.check_compatibility,
    (Kind.LOAD, "carry_forward"): load.carry_forward,
    (Kind.LOAD, "load_application"): load.load_application,
    (Kind.LOAD, "check_integrity"): load.check_integrity,
    (Kind.LOAD, "stage_storage"): load.stage_storage,
    (Kind.LOAD, "safety_dump"): load.safety_dump,
    (Kind.LOAD, "apply"): load.apply,
    (Kind.LOAD, "verify_load"): load.verify_load,
    (Kind.LOAD, "finish"): load.finish,
    (Kind.DRILL, "fetch_archive"): load.fetch_archive,
    (Kind.DRILL, "check_space"): load.check_space,
    (Kind.DRILL, "verify_archive"): load.verify_archive,
    (Kind.DRILL, "extract_archive"): load.extract_archive,
    (Kind.DRILL, "check_compatibility"): drill.check_compatibility,
    (Kind.DRILL, "carry_forward"): drill.carry_forward,
    (Kind.DRILL, "load_application"): drill.beside(load.load_application),
    (Kind.DRILL, "check_integrity"): drill.beside(load.check_integrity),
    (Kind.DRILL, "stage_storage"): load.stage_storage,
    (Kind.DRILL, "apply"): drill.beside(load.apply),
    (Kind.DRILL, "verify_load"): drill.verify_load,
    (Kind.DRILL, "run_check"): drill.run_check,
    (Kind.DRILL, "finish"): load.finish,
    (Kind.PRUNE, "prune"): prune.prune,
    (Kind.PRUNE, "finish"): prune.finish,
}
"""By kind of run and name of step."""


def without_secrets(options: Mapping[str, JSON]) -> dict[str, JSON]:
    """A run's options as they may be kept: an address's password is needed only to fetch it."""
    word = options.get("archive")
    if isinstance(word, str) and fetch.is_url(word):
        return {**options, "archive": fetch.without_secrets(word)}
    return dict(options)


def cleanup(run: Run) -> list[Finding]:
    """Clear what a run left, however it ended. May be repeated; what cannot be cleared is told."""
    close_old_connections()  # a server that restarted meanwhile takes new ones
    workspace = run.workspace
    acts: dict[str, Callable[[], None]] = {
        "The snapshot that the run held": lambda: dump.close_snapshots(run, workspace.path)
    }
    scratches = f"The databases diskette_scratch_{run.pk.hex}_* or the rows in the scratch one"
    if run.kind in (Kind.LOAD, Kind.DRILL):
        acts[scratches] = lambda: load.drop_scratches(run, workspace.path)
    if run.kind == Kind.LOAD:
        places = (
            f"on PostgreSQL, the schema diskette_{run.pk.hex}; "
            f"on MariaDB and MySQL, the tables diskette_{run.pk.hex[:12]}_*"
        )
        acts[f"The staged rows ({places})"] = lambda: load.drop_stagings(run, workspace.path)
        acts[f"The directories .*diskette-{run.pk}.* of storages"] = lambda: load.clear_trees(run)
    acts |= {f"The unfinished archive {path}": path.unlink for path in dump.partials(run)}
    acts[f"The workspace {workspace.path}"] = workspace.remove
    return [finding for what, act in acts.items() for finding in _attempt(what, act)]


def _attempt(what: str, act: Callable[[], None]) -> list[Finding]:
    try:
        act()
    except FileNotFoundError:
        return []  # another process cleared it at the same moment
    except (OSError, DatabaseError, InterfaceError, DisketteError) as error:
        logger.warning("%s could not be cleared: %s", what, error)
        return [
            Finding(
                code="leftover",
                severity=Severity.WARNING,
                message=f"{what} could not be cleared: {error}",
                hint="Remove it by hand once the cause is gone.",
            )
        ]
    return []
