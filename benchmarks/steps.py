"""What it costs that a step is a task: its message, its rows, its result.

A warm worker dumps the sample's empty tables, once as one application and once as many;
the difference, spread over the steps there are more of.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from worker.servers import Redis
from worker.sites import Site

MODELS = (
    *("auth.User", "auth.Group", "blog.Tag", "blog.Article", "blog.Comment"),
    *("crm.Company", "shop.Product", "shop.Customer", "shop.Order", "shop.OrderLine"),
)
REPEATS = 5


def seconds_of_one(directory: Path) -> float:
    home = directory / "steps"
    (home / "media").mkdir(parents=True)
    broker = Redis(directory=home).start()
    try:
        return _measured(make_site(home, broker.url))
    finally:
        broker.stop()


def make_site(home: Path, broker_url: str) -> Site:
    definitions = [[name, {"models": [name]}] for name in MODELS]
    return Site(
        directory=home,
        database_url=f"sqlite://{home}/site.sqlite3",
        broker_url=broker_url,
        variables={"DISKETTE_APPS": json.dumps(definitions)},
    )


def _measured(site: Site) -> float:
    site.manage("migrate", "-v0")
    with site.worker(concurrency=1):
        dump_seconds(site, len(MODELS))
        few = median(dump_seconds(site, 1) for _ in range(REPEATS))
        many = median(dump_seconds(site, len(MODELS)) for _ in range(REPEATS))
    return (many - few) / (len(MODELS) - 1)


def dump_seconds(site: Site, applications: int) -> float:
    """How long the run took by its own account."""
    chosen = [word for name in MODELS[:applications] for word in ("--app", name)]
    options = ("--no-storages", "--enqueue", "--wait", "--format", "json")
    printed = site.manage("diskette_dump", *options, *chosen)
    return float(json.loads(printed)["stats"]["seconds"])
