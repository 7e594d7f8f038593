"""Runs commands as a shell would: in a directory of their own, with the exit code and both outputs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from callctl.cli import main


@frozen
class Ran:
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as the JSON that it is."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine stand in Berlin: one hour before UTC in winter, two in summer."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `callctl` with these arguments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CALLCTL_CONFIG", raising=False)
    monkeypatch.delenv("FS_SERVERS", raising=False)

    def run_command(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_command
