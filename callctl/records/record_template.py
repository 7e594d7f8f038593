"""Where a talk is recorded: what a queue's record-template may hold, and the path that it makes.

The path goes to FreeSWITCH as it is: `uuid_record` expands neither `${…}` nor strftime in it. What a caller
or the dialplan chose becomes one safe part of a file's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

PLACEHOLDERS = (
    "account",
    "agent",
    "call",
    "caller_name",
    "caller_number",
    "dialled_number",
    "lead_number",
    "queue",
    "uuid",
)
"""What may stand in braces in a record-template."""

DATES = "aAbBCdeFgGhHIjmMpRsSTuUVwWyYzZ%"
"""What may follow a percent sign: strftime's directives that make no slash and no line break."""

LONGEST_PART = 60
"""How many characters of a value stand in a path, enough for a UUID: a file's name has at most 255 bytes, and
a character takes up to 4."""

NOTHING = "unknown"
"""Stands for a value that is empty, as the number of a caller who withholds it."""

OF_CALLCENTER = {
    "uuid": "{uuid}",
    "destination_number": "{dialled_number}",
    "caller_id_number": "{caller_number}",
    "caller_id_name": "{caller_name}",
    "cc_agent": "{agent}",
    "cc_queue": "{queue}",
}
"""What mod_callcenter's variables of the caller's channel are here."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_EXPANSION = re.compile(r"\$\{([^{}]*)\}")
_STRFTIME = re.compile(r"strftime\(([^()]*)\)")
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)


def record_template_complaint(template: str) -> str | None:
    """Return what is wrong with a record-template, in words that fit before ", not …"; None if nothing."""
    if not template:
        return None
    if not template.isprintable():
        return "must be one line of printable characters"
    names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    if "${" in template:
        return f"must be a path without ${{…}}, which FreeSWITCH does not expand there; there are {names}"
    for name in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS:
            return f"knows no {{{name}}}; there are {names}, and strftime's %Y-%m-%d"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        return "must close each brace that it opens"
    for directive in _DIRECTIVE.findall(template):
        if directive not in DATES or not directive:
            return f"knows no %{directive}; of strftime there are %{', %'.join(DATES)}"
    if not (template.startswith("/") or "://" in template):
        return "must be an absolute path: FreeSWITCH has a folder of its own for others"
    if ".." in template.split("/"):
        return "must not lead out of a folder by .."
    if not re.search(r"[^/]\.\w+$", template):
        return "must end in a file's name with the format behind its dot, such as .wav"
    return None


def recording_path(template: str, values: Mapping[str, str], now: float) -> str:
    """Return the file that `template` names at `now`, in epoch seconds, with the time in UTC.

    `values` are those of all PLACEHOLDERS. In what comes from them only letters, digits, `_`, `+` and `-`
    stay, so that nobody can choose a folder, or a hidden file.
    """
    path = datetime.fromtimestamp(now, UTC).strftime(template)
    return _PLACEHOLDER.sub(lambda found: _safe(values[found[1]]), path)


def _safe(value: str) -> str:
    return re.sub(r"[^\w+-]", "_", value)[:LONGEST_PART] or NOTHING


def from_callcenter(template: str) -> str | None:
    """Return what mod_callcenter's record-template is here; None where it has something that is not.

    `${strftime(%Y-%m-%d)}` is that format alone, the usual variables have placeholders of their own.
    """
    parts, end = [], 0
    for found in _EXPANSION.finditer(template):
        date = _STRFTIME.fullmatch(found[1])
        here = date[1].strip() if date else OF_CALLCENTER.get(found[1])
        if here is None:
            return None
        # Outside of strftime(…) a percent sign is only that.
        parts += [template[end : found.start()].replace("%", "%%"), here]
        end = found.end()
    translated = "".join(parts) + template[end:].replace("%", "%%")
    return None if record_template_complaint(translated) else translated
