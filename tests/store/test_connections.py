"""What becomes of connections to the database file, where it is not what it should be."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from callctl.errors import StoreError
from callctl.store.connections import open_reader


@pytest.mark.fault(2)
def test_a_reader_that_cannot_read_leaves_no_file_open(path: Path) -> None:
    path.write_bytes(b"nothing like a database" * 1000)
    with pytest.raises(StoreError) as refused:
        open_reader(path)
    # The error still holds the frames in which the connection was opened.
    assert refused.traceback
    assert [each for each in psutil.Process().open_files() if each.path == str(path)] == []
