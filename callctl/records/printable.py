"""Text that others chose becomes safe for people to read: on a terminal, in a log line, in a CSV cell.

A caller's name and number come from outside, and SIP lets control characters through. On a terminal they
could set its title, write to the clipboard, or erase what stands there; a newline could forge a line, and
a bidirectional mark turns around what is read. A spreadsheet runs a cell that looks like a formula.
"""

from __future__ import annotations

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""They shape letters in Persian and Indian names. Without them the name can still be read."""

_FORMULA_BEGINNINGS = "=+-@＝＋－＠"  # noqa: RUF001 (the wide forms mean the same to a Japanese spreadsheet)

_TELEPHONE_NUMBER = re.compile(r"\+[0-9]+")
"""It begins like a formula, and can do nothing: programs that read an export compare it with their own."""


def printable(text: str) -> str:
    """Return `text` in one line, without any character that cannot be seen.

    White space becomes a blank each, joiners are left out, and everything else that is not printable
    becomes U+FFFD: control characters (C0 and C1), bidirectional marks, lone surrogates, private use.
    """
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() else _replaced(each) for each in text])


def printable_lines(text: str) -> str:
    """Return `text` with each of its lines printable: for a traceback, whose lines are ours."""
    return "\n".join([printable(line) for line in text.split("\n")])


def printable_json(text: str) -> str:
    r"""Return JSON that means the same, with `\u…` for each character that cannot be seen.

    `text` is JSON; outside its strings it holds nothing but ASCII and newlines.
    """
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() or each == "\n" else _escaped(each) for each in text])


def csv_cell(value: object) -> object:
    """Return `value` as it may stand in a CSV file: a text is printable, and no spreadsheet runs it.

    A text that begins like a formula gets an apostrophe before it, which spreadsheets take for "this is
    text". A telephone number (`+4930…`) and whatever is no text stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    # Some programs leave blanks at the beginning out, and what a tab became is one.
    if text.lstrip().startswith(tuple(_FORMULA_BEGINNINGS)) and not _TELEPHONE_NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _replaced(character: str) -> str:
    if character.isspace():
        return " "
    return "" if character in _JOINERS else REPLACEMENT


def _escaped(character: str) -> str:
    r"""Return one character as JSON's `\uXXXX`, or two of them beyond U+FFFF."""
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
