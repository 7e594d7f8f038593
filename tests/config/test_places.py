"""Each key of a TOML text is found on its line, whatever the text looks like."""

from __future__ import annotations

import tomllib
from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from callctl.config.places import key_lines
from callctl.config.settings import KeyPath


def test_tables_keys_and_lists_of_tables_have_their_lines() -> None:
    text = """# a comment with = and [brackets]
top = 1

[server]   # [not.this]
listen = "a # b"
allow = [
  "::1",  # ] not the end
  "10.0.0.0/8",
]
[[freeswitch]]
name = "fs1"
[[freeswitch]]
port = 1

[freeswitch.inner]
key = 1
"""
    lines = key_lines(text)
    assert lines == {
        ("top",): 2,
        ("server",): 4,
        ("server", "listen"): 5,
        ("server", "allow"): 6,
        ("server", "allow", 0): 7,
        ("server", "allow", 1): 8,
        ("freeswitch",): 10,
        ("freeswitch", 0): 10,
        ("freeswitch", 0, "name"): 11,
        ("freeswitch", 1): 12,
        ("freeswitch", 1, "port"): 13,
        ("freeswitch", 1, "inner"): 15,
        ("freeswitch", 1, "inner", "key"): 16,
    }


def test_quoted_and_dotted_keys_and_inline_tables_are_followed() -> None:
    text = """agent . "10.01" . 'a b' = { x = 1, y.z = [{ w = "}" }] }
[ "q\\u0041" ]
key = 2026-11-22 15:50:01
other = 1
"""
    lines = key_lines(text)
    assert lines["agent", "10.01", "a b", "y", "z", 0, "w"] == 1
    assert lines["qA", "other"] == 4


def test_texts_of_several_lines_hide_what_looks_like_keys() -> None:
    text = 'a = """\nb = 1\n\\"""" \nc = \'\'\'\n[d]\n\'\'\'\'\ne = """ends in two ""\\\\"""\nf = 1\n'
    assert set(tomllib.loads(text)) == {"a", "c", "e", "f"}
    assert key_lines(text) == {("a",): 1, ("c",): 4, ("e",): 7, ("f",): 8}


names = st.text(min_size=1, max_size=6)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.text(),
    st.datetimes(),
    st.dates(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(names, values, max_size=5))
def test_every_key_of_any_document_is_found(document: dict[str, Any]) -> None:
    text = tomli_w.dumps(document)
    parsed = tomllib.loads(text)
    lines = key_lines(text)
    for path in paths_of(parsed, ()):
        assert path in lines
    for path in lines:
        value: Any = parsed
        for part in path:
            value = value[part]


def paths_of(value: object, path: KeyPath) -> list[KeyPath]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, each in value.items():
            found += paths_of(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found += paths_of(each, (*path, index))
    return found
