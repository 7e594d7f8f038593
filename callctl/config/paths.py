"""Where callctl's own files lie: they are all named after the database, and stand beside it."""

from __future__ import annotations

from pathlib import Path


def control_socket(database: Path) -> Path:
    """Return the Unix socket by which commands reach the server of this database: `callctl.sock`."""
    return database.with_suffix(".sock")
