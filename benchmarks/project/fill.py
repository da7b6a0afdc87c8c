"""Fill the project's migrated database: `python -m benchmarks.project.fill ROWS [SEED]`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import django
from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, models, transaction

from benchmarks.project.rows import SEED, Row, Rows


def main(total: int, seed: int = SEED) -> None:
    """Every table by the engine's own bulk path, in one transaction."""
    with transaction.atomic():
        for model, rows in tables(total, seed):
            write(model, rows)
    reset_counters()
    connection.close()


def tables(total: int, seed: int) -> Iterator[tuple[type[models.Model], Iterable[Row]]]:
    """Each model and its rows; a row's values are in the order of the model's columns."""
    content_types = apps.get_model("contenttypes.ContentType").objects
    rows = Rows(total, content_types.get(app_label="catalogue", model="book").pk, seed)
    for label, name in TABLES.items():
        yield apps.get_model(label), getattr(rows, name)()


TABLES = {
    "auth.Group": "groups",
    "auth.User": "users",
    "auth.User_groups": "user_groups",
    "catalogue.Tag": "tags",
    "catalogue.Category": "categories",
    "catalogue.Author": "authors",
    "catalogue.Book": "books",
    "catalogue.Book_tags": "book_tags",
    "catalogue.Review": "reviews",
    "catalogue.Sale": "sales",
}
"""Parents first; each by the name of its rows' method."""


def write(model: type[models.Model], rows: Iterable[Row]) -> None:
    fields = model._meta.concrete_fields
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    adapted = prepared([field.get_db_prep_save for field in fields], rows)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in adapted:
                    copy.write_row(row)
        else:
            places = ", ".join(["%s"] * len(fields))
            statement = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608
            cursor.executemany(statement, cast("Any", adapted))


def prepared(adapters: Sequence[Callable[..., Any]], rows: Iterable[Row]) -> Iterator[list[Any]]:
    """Values as the engine's driver takes them."""
    for row in rows:
        yield [adapt(value, connection) for adapt, value in zip(adapters, row, strict=True)]


def reset_counters() -> None:
    """Let the next keys follow the highest ones."""
    filled = list(apps.get_models(include_auto_created=True))
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), filled):
            cursor.execute(statement)


if __name__ == "__main__":
    django.setup()
    main(*map(int, sys.argv[1:]))
