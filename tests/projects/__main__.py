"""The table of round trips, as in docs: `make round-trips`, or with names of projects."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import humanize

from tests import servers
from tests.projects.trips import PAIRS, PROJECTS, Trip, Trips
from worker.servers import new_directory

HEADER = ("project", "from", "to", "compared", "archive", "dump", "load", "equal")


def main(names: Sequence[str]) -> int:
    """Make every round trip of the named projects, or of all; 1 if a site came out different."""
    if unknown := set(names) - set(PROJECTS):
        sys.exit(f"No project {', '.join(unknown)}; there are {', '.join(PROJECTS)}.")
    servers.prepare_session()
    directory = new_directory("diskette-projects-")
    emit(HEADER)
    emit(["---"] * len(HEADER))
    trips = [trip for name in names or PROJECTS for trip in travel(name, directory / name)]
    return 0 if all(trip.is_equal for trip in trips) else 1


def travel(name: str, directory: Path) -> Iterator[Trip]:
    """Each trip of a project, told as a line; what differs goes to standard error."""
    with closing(Trips(PROJECTS[name], directory)) as trips:
        for source, target in PAIRS:
            trip = trips.load(source, trips.sites.make(engine=target, filled=False))
            emit((name, source, target, *cells(trip)))
            if not trip.is_equal:
                sys.stderr.write(f"{trip.problems}\n")
            yield trip


def cells(trip: Trip) -> tuple[str, ...]:
    return (
        str(trip.compared.contents),
        humanize.naturalsize(trip.archive_bytes),
        f"{trip.dump_seconds:.1f} s",
        f"{trip.load_seconds:.1f} s",
        "yes" if trip.is_equal else "no",
    )


def emit(words: Sequence[str]) -> None:
    sys.stdout.write(f"| {' | '.join(words)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
