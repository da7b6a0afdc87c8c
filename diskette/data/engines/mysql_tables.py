"""Tables of MariaDB and MySQL that take part in no transaction."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections
from django.db.models import Model


def without_transactions(models: Sequence[type[Model]], using: str) -> dict[type[Model], str]:
    """The engine (MyISAM, Aria…) of each model's table that no snapshot holds still."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT table_name, t.engine FROM information_schema.tables AS t"
            " JOIN information_schema.engines AS e ON e.engine = t.engine"
            " WHERE table_schema = database() AND e.transactions <> 'YES'"
        )
        found = dict(cursor.fetchall())
    return {model: found[model._meta.db_table] for model in models if model._meta.db_table in found}
