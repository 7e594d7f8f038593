"""The limit of open files."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from callctl.cli.files import OTHER_FILES, STREAM_FILES, raise_file_limit


class Limits:
    """Stands for what the system keeps of a process."""

    def __init__(self, soft: int, hard: int) -> None:
        self.soft, self.hard = soft, hard

    def getrlimit(self, _which: int) -> tuple[int, int]:
        return self.soft, self.hard

    def setrlimit(self, _which: int, limits: tuple[int, int]) -> None:
        self.soft, self.hard = limits


@pytest.mark.parametrize(
    ("soft", "hard", "expected_soft"),
    [
        pytest.param(1024, 4096, 4096, id="raised to the hard limit"),
        pytest.param(
            1024, resource.RLIM_INFINITY, 2000 + OTHER_FILES + STREAM_FILES, id="without a bound just enough"
        ),
        pytest.param(9000, resource.RLIM_INFINITY, 9000, id="never lowered"),
    ],
)
def test_the_soft_limit_is_raised(
    soft: int, hard: int, expected_soft: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limits.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", limits.setrlimit)
    assert raise_file_limit(2000) == expected_soft - OTHER_FILES
    assert (limits.soft, limits.hard) == (expected_soft, hard)


def test_a_server_raises_its_limit_and_says_when_that_is_too_low(tmp_path: Path) -> None:
    shell = f'ulimit -Sn 300 && ulimit -Hn 800 && exec "{sys.executable}" -m callctl serve'
    anywhere = {"CALLCTL_SERVER__LISTEN": "127.0.0.1:0", "CALLCTL_HTTP__LISTEN": "127.0.0.1:0"}
    with subprocess.Popen(
        ["sh", "-c", shell], cwd=tmp_path, stderr=subprocess.PIPE, env=os.environ | anywhere
    ) as process:
        assert process.stderr is not None, "it was asked for"
        try:
            line = json.loads(process.stderr.readline())
            assert (line["calls"], line["max_calls"]) == (300, 2000)
            assert "LimitNOFILE" in line["event"]
            assert psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE) == (800, 800)
        finally:
            process.kill()
