"""What an agent or a queue may be called, and what the key of a visit may be.

A name stands in paths of the HTTP API, in headers of Event Socket, and as a channel variable in the dial
string of every offer. One that breaks any of these would be accepted here and never be reached.
"""

from __future__ import annotations

import re

LONGEST_NAME = 100
"""More is not readable in any table, and a path of the HTTP API has to hold it percent-encoded."""

ENTERPRISE = ":_:"
"""Anywhere in the text of an originate, also inside a value, it makes two independent originates of one."""

_VISIT = re.compile(r"[A-Za-z0-9-]{1,64}")


def name_complaint(name: str) -> str | None:
    """Return what is wrong with the name of an agent or a queue, in words that follow it; None if nothing.

    >>> name_complaint("1001")
    """
    if not name.isprintable() or not name.strip() or name != name.strip() or len(name) > LONGEST_NAME:
        return f"a name has 1 to {LONGEST_NAME} printable characters, and no space at its ends"
    if "/" in name or name in (".", ".."):
        return "a name has no slash, and is no dots alone: it stands in paths"
    if "{" in name or "}" in name or ENTERPRISE in name:
        return f"a name has no brace and no {ENTERPRISE!r}: FreeSWITCH could not ring a phone for it"
    return None


def is_visit_key(text: str) -> bool:
    """Say whether this can be the key of a visit, as a channel carries it in `callctl_call`."""
    return _VISIT.fullmatch(text) is not None
