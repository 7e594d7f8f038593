"""A number that is one identifies a person in every spelling; a withheld one identifies nobody."""

from __future__ import annotations

import pytest

from callctl.records.caller_identity import (
    NUMBERS_OF_NOBODY,
    can_be_dialled,
    identifies_person,
    number_to_dial,
    person_of,
)

pytestmark = pytest.mark.fault(4)


@pytest.mark.parametrize(
    "number",
    [
        *("", " ", "anonymous", "Anonymous", "unavailable", "restricted", "withheld", "private", "unknown"),
        *("asserted", "alice", "Unavailable;x=1", "anonymous@anonymous.invalid", "+", "()", "-", "?", "None"),
        *("0", "0000000000", "+0000000000", "1" * 33, "1\n2", "1,2", "12${x}", "1{2}", "٣٠١٢٣"),
        *NUMBERS_OF_NOBODY,
    ],
)
def test_these_identify_nobody(number: str) -> None:
    assert not identifies_person(number)
    assert not can_be_dialled(number)
    assert person_of(number) == number_to_dial(number) == ""


@pytest.mark.parametrize(
    ("spelt", "number"),
    [
        ("1001", "1001"),
        ("030123", "030123"),
        ("(212) 555-0100", "2125550100"),
        ("212.555.0100", "2125550100"),
        ("+1 212 555 0100", "+12125550100"),
        ("+1\N{NO-BREAK SPACE}212\N{NON-BREAKING HYPHEN}555-0100", "+12125550100"),
        ("+49 (0)30 1234", "+49301234"),
        ("030/1234-5", "03012345"),
        ("tel:+1-212-555-0100;phone-context=example.com", "+12125550100"),
        ("+12125550100;npdi=yes;rn=+12125551", "+12125550100"),
        ("sip:+12125550100@carrier.example", "+12125550100"),
        # Without the plus sign this may be a number in Texas.
        ("7378742833", "7378742833"),
    ],
)
def test_a_number_is_one_in_every_spelling(spelt: str, number: str) -> None:
    assert identifies_person(spelt)
    assert can_be_dialled(spelt)
    assert person_of(spelt) == number_to_dial(spelt) == number


def test_what_is_too_long_to_dial_may_still_identify_somebody() -> None:
    assert identifies_person("1" * 25)
    assert not can_be_dialled("1" * 25)
