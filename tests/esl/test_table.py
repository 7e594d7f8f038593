"""The rows of an answer to `show …`, as FreeSWITCH 1.10.12 writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callctl.errors import UnreadableAnswer
from callctl.esl.table import SEPARATOR, rows_of
from tests.call.tables import table

ANSWER = """\
uuid<|>direction<|>created<|>name<|>cid_name<|>presence_id<|>initial_context
39432f79-6622-4d0a-ad8e-3cc75481fed9<|>outbound<|>2026-11-23 15:57:07<|>sofia/phones/1001@127.0.0.1<|>Ada, A.<|>1001@x<|>default
78be5d45-a8c6-4ed2-b3af-d5a1630f0241<|>inbound<|>2026-11-23 15:57:07<|>sofia/phones/4930123456@127.0.0.1<|>Ada | Sales<|><|>phones

2 total.
"""  # noqa: E501


def test_the_columns_that_are_asked_for_come_in_that_order() -> None:
    assert list(rows_of(ANSWER, "presence_id", "uuid")) == [
        ("1001@x", "39432f79-6622-4d0a-ad8e-3cc75481fed9"),
        ("", "78be5d45-a8c6-4ed2-b3af-d5a1630f0241"),
    ]


def test_without_a_row_there_is_a_total_alone() -> None:
    assert list(rows_of("\n0 total.\n", "uuid")) == []


@pytest.mark.parametrize("answer", ["", "uuid<|>name", "-ERR SQL error [locked]", '{"row_count": 0}'])
def test_what_is_no_table_is_refused(answer: str) -> None:
    with pytest.raises(UnreadableAnswer, match="no table"):
        list(rows_of(answer, "uuid"))


def test_a_table_of_something_else_is_refused() -> None:
    with pytest.raises(UnreadableAnswer, match=r"no column dest, uuid$"):
        list(rows_of(table([{"name": "x"}]), "uuid", "name", "dest"))


VALUES = st.text(st.characters(exclude_categories=["Cs"]) | st.just("\n"), max_size=20).filter(
    lambda text: SEPARATOR not in text + "<|" and SEPARATOR not in "|>" + text and "<|" not in text
)


@given(st.lists(st.tuples(st.uuids().map(str), VALUES, VALUES)))
def test_a_value_may_hold_anything_but_the_separator(rows: list[tuple[str, str, str]]) -> None:
    answer = table([{"uuid": uuid, "name": name, "last": last} for uuid, name, last in rows])
    assert list(rows_of(answer, "uuid", "name", "last")) == rows


@given(VALUES, VALUES)
def test_a_separator_in_a_value_shifts_only_what_stands_behind_it(before: str, after: str) -> None:
    row = {"uuid": "u1", "direction": "outbound", "name": (before + SEPARATOR + after).replace("\n", "")}
    answer = table([row, row | {"uuid": "u2"}])
    assert list(rows_of(answer, "uuid", "direction")) == [("u1", "outbound"), ("u2", "outbound")]


@given(st.lists(st.lists(st.sampled_from(["x", "\n", SEPARATOR, " "]), max_size=12).map("".join)))
def test_whatever_the_values_are_a_row_has_every_column(names: list[str]) -> None:
    answer = table([{"uuid": "u1", "name": name, "last": name} for name in names])
    assert all(len(row) == 3 for row in rows_of(answer, "uuid", "name", "last"))


def test_columns_without_a_row_are_no_row() -> None:
    assert list(rows_of("uuid<|>name\n\n0 total.\n", "uuid")) == []
