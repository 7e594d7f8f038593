"""Every key refuses every kind of value that is not its own, in one line that names it, with exit code 2.

The keys are taken from the records, so a new one is tested from its first day.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

from callctl.cli import main
from callctl.config.convert import key_of
from callctl.config.settings import Address, HttpSettings, LogSettings, ServerSettings, SwitchSettings
from callctl.model import AgentSettings, QueueSettings, Tier

SECTIONS: Mapping[str, type[attrs.AttrsInstance]] = {
    "[server]": ServerSettings,
    "[[freeswitch]]": SwitchSettings,
    "[http]": HttpSettings,
    "[log]": LogSettings,
    "[queue.caller]": QueueSettings,
    "[agent.1001]": AgentSettings,
    "[agent.1001.tiers.caller]": Tier,
}
KEYS_OF_TABLES = {
    "[queue.caller]": {"name"},
    "[agent.1001]": {"name"},
    "[agent.1001.tiers.caller]": {"queue", "agent"},
}

NO_TEXTS = ["5", "true", "[]", "{}"]


def wrong_values(wanted: Any) -> list[str]:
    """Return values, as TOML, that a key of this type must refuse."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return wrong_values(next(each for each in get_args(wanted) if each is not type(None)))
    if wanted is bool:
        return ["'true'", "1", "0.0", "[]"]
    if wanted is int:
        return ["'1'", "true", "1.5", "[]", "-1", "99999999999", "1979-05-27"]
    if wanted is float:
        return ["'1'", "true", "[]", "-1", "-0.1", "inf", "nan", "1e300"]
    if wanted is str:
        return [*NO_TEXTS, '"two\\nlines"', '"a\\u0000"']
    if wanted is Path:
        return [*NO_TEXTS, "''"]
    if wanted is Address:
        return [*NO_TEXTS, "''", "'host'", "'host:70000'", "'::1:80'", "':80'"]
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return [*NO_TEXTS, "''", "'no such thing'"]
    if origin is tuple:
        return [
            "5",
            "'x'",
            "{}",
            *(f"[{value}]" for value in wrong_values(get_args(wanted)[0]) if value != "'x'"),
        ]
    if origin is not None and issubclass(origin, Mapping):
        return ["5", "'x'", "[]", *(f"{{ a = {value} }}" for value in wrong_values(get_args(wanted)[1]))]
    return ["5", "'x'", "[]", "{ no-such-key = 1 }"]


def every_wrong_value() -> Iterator[tuple[str, str, str]]:
    for header, kind in SECTIONS.items():
        hints = get_type_hints(kind)
        for attribute in attrs.fields(kind):
            if attribute.name not in KEYS_OF_TABLES.get(header, ()):
                for value in wrong_values(hints[attribute.name]):
                    yield header, key_of(attribute), value


CASES = list(every_wrong_value())


@pytest.mark.parametrize(("header", "key", "value"), CASES, ids=[" ".join(case) for case in CASES])
def test_a_wrong_value_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, key: str, value: str
) -> None:
    path = tmp_path / "callctl.toml"
    name = 'name = "fs1"\n' if header == "[[freeswitch]]" and key != "name" else ""
    path.write_text(f"{header}\n{name}{key} = {value}\n", "utf-8")
    assert main(["config", "show", "--config", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"callctl: {path}:{2 + name.count(chr(10))}: ")
    assert key in captured.err


@pytest.mark.parametrize("header", SECTIONS)
def test_an_unknown_key_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    path = tmp_path / "callctl.toml"
    path.write_text(f"{header}\nno-such-key = 1\n", "utf-8")
    assert main(["config", "show", "--config", str(path)]) == 2
    assert f"{path}:2: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "key", ["max-callers", "weight", "tier-rules-apply", "strategy", "overflow", "hours"]
)
def test_a_wrong_variable_of_the_environment_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    variable = f"CALLCTL_QUEUE__CALLER__{key.replace('-', '_').upper()}"
    monkeypatch.setenv(variable, "no such thing")
    assert main(["config", "show"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"callctl: {variable}: queue.caller.{key}")
    assert captured.err.count("\n") == 1
