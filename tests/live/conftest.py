"""One FreeSWITCH for all tests in this directory, and a fresh call centre for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

pytest.register_assert_rewrite("tests.live.centre")

from tests.live.centre import CallCentre, open_centre  # noqa: E402 - pytest must know of it before
from tests.live.freeswitch import FreeSwitch, UnusableFreeSwitch  # noqa: E402


@pytest.fixture(scope="session")
def freeswitch(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FreeSwitch]:
    """A running FreeSWITCH with the tests' configuration."""
    prefix = request.config.getoption("--freeswitch")
    if prefix is None:
        pytest.skip("needs a FreeSWITCH: pytest tests/live --freeswitch PREFIX")
    try:
        switch = FreeSwitch(Path(prefix).absolute(), tmp_path_factory.mktemp("freeswitch"))
    except UnusableFreeSwitch as unusable:
        pytest.fail(f"--freeswitch {prefix}: {unusable}")
    switch.start()
    try:
        trio.run(switch.wait_ready)
        yield switch
    finally:
        switch.stop()


@pytest.fixture
async def centre(freeswitch: FreeSwitch, tmp_path: Path) -> AsyncIterator[CallCentre]:
    """A call centre whose callctl has started; when the test is over, every call must be, too."""
    async with open_centre(freeswitch, tmp_path) as centre:
        await centre.start()
        yield centre
        await centre.check_all_is_over()
