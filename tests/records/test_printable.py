"""What others chose to be called cannot steer a terminal, forge a line, or run in a spreadsheet."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callctl.records.printable import csv_cell, printable, printable_json, printable_lines

TITLE = "\x1b]0;owned\x07"
CLIPBOARD = "\x1b]52;c;cm0gLXJm\x1b\\"

pytestmark = pytest.mark.fault(6)


@pytest.mark.parametrize("name", ["Ada", "Łukasz Żółć", "阿达", "עדה", "O'Neil, Dr. (2)", "😀", ""])
def test_a_name_that_can_be_read_stays_as_it_is(name: str) -> None:
    assert printable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (f"{TITLE}Ada", "�]0;owned�Ada"),
        (f"{CLIPBOARD}Ada", "�]52;c;cm0gLXJm�\\Ada"),
        ("\x9b31mAda\x9b0m", "�31mAda�0m"),
        ("Ada\r\nINFO forged", "Ada  INFO forged"),
        ("Ada\x85\u2028Bob", "Ada  Bob"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}adA", "�adA"),
        ("\N{LEFT-TO-RIGHT ISOLATE}Ada\N{POP DIRECTIONAL ISOLATE}", "�Ada�"),
        ("Ada\N{NO-BREAK SPACE}Byron", "Ada Byron"),
        ("علی\N{ZERO WIDTH NON-JOINER}رضا", "علیرضا"),
        ("\udc80Ada\x00\x7f", "�Ada��"),
    ],
)
def test_what_cannot_be_seen_is_replaced(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(st.text())
def test_nothing_but_visible_characters_is_left(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in shown)


def test_a_text_of_several_lines_keeps_them() -> None:
    assert printable_lines("Traceback\n  File\x1b[2J\n") == "Traceback\n  File�[2J\n"


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_means_the_same_when_its_hidden_characters_are_spelt_out(value: object) -> None:
    shown = printable_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(shown) == value
    assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("＝1", "'＝1"),  # noqa: RUF001 (the wide form)
        ("\N{ZERO WIDTH JOINER}=1", "'=1"),
        ("\t=1", "' =1"),
        (" =1", "' =1"),
        ("a=1", "a=1"),
        ("+493012345", "+493012345"),
        ("Ada\x1b[0m", "Ada�[0m"),
        (-1.5, -1.5),
        (None, None),
    ],
)
def test_a_spreadsheet_runs_no_cell(value: object, cell: object) -> None:
    assert csv_cell(value) == cell
