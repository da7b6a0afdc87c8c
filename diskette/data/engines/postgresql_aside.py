"""What of PostgreSQL's empty tables is taken away while they are filled, and made anew after.

One join at the end costs a tenth of a foreign key's trigger for each row, and an index sorted
at once a fifth of one grown row by row. Both take a lock that keeps readers out, so they are
for tables that have nothing to read. Only what SQL can bring back whole is taken: an index
that is unique is also left, so that a row it refuses is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

FOREIGN_KEYS = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
           format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',
                  conrelid::regclass, conname, pg_get_constraintdef(key.oid))
    FROM pg_constraint AS key
    JOIN pg_class AS child ON child.oid = conrelid
    JOIN pg_class AS parent ON parent.oid = confrelid
    WHERE contype = 'f' AND convalidated AND conparentid = 0
      AND obj_description(key.oid, 'pg_constraint') IS NULL
      AND child.relkind = 'r' AND parent.relkind = 'r'
      AND pg_has_role(child.relowner, 'USAGE') AND pg_has_role(parent.relowner, 'USAGE')
      AND conrelid = ANY(%(empty)s::regclass[]) AND confrelid = ANY(%(empty)s::regclass[])
"""
INDEXES = """
    SELECT format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index AS link
    JOIN pg_class AS index ON index.oid = indexrelid
    JOIN pg_class AS parent ON parent.oid = indrelid
    WHERE NOT indisunique AND indisvalid AND NOT indisclustered AND NOT indisreplident
      AND parent.relkind = 'r' AND NOT index.relispartition AND index.reltablespace = 0
      AND pg_has_role(parent.relowner, 'USAGE')
      AND has_schema_privilege(parent.relnamespace, 'CREATE')
      AND obj_description(indexrelid, 'pg_class') IS NULL
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
      AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass
                      AND objid = indexrelid AND deptype IN ('e', 'x'))
      AND NOT EXISTS (SELECT 1 FROM pg_attribute
                      WHERE attrelid = indexrelid AND coalesce(attstattarget, -1) >= 0)
      AND indrelid = ANY(%(empty)s::regclass[])
"""


class Aside(NamedTuple):
    """Two statements: one takes it away, the other brings it back as it was."""

    take: str
    bring_back: str


def found(connection: BaseDatabaseWrapper, empty: Sequence[str]) -> list[Aside]:
    """What can be set aside of these tables, named as SQL names them: keys before indexes."""
    rows = []
    with connection.cursor() as cursor:
        for sql in (FOREIGN_KEYS, INDEXES):
            cursor.execute(sql, {"empty": list(empty)})
            rows += [Aside(*row) for row in cursor.fetchall()]
    return rows
