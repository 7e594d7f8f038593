"""What the dial string of a phone may be: an agent's contact, and how a caller is called back.

It follows callctl's own variables in an originate: `{origination_uuid=…}CONTACT`. What FreeSWITCH cannot take
apart there would be accepted here and never ring (switch_ivr_originate.c, 1.10.12).
"""

from __future__ import annotations

import re

from callctl.records.names import ENTERPRISE

NUMBER_PLACE = "{number}"
"""Where in the dial string for a callback the caller's number goes."""

_PHONE = re.compile(r"[\w.-]+/[^{}]+")
"""An endpoint, and what it is to dial: `user/1001`, `sofia/gateway/trunk/4930123`."""

_CLOSING = {"{": "}", "[": "]"}


def contact_complaint(contact: str) -> str | None:
    """Return what is wrong with a dial string, in words that fit before ", not …"; None if nothing.

    Variables may stand before it, as FreeSWITCH has them: `[leg_timeout=10]user/1001`.
    """
    if not contact.isprintable() or not contact.strip():
        return "must be one line of printable characters"
    if ENTERPRISE in contact:
        return f"must be a dial string without {ENTERPRISE!r}, which would make two calls of one"
    # Variables for all phones stand first, those of one phone before it.
    rest = _without_brackets(contact, "{")
    phones: list[str | None] = (
        [_without_brackets(phone, "[") for phone in phones_of(rest)] if rest else [None]
    )
    if any(phone is not None and "${" in phone for phone in phones):
        return "must be a dial string without ${…}, which FreeSWITCH does not expand there"
    if not all(phone is not None and _PHONE.fullmatch(phone) for phone in phones):
        return "must be a dial string as FreeSWITCH takes it, such as user/1001"
    return None


def can_run_commands(contact: str) -> bool:
    """Say whether a dial string can make FreeSWITCH run something, and not only ring a phone.

    Variables in brackets can (`execute_on_answer`), and so can the endpoint loopback, which takes an
    application (`loopback/app=system:…`) or a dialplan (`loopback/system:…/default/inline`; mod_loopback.c,
    1.10.12).
    """
    return any(bracket in contact for bracket in "[]{}<>") or any(
        phone.strip().lower().startswith("loopback/") for phone in phones_of(contact)
    )


def callback_complaint(dialstring: str) -> str | None:
    """Return what is wrong with the dial string by which callers are called back; None if nothing."""
    if NUMBER_PLACE not in dialstring:
        return f"must hold {NUMBER_PLACE}, where the caller's number goes"
    return contact_complaint(dialstring.replace(NUMBER_PLACE, "1"))


def phones_of(contact: str) -> list[str]:
    """Return the phones that a dial string names; in brackets, commas separate variables."""
    phones, depth = [""], 0
    for character in contact:
        depth += (character in "[{<") - (character in "]}>")
        if depth == 0 and character in ",|":
            phones.append("")
        else:
            phones[-1] += character
    return phones


def _without_brackets(text: str, opening: str) -> str | None:
    """Return `text` without the groups of variables at its beginning; None where one is not closed."""
    text = text.lstrip()
    while text.startswith(opening):
        end = _closing_bracket(text, opening)
        if end is None:
            return None
        text = text[end + 1 :].lstrip()
    return text


def _closing_bracket(text: str, opening: str) -> int | None:
    depth = 0
    for place, character in enumerate(text):
        depth += (character == opening) - (character == _CLOSING[opening])
        if depth == 0:
            return place
    return None
