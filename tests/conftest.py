"""The options that the tests take beside pytest's own, and what keeps them from every callctl but their own.

A test must not find the configuration, the control socket or the database of a callctl that is in use on this
machine. So the tests run in an empty directory, without the variables that callctl reads, and neither they
nor the processes that they start look for a callctl.toml in /etc.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis.configuration
import pytest

from callctl.config import load

OF_CALLCTL = ("CALLCTL_", "FS_SERVERS", "NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC")
"""What the names of the environment variables begin with that change what callctl does."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--freeswitch",
        metavar="PREFIX",
        default=None,
        help="where a FreeSWITCH is installed, the directory above bin/freeswitch, for tests/live",
    )
    parser.addoption(
        "--kills",
        metavar="NUMBER",
        type=int,
        default=0,
        help="how many times tests/crash kills callctl, and tests/store a writer: 20 are the full measure; "
        "without this option it is a small share of it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep hypothesis's examples where they are, as the tests run elsewhere."""
    hypothesis.configuration.set_hypothesis_home_dir(config.rootpath / ".hypothesis")


@pytest.fixture(scope="session", autouse=True)
def nobody_elses_callctl(pytestconfig: pytest.Config) -> Iterator[None]:
    """Run all tests where no callctl but their own can be found; modules are found as before."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        for name in list(os.environ):
            if name.startswith(OF_CALLCTL):
                patch.delenv(name)
        # In this process only the working directory is searched. Of another process only its environment can
        # be set: a configuration that says nothing, beside which nothing lies.
        patch.setattr(load, "SEARCH", (Path("callctl.toml"),))
        nothing = Path(directory) / "callctl.toml"
        nothing.touch()
        patch.setenv("CALLCTL_CONFIG", str(nothing))
        patch.setenv("PYTHONPATH", str(pytestconfig.rootpath), prepend=os.pathsep)
        patch.chdir(directory)
        yield
