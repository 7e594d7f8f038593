"""Where callctl's own files lie: they are all named after the database, and stand beside it."""

from __future__ import annotations

import os
from pathlib import Path


def control_socket(database: Path) -> Path:
    """Return the Unix socket by which commands reach the server of this database: `callctl.sock`."""
    # Through symbolic links, as the lock and all other files beside the database.
    return Path(os.path.realpath(database)).with_suffix(".sock")


def session_key(database: Path) -> Path:
    """Return the file with the key that the cookies of logins are signed with: `callctl.session-key`."""
    return database.with_suffix(".session-key")
