"""Any value of any stock field, for properties that must hold of all."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from tests.library.fields import Point

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)
FIRST, LAST = dt.datetime(1, 1, 3), dt.datetime(9999, 12, 30)  # noqa: DTZ001 - any zone's
VALUES = {
    "big_integer": st.integers(-(2**63), 2**63 - 1),
    "binary": st.binary(),
    "boolean": st.booleans(),
    "char": TEXT.filter(lambda text: len(text) <= 200),
    "date": st.dates(),
    "instant": st.datetimes(FIRST, LAST, timezones=st.timezones()),
    "decimal": st.decimals(-(10**4), 10**4, places=10),
    "small_decimal": st.decimals(-999, 999, places=3),
    "duration": st.timedeltas(dt.timedelta(days=-(10**6)), dt.timedelta(days=10**6)),
    "float": st.floats(allow_nan=False),
    "ip": st.ip_addresses().map(str),
    "json": JSON_VALUES,
    "text": TEXT,
    "time": st.times(),
    "uuid": st.uuids(),
    "point": st.builds(Point, st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9)),
    "words": st.lists(st.text("abc é", min_size=1), min_size=1).map(tuple),
}
