"""Whether a file that is read again while the server runs can be what its author wanted.

A reload comes when somebody says so, and an editor may just be writing, or the disk have become full. What is
empty, or still being written, is refused. What has lost so much that it looks cut off is doubted, and taken
when it is asked for again: a reload must neither close 300 queues by mistake nor keep anybody from closing
them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from callctl.config.settings import Config
from callctl.errors import ConfigError

FEW = 1
"""So many queues may go without a question, whatever their share: a site of two closes one of them."""


def refuse_empty(path: Path, text: str) -> None:
    """Raise ConfigError for a text that says nothing; at a start it would mean the built-in defaults."""
    try:
        says_something = bool(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return  # It says something wrong, and is refused for that.
    if not says_something:
        raise ConfigError(f"{path}: is empty; only a start takes the built-in defaults")


def doubt(before: Config, after: Config, text: str) -> str | None:
    """Return why `after`, which is read from `text`, may not be meant to replace `before`; None if it may.

    A file that was cut off ends in the middle of a line; or at the end of one, and has lost most of what it
    had.
    """
    closed = before.queues.keys() - after.queues.keys()
    if len(closed) > FEW and len(closed) * 2 > len(before.queues):
        return f"it would close {len(closed)} of {len(before.queues)} queues"
    lost = before.origins.keys() - after.origins.keys()
    if lost and not text.endswith("\n"):
        return "its last line has no end, as of a file that was cut off, and it has lost settings"
    return None
