"""Waiting for what no event tells of, on a machine that may be slow."""

from __future__ import annotations

from collections.abc import Callable

import trio

LONGEST_SECONDS = 120.0
"""Much more than anything here takes."""


async def until(condition: Callable[[], bool], look_seconds: float = 0.01) -> None:
    """Wait until `condition` holds, looking every `look_seconds`."""
    with trio.fail_after(LONGEST_SECONDS):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(look_seconds)
