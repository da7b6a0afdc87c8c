"""Staging in tables of the run's own beside the live ones, for MariaDB and MySQL.

These servers have no schemas within a database and commit whenever a table is made or
dropped. So staged tables bear the run's prefix, are made and dropped outside of any
transaction, and a staging half made is made on where it was left.

All is done in the strict mode, whatever the site's mode is; a value that the server takes
only with a warning is refused like one that it does not take.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

from django.db import DatabaseError, DataError, IntegrityError, ProgrammingError, transaction
from django.db.backends.utils import truncate_name
from django.db.models import DecimalField, Model
from django.utils import timezone

from diskette import conf
from diskette.core.exceptions import ConfigurationError
from diskette.core.logs import logger_of
from diskette.data import tables
from diskette.data.engines.layout import Layout
from diskette.data.engines.mysql_tables import without_transactions
from diskette.data.engines.plain_writing import (
    clock,
    day,
    hex_of,
    hexadecimal,
    microseconds,
    of_python,
    utc_instant,
    uuid_of,
)
from diskette.data.engines.staging import (
    KEYLESS,
    LINE,
    EngineStaging,
    ReadRows,
    Refusal,
    Refuse,
    Row,
    Shortcut,
    Write,
    batches,
    layout,
    plain_decimal,
    staged_columns,
    within_places,
)
from diskette.data.kinds import AnyField, Column, Kind, root_of
from diskette.data.lines import JSONText

logger = logger_of(__name__)

TABLESPACES = ("innodb_sys_tablespaces", "innodb_tablespaces")
"""Of MariaDB and of MySQL; to be read with the privilege PROCESS."""
RUN_DIGITS = 12
"""Of the run's id, in the names of its tables: they may have 64 characters in all."""
NAME_LENGTH = 40
HASH_DIGITS = 8
INDEXED_CHARACTERS = 191
"""Of a column without a length: what the smallest index of any server holds in utf8mb4."""
PACKET_BYTES = 1 << 20
PACKET_ROWS = 1000
CAREFUL_ROWS = 500
KEY_ROWS = 1000
PORTION_ROWS = 20_000
MARGIN_BYTES = 1024
"""Of a packet, for what is not the value."""
ESCAPED = (b"\0", b"\n", b"\r", b"\x1a", b"'", b'"', b"\\")
"""What takes two bytes in a statement."""
MICROSECOND_DIGITS = 6

LOCK_SECONDS = 60
STRICT = {
    "sql_mode": "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,PIPES_AS_CONCAT",
    "lock_wait_timeout": LOCK_SECONDS,
    "innodb_lock_wait_timeout": LOCK_SECONDS,
}
"""0 is a key like others; `||` joins texts as it does in the other engines."""
UNCHECKED = STRICT | {"foreign_key_checks": 0, "unique_checks": 1}
"""Foreign keys are proven by sets before the commit; with them on, deletions would cascade."""
PATIENCE_SECONDS = 1
"""How long the lowering of a counter, which nobody needs, may keep others waiting."""

PASSING_CODES = frozenset(
    {0, 1040, 1053, 1152, *range(1158, 1162), 1205, 1213, 1927, 2002, 2003, 2006, 2013, 4031}
)
"""Closed, too many connections, shutdown, a broken network, a lock, a deadlock, away."""
FULL_CODES = frozenset({1021, 1114})
ERROR_WITH_NUMBER = 1030
NO_SPACE_LEFT = "28"
SELECTS = re.compile(r"\s*\(*\s*SELECT\b", re.IGNORECASE).match


def _number(value: float) -> float:
    text = repr(value)
    if text in ("nan", "inf", "-inf"):
        raise ValueError("MariaDB and MySQL have no NaN and no infinity")
    if text == "-0.0":
        raise ValueError("MariaDB and MySQL have no negative zero")
    return value


SHORTCUTS = {
    Kind.INTEGER: Shortcut(types=frozenset({int})),
    Kind.FLOAT: Shortcut(types=frozenset({float, int}), write=_number),
    Kind.BOOLEAN: Shortcut(types=frozenset({bool})),
    Kind.TEXT: Shortcut(types=frozenset({str})),
    Kind.ADDRESS: Shortcut(types=frozenset({str})),
    Kind.JSON: Shortcut(types=frozenset({JSONText})),
    Kind.DATE: Shortcut(types=frozenset({str}), write=day),
    Kind.DURATION: Shortcut(types=frozenset({str}), write=microseconds),
}


class _LiveColumn(NamedTuple):
    """A column as the server has it."""

    type: str
    is_unbounded: bool
    """Text or bytes without a length: an index holds the beginning."""
    second_digits: int | None


class _Key(NamedTuple):
    """A foreign key as the server has it, quoted."""

    name: str
    child: str
    parent: str
    pairs: tuple[tuple[str, str], ...]
    """Of columns: the referring one, the one referred to."""


Violation = tuple[_Key, tuple[Any, ...]]
"""A foreign key and the values by which some row refers to nothing."""

LAYOUT = Layout(
    page=15_000,
    row=24,
    entry=6,
    filled=0.7,
    clusters=True,
    extent=1 << 20,
    reserve=8 << 20,
    widths={
        Kind.INTEGER: 8,
        Kind.FLOAT: 8,
        Kind.DECIMAL: 6,
        Kind.BOOLEAN: 1,
        Kind.DATE: 3,
        Kind.TIME: 6,
        Kind.INSTANT: 8,
        Kind.DURATION: 8,
        Kind.UUID: 16,
        Kind.ADDRESS: 15,
    },
)


class Altered(DataError):
    """The server would have kept something else than it was given."""


class MySQLStaging(EngineStaging):
    shortcuts = SHORTCUTS
    layout = LAYOUT

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.schema = self.schema[: len("diskette_") + RUN_DIGITS]
        self._live_columns: dict[str, dict[str, _LiveColumn]] = {}
        self._lowered: Sequence[type[Model]] = ()

    def named(self, name: str) -> str:
        return self.quoted(f"{self.schema}_{truncate_name(name, NAME_LENGTH, HASH_DIGITS)}")

    @contextmanager
    def _session(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """The connection's own settings for a while."""
        ((*before,),) = self.query(f"SELECT {', '.join(f'@@SESSION.{name}' for name in settings)}")
        self._set(settings)
        self._asked("SELECT get_lock(%s, %s)", self.schema, LOCK_SECONDS)
        try:
            yield
        finally:
            if self.connection.connection is not None and self.connection.is_usable():
                self._asked("SELECT release_lock(%s)", self.schema)
                self._set(dict(zip(settings, before, strict=True)))

    def end_others(self) -> None:
        """By the name of a lock that each session holds while it works on the staging."""
        ((holder, own),) = self._asked("SELECT is_used_lock(%s), connection_id()", self.schema)
        if holder not in (None, own):
            self._asked("KILL %s", holder)

    def _set(self, settings: Mapping[str, Any]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SET SESSION {', '.join(f'{name} = %s' for name in settings)}",
                list(settings.values()),
            )

    def _asked(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    # -- tables -------------------------------------------------------------------------

    def create(self, models: Sequence[type[Model]]) -> None:
        """Each table is made before it is written down: what is not written down is made anew."""
        self._require_transactions(models)
        with self._session(STRICT):
            self.execute(
                f"CREATE TABLE IF NOT EXISTS {self.contents_table} (position integer"
                " AUTO_INCREMENT PRIMARY KEY, model varchar(191) CHARACTER SET utf8mb4"
                f" COLLATE utf8mb4_bin UNIQUE, {self.quoted('rows')} bigint) ENGINE=InnoDB"
            )
            made = {content.model for content in self.contents()}
            for model in models:
                if model._meta.label not in made:
                    self._create_table(model)

    def _require_transactions(self, models: Sequence[type[Model]]) -> None:
        found = without_transactions(models, self.database)
        if told := [f"{model._meta.db_table} ({engine})" for model, engine in found.items()]:
            raise ConfigurationError(
                f"The database {self.database} cannot undo what is written to these tables, so "
                f"nothing is loaded into any: {', '.join(sorted(told))}. For each of them: "
                "ALTER TABLE … ENGINE=InnoDB."
            )

    def _create_table(self, model: type[Model]) -> None:
        definitions = [
            *(
                f"{self.column(field)} {self._type(field)} NULL"
                for field in tables.stored_fields(model)
            ),
            *(f"{self.quoted(name)} {_added_type(name)}" for name in staged_columns(model)),
            *(f"KEY ({', '.join(map(self._indexed, fields))})" for fields in _looked_up(model)),
        ]
        self.execute(f"DROP TABLE IF EXISTS {self.staged(model)}")
        self.execute(f"CREATE TABLE {self.staged(model)} ({', '.join(definitions)}) ENGINE=InnoDB")
        self._asked(f"INSERT INTO {self.contents_table} (model) VALUES (%s)", model._meta.label)

    def _type(self, field: AnyField) -> str:
        return self._live_column(field).type

    def _indexed(self, field: AnyField) -> str:
        unbounded = self._live_column(field).is_unbounded
        return f"{self.column(field)}({INDEXED_CHARACTERS})" if unbounded else self.column(field)

    def _live_column(self, field: AnyField) -> _LiveColumn:
        """Type and collation as migrations, or people, have made them."""
        table = field.model._meta.db_table
        if table not in self._live_columns:
            self._live_columns[table] = self._looked_up_columns(table)
        found = self._live_columns[table].get(tables.column_name(field))
        if found is None:
            raise ProgrammingError(f"Table {table} has no column {tables.column_name(field)}")
        return found

    def _looked_up_columns(self, table: str) -> dict[str, _LiveColumn]:
        found = self._asked(
            "SELECT column_name, column_type, character_set_name, collation_name, data_type,"
            " datetime_precision FROM information_schema.columns"
            " WHERE table_schema = database() AND table_name = %s",
            table,
        )
        return {
            name: _LiveColumn(
                f"{kind} CHARACTER SET {letters} COLLATE {order}" if letters else str(kind),
                family.endswith(("text", "blob")),
                digits,
            )
            for name, kind, letters, order, family, digits in found
        }

    def drop(self) -> None:
        found = self._asked(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
            " AND left(table_name, %s) = %s",
            len(self.schema) + 1,
            f"{self.schema}_",
        )
        if names := ", ".join(self.quoted(name) for (name,) in found):
            with self._session(STRICT):
                self.execute(f"DROP TABLE IF EXISTS {names}")

    def volume(self) -> Path | None:
        """Seen only where the server is this machine's own."""
        if self.connection.settings_dict["HOST"] not in ("", "localhost"):
            return None
        directory = Path(self.scalar("SELECT @@datadir"))
        return directory if directory.is_dir() else None

    def taken(self) -> int:
        """By the files' sizes, or where the server does not tell these, by their contents'."""
        for table in TABLESPACES:
            with suppress(DatabaseError):
                found = self._asked(
                    f"SELECT sum(file_size) FROM information_schema.{table}"
                    " WHERE name LIKE concat(database(), '/%%')"
                )
                return int(found[0][0] or 0)
        return int(
            self.scalar(
                "SELECT coalesce(sum(data_length + index_length + data_free), 0)"
                " FROM information_schema.tables WHERE table_schema = database()"
            )
        )

    # -- values -------------------------------------------------------------------------

    def writer(self, field: AnyField, kind: Kind) -> Write | None:
        match kind:
            case Kind.INTEGER | Kind.BOOLEAN | Kind.TEXT | Kind.BINARY | Kind.JSON:
                return None
            case Kind.FLOAT:
                return _number
            case Kind.DECIMAL:
                return _finite(within_places(cast("DecimalField[Any, Any]", root_of(field))))
            case Kind.UUID:
                return str if self._has_uuids(field) else hexadecimal
            case Kind.TIME | Kind.INSTANT:
                return self._clock_writer(field, kind)
        prepare, connection = field.get_db_prep_save, self.connection
        return lambda value: prepare(of_python(value), connection)

    def _has_uuids(self, field: AnyField) -> bool:
        """MariaDB's own type, which Django uses since 5.0; older tables keep their char(32)."""
        return self._type(field) == "uuid"

    def _clock_writer(self, field: AnyField, kind: Kind) -> Write:
        """The server would cut or round what its column has no digits for."""
        digits, prepare, connection = (
            self._second_digits(field),
            field.get_db_prep_save,
            self.connection,
        )
        step, is_instant = 10 ** (MICROSECOND_DIGITS - digits), kind is Kind.INSTANT

        def write(value: Any) -> Any:
            if of_python(value).microsecond % step:
                raise ValueError(f"its column keeps {digits} digits of a second")
            if is_instant and conf.use_tz():
                self._require_one_reading(value)
            return prepare(value, connection)

        return write

    def _second_digits(self, field: AnyField) -> int:
        digits = self._live_column(field).second_digits
        return MICROSECOND_DIGITS if digits is None else digits

    def _require_one_reading(self, value: Any) -> None:
        """Columns keep local time without its offset: that of the connection's zone."""
        zone = self.connection.timezone
        if timezone.make_aware(timezone.make_naive(value, zone), zone) != value:
            raise ValueError(f"the clock of {zone} shows that time twice")

    def shortcut(self, column: Column) -> Shortcut:
        root, text = column.root, frozenset({str})
        match column.kind:
            case Kind.DECIMAL:
                return Shortcut(types=text, write=_decimal(root))
            case Kind.UUID:
                return Shortcut(
                    types=text, write=uuid_of if self._has_uuids(column.field) else hex_of
                )
            case Kind.TIME if self._second_digits(column.field) == MICROSECOND_DIGITS:
                return Shortcut(types=text, write=clock)
            case Kind.INSTANT if self._keeps_instants(column.field):
                return Shortcut(types=text, write=utc_instant)
        return super().shortcut(column)

    def _keeps_instants(self, field: AnyField) -> bool:
        in_utc = conf.use_tz() and self.connection.timezone_name == "UTC"
        return in_utc and self._second_digits(field) == MICROSECOND_DIGITS

    # -- filling ------------------------------------------------------------------------

    def fill(self, model: type[Model], rows: ReadRows, refuse: Refuse) -> int:
        with self._session(STRICT):
            try:
                with self._filling(model):
                    return self._insert_all(model, rows())
            except (DatabaseError, UnicodeError, ValueError, OverflowError) as error:
                self._require_value_error(error)
            with self._filling(model):
                parts = batches(rows(), CAREFUL_ROWS)
                return sum(self._insert_carefully(model, part, refuse) for part in parts)

    def _require_value_error(self, error: Exception) -> None:
        """Go on only where a value is to blame."""
        if self.is_passing(error) or self.full_disk(error):
            raise error

    @contextmanager
    def _filling(self, model: type[Model]) -> Iterator[None]:
        with transaction.atomic(using=self.database):
            self.execute(f"DELETE FROM {self.staged(model)}")
            yield
            self.promise(model)
            self.fence()

    def _insert_all(self, model: type[Model], rows: Iterable[Row]) -> int:
        columns = layout(model)
        return sum(self._insert(self.staged(model), columns, part) for part in _packets(rows))

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> int:
        """Write all rows by one statement. Raises Altered where it did so with a warning."""
        self._require_room(rows)
        names = ", ".join(map(self.quoted, columns)).replace("%", "%%")
        places = f"({', '.join(['%s'] * len(columns))})"
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({names}) VALUES {', '.join([places] * len(rows))}",
                list(chain.from_iterable(rows)),
            )
            written = int(cursor.rowcount)
            cursor.execute("SHOW WARNINGS LIMIT 1")
            for _, _, warning in cursor.fetchall():
                raise Altered(warning)
        return written

    def _require_room(self, rows: Sequence[Row]) -> None:
        """A statement larger than the server takes would cost the connection."""
        if 2 * sum(map(_size, rows)) < self._largest_packet:
            return
        for value in chain.from_iterable(rows):
            if isinstance(value, str | bytes):
                self._require_room_for(value)

    def _require_room_for(self, value: str | bytes) -> None:
        raw = value.encode() if isinstance(value, str) else value
        literal_bytes = len(raw) + sum(map(raw.count, ESCAPED))
        if literal_bytes > self._largest_packet - MARGIN_BYTES:
            raise Altered(f"it is larger than max_allowed_packet, {self._largest_packet} bytes")

    @cached_property
    def _largest_packet(self) -> int:
        return int(self.scalar("SELECT @@max_allowed_packet"))

    def _insert_carefully(self, model: type[Model], batch: Sequence[Row], refuse: Refuse) -> int:
        """Write what can be, telling each value that cannot, and leaving it out."""
        columns = layout(model)
        kept = {row[-2]: list(row) for row in batch}
        if self._fault(model, columns, batch):
            for index, column in enumerate(columns[:-2]):
                cells = [[row[-2], row[index]] for row in batch if row[index] is not None]
                for line, why in self._faults(model, column, cells):
                    row = kept[line]
                    refuse(Refusal(row=row, column=column, value=row[index], why=why))
                    row[index] = None
                    row[-1] = ",".join(filter(None, [row[-1], column]))
        return self._insert_all(model, kept.values())

    def _faults(
        self, model: type[Model], column: str, cells: Sequence[Row]
    ) -> Iterator[tuple[int, str]]:
        """The lines of those cells that the server does not take, and why: found by halving."""
        why = self._fault(model, [LINE, column], cells) if cells else ""
        if why and len(cells) == 1:
            yield cells[0][0], why
        elif why:
            middle = len(cells) // 2
            for first, last in pairwise((0, middle, len(cells))):
                yield from self._faults(model, column, cells[first:last])

    def _fault(self, model: type[Model], columns: Sequence[str], rows: Sequence[Row]) -> str:
        """Why the server does not take the rows as they are. Nothing is written by this."""
        try:
            with transaction.atomic(using=self.database):
                for part in _packets(rows):
                    self._insert(self.staged(model), columns, part)
                transaction.set_rollback(True, using=self.database)
        except (DatabaseError, UnicodeError, ValueError, OverflowError) as error:
            self._require_value_error(error)
            return self.cause(error)
        return ""

    # -- checking -----------------------------------------------------------------------

    def make_keys(self, model: type[Model], table: str, pairs: Iterable[tuple[str, Any]]) -> None:
        (key,) = tables.key_fields(model)
        self.execute(f"DROP TABLE IF EXISTS {table}")
        self.execute(
            f"CREATE TABLE {table} (natural_key {_added_type('')}, value {self._type(key)},"
            f" KEY (natural_key({INDEXED_CHARACTERS})), KEY (value)) ENGINE=InnoDB"
        )
        for part in batches(map(list, pairs), KEY_ROWS):
            self._insert(table, ("natural_key", "value"), part)

    @contextmanager
    def opened(self, *, writing: bool) -> Iterator[None]:  # noqa: ARG002 - for SQLite
        with self._session(STRICT):
            yield

    @contextmanager
    def checking(self) -> Iterator[None]:
        """No transaction: the tables of natural keys are made meanwhile, which commits."""
        yield

    @contextmanager
    def shadowed(self, tables: Mapping[str, str]) -> Iterator[None]:
        """There are no temporary views; a statement's own table expressions do as well."""
        with self.connection.execute_wrapper(partial(_shadow, self.quoted, tables)):
            yield

    def _unshadow(self, tables: Iterable[str]) -> None:
        """Nothing stays behind."""

    # -- applying -----------------------------------------------------------------------

    @contextmanager
    def applying(self, models: Sequence[type[Model]]) -> Iterator[Callable[[], None]]:
        """Deleting whole tables under REPEATABLE READ locks their gaps: nobody inserts there.

        Counters are lowered after the commit, for it takes an ALTER TABLE, which commits. One
        that was not lowered is merely higher than it had to be.
        """
        keys = self._foreign_keys(models)
        with self._session(UNCHECKED):
            with transaction.atomic(using=self.database):
                self.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                before = set(self._violations(keys))
                yield partial(self._prove, models, keys, before)
            self._lower_counters()

    def _foreign_keys(self, models: Sequence[type[Model]]) -> list[_Key]:
        """Of any table, known to Django or not, into or out of these."""
        found = self._asked(
            "SELECT constraint_name, table_name, referenced_table_name, column_name,"
            " referenced_column_name FROM information_schema.key_column_usage"
            " WHERE table_schema = database() AND referenced_table_schema = table_schema"
            " ORDER BY table_name, constraint_name, ordinal_position"
        )
        loaded = {model._meta.db_table for model in models}
        keys: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
        for name, child, parent, referring, referred in found:
            if {child, parent} & loaded:
                pair = self.quoted(referring), self.quoted(referred)
                keys.setdefault((name, child, parent), []).append(pair)
        return [_Key(*names, tuple(pairs)) for names, pairs in keys.items()]

    def _violations(self, keys: Iterable[_Key], locking: str = "") -> Iterator[Violation]:
        for key in keys:
            columns = ", ".join(f"child.{referring}" for referring, _ in key.pairs)
            same = " AND ".join(f"parent.{p} = child.{c}" for c, p in key.pairs)
            given = " AND ".join(f"child.{c} IS NOT NULL" for c, _ in key.pairs)
            found = self.query(
                f"SELECT DISTINCT {columns} FROM {self.quoted(key.child)} AS child"
                f" LEFT JOIN {self.quoted(key.parent)} AS parent ON {same}"
                f" WHERE {given} AND parent.{key.pairs[0][1]} IS NULL {locking}"
            )
            yield from ((key, values) for values in found)

    def _prove(
        self, models: Sequence[type[Model]], keys: Sequence[_Key], before: set[Violation]
    ) -> None:
        """Read with locks: what others have committed since this transaction began counts."""
        loaded = {model._meta.db_table for model in models}
        for violation in self._violations(keys, "LOCK IN SHARE MODE"):
            key, values = violation
            if key.child in loaded or violation not in before:
                shown = ", ".join(map(str, values))
                raise IntegrityError(
                    f"FOREIGN KEY constraint failed: {self.quoted(key.child)} {key.name} refers"
                    f" to a row of {key.parent} that is not there: ({shown})"
                )

    def live(self, model: type[Model]) -> str:
        """Qualified: a statement's own table expressions come first for bare names."""
        database = self.connection.settings_dict["NAME"]
        return f"{self.quoted(database)}.{self.quoted(model._meta.db_table)}"

    def portions(self, model: type[Model]) -> Iterator[str]:
        last = self.scalar(f"SELECT coalesce(max({LINE}), 0) FROM {self.staged(model)}")
        for first in range(1, last + 1, PORTION_ROWS):
            yield f"{LINE} BETWEEN {first} AND {first + PORTION_ROWS - 1}"

    def upsert(self, model: type[Model], portion: str) -> int:
        """By the primary key alone: ON DUPLICATE KEY would take any unique one for it."""
        keys = self.key_columns(model)
        others = [column for column in self.columns(model) if column not in keys] or keys
        same = " AND ".join(f"live.{key} = staged.{key}" for key in keys)
        there, staged = f"{self.live(model)} AS live", f"{self.staged(model)} AS staged"
        updated = self.execute(
            f"UPDATE {there} JOIN {staged} ON {same}"
            f" SET {', '.join(f'live.{column} = staged.{column}' for column in others)}"
            f" WHERE {portion}"
        )
        columns = ", ".join(self.columns(model))
        return updated + self.execute(
            f"INSERT INTO {self.live(model)} ({columns}) SELECT {columns} FROM {staged}"
            f" WHERE {portion} AND NOT EXISTS (SELECT 1 FROM {there} WHERE {same})"
        )

    def reset_sequences(self, models: Sequence[type[Model]], *, lower: bool) -> None:
        """Inserting has raised them already; lowering waits for the commit."""
        if lower:
            self._lowered = models

    def _lower_counters(self) -> None:
        counted = self._asked(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = database() AND extra LIKE '%%auto_increment%%'"
        )
        lowered, self._lowered = {each._meta.db_table for each in self._lowered}, ()
        self._set({"lock_wait_timeout": PATIENCE_SECONDS})
        for name in sorted(lowered & {name for (name,) in counted}):
            try:
                self.execute(f"ALTER TABLE {self.quoted(name)} AUTO_INCREMENT = 1")
            except DatabaseError as error:
                logger.info("the next key of %s stays higher than it could be: %s", name, error)

    # -- errors -------------------------------------------------------------------------

    def is_passing(self, error: BaseException) -> bool:
        return _code(error) in PASSING_CODES

    def full_disk(self, error: BaseException) -> str:
        code, message = _code(error), str(error)
        full = code in FULL_CODES or (code == ERROR_WITH_NUMBER and NO_SPACE_LEFT in message)
        return f"the disk of the database {self.database}" if full else ""

    def room(self) -> int:
        """Unknown: the disk is the server's."""
        return 0

    def cause(self, error: BaseException) -> str:
        """Without the number that the drivers put first."""
        numbered = len(error.args) > 1 and isinstance(error.args[0], int)
        return str(error.args[1]).rstrip(".") if numbered else super().cause(error)

    def blame(self, error: BaseException) -> str:
        found = re.search("failed: `((?:[^`]|``)+)` ", str(error))
        return found.group(1) if found else ""

    def cascades_into(self, models: Sequence[type[Model]]) -> frozenset[str]:  # noqa: ARG002
        """None: constraints are off while rows are applied."""
        return frozenset()


def _shadow(
    quoted: Callable[[str], str],
    selections: Mapping[str, str],
    execute: Callable[..., Any],
    sql: str,
    params: Any,
    many: bool,
    context: Any,
) -> Any:
    """Give a statement that reads the tables these selections under their names."""
    named = [f"{quoted(name)} AS ({rows})" for name, rows in selections.items() if name in sql]
    if named and SELECTS(sql):
        expressions = ", ".join(named)
        sql = f"WITH {expressions.replace('%', '%%') if params is not None else expressions} {sql}"
    return execute(sql, params, many, context)


def _looked_up(model: type[Model]) -> Iterator[tuple[AnyField, ...]]:
    """What others look rows up by: the key, and each column that a reference names."""
    key = tables.key_fields(model)
    yield key
    for field in sorted(tables.referenced_fields(model), key=lambda each: each.name):
        if (field,) != key:
            yield (field,)


def _added_type(staged_column: str) -> str:
    if staged_column == LINE:
        return "bigint PRIMARY KEY"
    return (
        "bigint"
        if staged_column == KEYLESS
        else "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    )


def _packets(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows by up to a megabyte or so."""
    packet, size = list[Row](), 0
    for row in rows:
        packet.append(row)
        size += _size(row)
        if size >= PACKET_BYTES or len(packet) == PACKET_ROWS:
            yield packet
            packet, size = [], 0
    if packet:
        yield packet


def _size(row: Row) -> int:
    return sum(len(value) for value in row if isinstance(value, str | bytes))


def _finite(write: Write) -> Write:
    def finite(value: Any) -> Any:
        if not value.is_finite():
            raise ValueError("MariaDB and MySQL have no NaN and no infinity")
        return write(value)

    return finite


def _decimal(field: AnyField) -> Write:
    is_plain = plain_decimal(cast("DecimalField[Any, Any]", field))

    def write(text: str) -> str:
        if is_plain(text):
            return text
        raise ValueError(text)

    return write


def _code(error: BaseException) -> int | None:
    """The server's or the client's number for it."""
    arguments = (error.__cause__ or error).args
    return arguments[0] if arguments and isinstance(arguments[0], int) else None
