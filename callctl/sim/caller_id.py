r"""What becomes of a caller's name and number on the way to a phone, in the From header that mod_sofia makes.

Measured with FreeSWITCH 1.10.12: each name was rung on a phone of the same switch, and read there.
"""

from __future__ import annotations

import re

_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")


def _decoded(text: str) -> str:
    """switch_url_decode, of the characters that matter here."""
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), text)


def cause_of_failure(name: str, number: str) -> str:
    """Return why no INVITE can be made with these, or "" where one can.

    NO_ANSWER: it is sent, and no phone can read it.
    """
    name = _decoded(name)
    if (len(name) - len(name.rstrip("\\"))) % 2:
        return "DESTINATION_OUT_OF_ORDER"
    if ">" in _decoded(number):
        return "NORMAL_UNSPECIFIED"
    return "NO_ANSWER" if "\n" in name else ""


def shown_name(name: str) -> str:
    """Return what a phone shows of a name."""
    name = _decoded(name)
    return _sanitised(name.split('"')[1] if '"' in name else name)


def shown_number(number: str) -> str:
    """Return what a phone shows of a number."""
    return _sanitised(_decoded(number).rpartition('"')[2]).partition(";")[0]


def _sanitised(text: str) -> str:
    """switch_sanitize_number."""
    return text.partition("@")[0].rpartition("/")[2].rpartition(":")[2]
