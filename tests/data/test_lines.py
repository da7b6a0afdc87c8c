from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskette.data import lines

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TREES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(TREES)
def test_the_canonical_text_says_the_same_as_the_original(tree):
    canonical = lines.canonical_json(json.dumps(tree))
    assert json.loads(canonical, parse_float=Decimal, parse_int=Decimal) == json.loads(
        json.dumps(tree), parse_float=Decimal, parse_int=Decimal
    )


@given(TREES, st.booleans(), st.sampled_from([None, 2]))
def test_spelling_order_and_blanks_do_not_change_the_canonical_text(tree, ascii_only, indent):
    respelled = json.dumps(_reversed(tree), ensure_ascii=ascii_only, indent=indent)
    assert lines.canonical_json(respelled) == lines.canonical_json(json.dumps(tree))


@given(TREES)
def test_the_canonical_text_is_its_own_canonical_text(tree):
    once = lines.canonical_json(json.dumps(tree))
    assert lines.canonical_json(once) == once


@pytest.mark.parametrize(
    "same",
    [
        ("100", "100.0", "1e2", "1E+2", "0.1e3", "100.000"),
        ("0", "-0", "0.0", "-0.0", "0e9"),
        ("0.1", "1e-1", "0.10", "100e-3"),
        ("12345678901234567", "12345678901234567.0", "1234567890123456.7e1"),
        ("1208925819614629174706176", "1208925819614629174706176.00"),
        ('"é"', '"\\u00e9"'),
        ('{"b":1,"a":{"d":1,"c":2}}', '{ "a": {"c":2.0, "d":1}, "b":1 }'),
    ],
)
def test_equal_values_have_one_canonical_text(same):
    assert len({lines.canonical_json(text) for text in same}) == 1


@pytest.mark.parametrize(
    "different",
    [
        ("0.1", "0.10000000000000001"),
        ("12345678901234567890", "12345678901234567891"),
        ("1", '"1"', "true"),
        ("null", '"null"', "[]", "{}"),
        ("[1,2]", "[2,1]"),
    ],
)
def test_different_values_have_different_canonical_texts(different):
    assert len({lines.canonical_json(text) for text in different}) == len(different)


@pytest.mark.parametrize("text", ["NaN", "[Infinity, 1.5]", "{", "", "{'a':1}", "1 2"])
def test_what_is_no_json_has_no_canonical_text(text):
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own words
        lines.canonical_json(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"2001:db8::1"', '"2001:0DB8:0:0:0:0:0:1"'),
        ('"::ffff:10.0.0.1"', '"::ffff:a00:1"'),
    ],
)
def test_an_address_is_the_same_however_it_is_compressed(one, other):
    assert lines.canonical_address(one) == lines.canonical_address(other)


@pytest.mark.parametrize("text", ['"10.0.0.1"', "null", '"not: an address"'])
def test_what_is_no_version_six_address_stays_as_it_is(text):
    assert lines.canonical_address(text) == text


@given(st.dictionaries(st.text(), TREES), st.sampled_from([None, 1]))
def test_the_members_of_an_object_are_found_where_they_stand(tree, indent):
    text = json.dumps(tree, indent=indent)
    found = {name: json.loads(text[start:end]) for name, start, end in lines.members(text)}
    assert found == json.loads(text)


@pytest.mark.parametrize("text", ["", "[]", "1", '{"a":1', '{"a":1;}', "{,}", '{"a":}'])
def test_what_is_no_object_has_no_members(text):
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own words
        list(lines.members(text))


def test_a_line_is_dissected_without_touching_its_numbers():
    text = '{"model":"a.b", "pk":1,"fields":{"x": 1.10,"y":[1e400]},"json_null":["z"]}'
    tree, spans = lines.dissect(text)
    assert tree == {"model": "a.b", "pk": 1, "fields": {}, "json_null": ["z"]}
    assert {name: text[slice(*span)] for name, span in spans.items()} == {
        "x": "1.10",
        "y": "[1e400]",
    }


def test_the_digest_is_a_sum_so_the_order_of_rows_does_not_matter():
    rows = [lines.row_digest(line) for line in (b"a", b"b", b"c")]
    assert lines.digest_hex(sum(rows)) == lines.digest_hex(sum(reversed(rows)))
    assert len(lines.digest_hex(sum(rows))) == 64


def test_a_row_that_stands_twice_changes_the_digest():
    row = lines.row_digest(b"a")
    assert lines.digest_hex(row) != lines.digest_hex(3 * row)


def _reversed(tree):
    if isinstance(tree, dict):
        return {name: _reversed(tree[name]) for name in reversed(tree)}
    return [_reversed(each) for each in tree] if isinstance(tree, list) else tree
