"""Whether a caller's number says who calls, and whether it can be dialled: asked before any promise.

A person is identified by a caller number that is a number. A withheld, anonymous, unavailable, restricted or
empty one identifies nobody, so two such callers must never be taken for one person, and nobody can call them
back. Two spellings of one number (`+1 212 555-0100`, `+12125550100`) are one person.
"""

from __future__ import annotations

import re

SEPARATORS = " -./()\N{NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}\N{FIGURE DASH}\N{EN DASH}"
"""What may stand between the digits of a number for people to read (RFC 3966 has the first six)."""

NUMBERS_OF_NOBODY = (
    "+266696687",  # ANONYMOUS
    "+86282452253",  # UNAVAILABLE
    "+7378742833",  # RESTRICTED
    "+7378742883",  # RESTRICTED, as Twilio spells it
    "+2562533",  # BLOCKED
    "+8656696",  # UNKNOWN
    "+7748283",  # PRIVATE
)
"""What some carriers send for a withheld number: the word on a keypad, as an international number.

None of them can be a real one. Without the plus sign some could, so they count only with it.
"""

_TRUNK_PREFIX = re.compile(r"\(0\)")
"""Dialled inside the country only: `+49 (0)30 1234` is `+49301234`."""

_NUMBER = re.compile(r"\+?[0-9]{1,32}")

_DIALLED = re.compile(r"\+?[0-9]{1,20}")
"""E.164 has 15 digits; a prefix for an outside line, or for a carrier, may stand before them."""

_NO_SEPARATORS = str.maketrans("", "", SEPARATORS)


def person_of(caller_number: str) -> str:
    """Return the caller's number in one spelling, as the key of a person; "" where it identifies nobody.

    FreeSWITCH says 0000000000 where a leg has no number, so zeros alone are nobody's either.
    """
    number = _normalised(caller_number)
    if not _NUMBER.fullmatch(number) or not number.strip("+0") or number in NUMBERS_OF_NOBODY:
        return ""
    return number


def identifies_person(caller_number: str) -> bool:
    """Say whether this number tells one caller from all others."""
    return bool(person_of(caller_number))


def number_to_dial(caller_number: str) -> str:
    """Return the digits by which this caller can be called back; "" where that is not possible."""
    number = person_of(caller_number)
    return number if _DIALLED.fullmatch(number) else ""


def can_be_dialled(caller_number: str) -> bool:
    """Say whether a caller with this number can be called back."""
    return bool(number_to_dial(caller_number))


def _normalised(text: str) -> str:
    """Return a number without what people, RFC 3966 and SIP may put around and between its digits."""
    text = text.strip().removeprefix("tel:").removeprefix("sip:").removeprefix("sips:")
    text = re.split(r"[;@]", text, maxsplit=1)[0]
    if text.startswith("+"):
        text = _TRUNK_PREFIX.sub("", text, count=1)
    return text.translate(_NO_SEPARATORS)
