"""What a phone shows of a caller: whole, whatever the caller is called, and never what breaks the leg."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from callctl.records.caller_id import LONGEST_NAME, LONGEST_NUMBER, caller_id_name, caller_id_number
from callctl.sim.caller_id import cause_of_failure, shown_name, shown_number


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ada Caller", "Ada Caller"),
        ("Müller & Söhne, GmbH (Köln)", "Müller & Söhne, GmbH (Köln)"),
        ("日本", "日本"),
        ("+49 30 1234", "+49 30 1234"),
        ('"Sami\\ ', "'Sami"),
        ('Dr. "Q" Neil', "Dr. 'Q' Neil"),
        (r"Dr. \"Q\" Neil", "Dr. 'Q' Neil"),
        ("back\\", "back"),
        ("CallQ:#Ada", "CallQ #Ada"),
        ("Sales: Ada", "Sales Ada"),
        ("A/B Ltd", "A-B Ltd"),
        ("ada@example.com", "ada example.com"),
        ("<sip:1@2>", "(sip 1 2)"),
        ("100%0aX", "100% 0aX"),
        ("100 %", "100 %"),
        ("a\u009b2Jb\u202ec\nd", "a 2Jb c d"),
        ("${system(reboot)}", "$(system(reboot))"),
        ("", ""),
    ],
)
def test_a_name_is_shown_whole_with_something_else_for_what_cuts_or_breaks_it(name: str, shown: str) -> None:
    assert caller_id_name(name) == shown
    assert shown_name(shown) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("4930123456", "4930123456"),
        ("+4930123456", "+4930123456"),
        ("(212) 555-0100", "2125550100"),
        ("anonymous", "anonymous"),
        ("1001#", "1001#"),
        ("12\n34", "1234"),
        ("a>b", "ab"),
        ("ada@example.com", "ada"),
        ("ada;tag=1", "ada"),
        ("ü", ""),
    ],
)
def test_a_number_keeps_what_a_phone_can_dial_or_show(number: str, shown: str) -> None:
    assert caller_id_number(number) == shown
    assert shown_number(shown) == shown


@given(st.text(), st.text())
def test_whatever_callers_are_called_there_is_a_leg_and_the_phone_shows_it(name: str, number: str) -> None:
    name, number = caller_id_name(name), caller_id_number(number)
    assert cause_of_failure(name, number) == ""
    assert (shown_name(name), shown_number(number)) == (name, number)
    assert len(name) <= LONGEST_NAME
    assert len(number) <= LONGEST_NUMBER
