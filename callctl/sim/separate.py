"""How FreeSWITCH takes the text of a command apart: switch_separate_string, with its quotes and escapes.

Written after switch_utils.c and switch_event.c of FreeSWITCH 1.10.12.
"""

from __future__ import annotations

_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "s": " "}
_SPECIAL = frozenset("\\'")


def separate(text: str, delimiter: str, limit: int = 1024) -> list[str]:
    """switch_separate_string: the parts of `text`, at most `limit`, without quotes and escapes."""
    if text.startswith("^^") and len(text) > 3:
        delimiter, text = text[2], text[3:]
    if delimiter != " " and text and not _SPECIAL & set(text):
        # Nearly every text is as plain as this, and a simulated hour has tens of thousands.
        return _split_plain(text, delimiter, limit)
    parts: list[str] = []
    place = 0
    while place < len(text) and len(parts) < limit:
        start, quoted = place, False
        # The last part that there is room for takes all the rest.
        end = len(text) if len(parts) == limit - 1 else None
        while end is None and place < len(text):
            if text[place] == "\\":
                place += 1
            elif text[place] == "'" and (delimiter == " " or quoted or "'" in text[place + 1 :]):
                quoted = not quoted
            elif text[place] == delimiter and not quoted:
                end = place
            place += 1
        end = len(text) if end is None else end
        if limit == len(parts) + 1:
            place = len(text)
        parts.append(_cleaned(text[start:end], "" if delimiter == " " else delimiter))
        while delimiter == " " and text[place : place + 1] == " ":
            place += 1
    return parts


def _split_plain(text: str, delimiter: str, limit: int) -> list[str]:
    """What `separate` returns for a text without quotes and escapes."""
    parts = text.split(delimiter, limit - 1)
    if not parts[-1]:
        parts.pop()
    return [part.strip(" ") for part in parts]


def _cleaned(part: str, delimiter: str) -> str:
    """cleanup_separated_string."""
    part = part.lstrip(" ")
    out, end, quoted, place = "", 0, False, 0
    while place < len(part):
        char, after = part[place], part[place + 1 : place + 2]
        if char == "\\" and after and (after in "'\"\\" or after == delimiter or after in _UNESCAPED):
            out += _UNESCAPED.get(after, after)
            end = len(out)
            place += 1
        elif char == "'" and (quoted or "'" in part[place + 1 :]):
            quoted = not quoted
            if quoted:
                end = len(out)
        else:
            out += char
            if char != " " or quoted:
                end = len(out)
        place += 1
    return out[:end] if end else out


def closing_brace(text: str) -> int:
    """switch_find_end_paren: where the brace that opens `text` is closed; raises ValueError if nowhere."""
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return place
    raise ValueError(f"no closing brace: {text}")
