"""What all tests of the store have in common: a place for a database."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a database may be made; nothing is there yet."""
    return tmp_path / "callctl.db"
