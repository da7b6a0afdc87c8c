"""What engines of plain values are given: what Django would write, by a shorter way."""

from __future__ import annotations

from datetime import datetime

import pytest

from diskette.data.engines.plain_writing import utc_instant


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00.123456+00:00",
        "2026-01-31T12:00:00.5+00:00",
        "2026-01-31T23:59:59+00:00",
        "0001-01-01T00:00:00+00:00",
        "2026-W05-6T12:00:00+00:00",
        "2026-01-31T12:00:00,500000+00:00",
        "20260131T120000Z",
    ],
)
def test_instant_is_the_naive_text_of_its_moment(text: str) -> None:
    moment = datetime.fromisoformat(text).replace(tzinfo=None)
    assert utc_instant(text) == str(moment)


@pytest.mark.parametrize(
    "text",
    ["2026-02-30T12:00:00+00:00", "2026-01-31T12:00:00", "2026-01-31T12:00:00+01:00", "soon"],
)
def test_instant_that_is_none_in_utc_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        utc_instant(text)
