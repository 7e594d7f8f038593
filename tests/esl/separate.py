"""How FreeSWITCH takes the text of a command apart: switch_separate_string and what originate does with it.

Written after switch_utils.c, switch_event.c and switch_ivr_originate.c of FreeSWITCH 1.10.12, so that what
`commands` escapes can be held against what FreeSWITCH reads.
"""

from __future__ import annotations

_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "s": " "}


def separate(text: str, delimiter: str, limit: int = 1024) -> list[str]:
    """switch_separate_string: the parts of `text`, at most `limit`, without quotes and escapes."""
    if text.startswith("^^") and len(text) > 3:
        delimiter, text = text[2], text[3:]
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


def originated(text: str) -> tuple[dict[str, str], str, list[tuple[str, str]]]:
    """What originate makes of its text: the variables, the dial string, and the applications."""
    leg, extension, *dialplan = separate(text, " ", 10)
    applications = _applications(extension, dialplan)
    assert ":_:" not in leg
    variables: dict[str, str] = {}
    while leg.startswith("{"):
        end = _closing(leg)
        for pair in separate(leg[1:end], ","):
            parts = separate(pair, "=", 2)
            if len(parts) == 2:
                variables.setdefault(parts[0], parts[1])
        leg = leg[end + 1 :]
    return variables, leg.lstrip(" "), applications


def _applications(extension: str, dialplan: list[str]) -> list[tuple[str, str]]:
    """originate_function of mod_commands.c, and inline_dialplan_hunt of mod_dptools.c."""
    if not dialplan:
        assert extension.startswith("&")
        name, _, argument = extension[1:].partition(")")[0].partition("(")
        return [(name, argument)]
    assert dialplan == ["inline"]
    assert extension.startswith("m:")
    assert extension[3] == ":"
    found = (part.partition(":") for part in separate(extension[4:], extension[2], 128))
    return [(name, argument) for name, _, argument in found]


def _closing(text: str) -> int:
    """switch_find_end_paren."""
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return place
    raise AssertionError(f"no closing brace: {text}")
