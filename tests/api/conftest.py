"""What the tests of the API share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.house import Visited, open_house


@pytest.fixture
async def visited(tmp_path: Path) -> AsyncIterator[Visited]:
    """A house that is open to visitors."""
    async with open_house(tmp_path / "callctl.db") as house:
        yield house
