"""What FreeSWITCH makes of an originate, so that what `commands` escapes can be held against it.

Written after switch_ivr_originate.c, mod_commands.c and mod_dptools.c of FreeSWITCH 1.10.12.
"""

from __future__ import annotations

from callctl.sim.separate import closing_brace, separate


def originated(text: str) -> tuple[dict[str, str], str, list[tuple[str, str]]]:
    """What originate makes of its text: the variables, the dial string, and the applications."""
    leg, extension, *dialplan = separate(text, " ", 10)
    applications = _applications(extension, dialplan)
    assert ":_:" not in leg
    variables: dict[str, str] = {}
    while leg.startswith("{"):
        end = closing_brace(leg)
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
