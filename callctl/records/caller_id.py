r"""The name and number that an agent's phone shows, made safe for the way to it through FreeSWITCH.

FreeSWITCH puts a From header together as text (sofia_glue_do_invite), so what a caller is called decides
whether there is a leg at all. Measured with 1.10.12:

- A backslash at the end of a name breaks the leg (DESTINATION_OUT_OF_ORDER), whichever phone it is for, and
  a `>` in a number does (NORMAL_UNSPECIFIED).
- `%0a` in a name is decoded and makes an INVITE that nobody answers; in a number it becomes a newline.
- Of a name the part before `/`, `:` or a double quote is lost, and the part behind `@`; so is that of a
  number, and its part behind `;`.
"""

from __future__ import annotations

import re

from callctl.records.caller_identity import person_of

LONGEST_NAME = 80
"""Phones show some 30 characters. A name of kilobytes would not fit in the packet of an INVITE."""

LONGEST_NUMBER = 64

_INSTEAD = str.maketrans(
    {'"': "'", "\\": " ", "/": "-", ":": " ", "@": " ", "<": "(", ">": ")", "{": "(", "}": ")"}
)

_ENCODED = re.compile(r"%(?=[0-9A-Fa-f]{2})")
"""FreeSWITCH decodes it, whatever comes of that."""

_QUOTED = re.compile(r'\\(["\\])')
"""As a SIP display name has them, and FreeSWITCH leaves them."""

_NOT_IN_A_NUMBER = re.compile(r"[^0-9A-Za-z+*#._-]")


def caller_id_name(text: str) -> str:
    """Return a caller's name as a phone can be told it: in one line, with none of what cuts or breaks it."""
    text = _QUOTED.sub(r"\1", text)
    visible = "".join([each if each.isprintable() else " " for each in text])
    words = _ENCODED.sub("% ", visible.translate(_INSTEAD)).split()
    return " ".join(words)[:LONGEST_NAME].rstrip()


def caller_id_number(text: str) -> str:
    """Return a caller's number as a phone can be told it; "" where nothing is left of it."""
    number = person_of(text) or _NOT_IN_A_NUMBER.sub("", re.split("[;@]", text, maxsplit=1)[0])
    return number[:LONGEST_NUMBER]
