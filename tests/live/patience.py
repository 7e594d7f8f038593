"""Waiting for what another process does: it is asked again and again, until it is so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

PATIENCE_SECONDS = 15.0
"""How long something may take that is certain to come, also on a busy machine."""

POLL_SECONDS = 0.02


async def until(question: Callable[[], bool | Awaitable[bool]], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the answer to `question` is yes. Raises TooSlowError."""
    with trio.fail_after(seconds):
        while not await _answer(question):  # noqa: ASYNC110 - no event of ours tells it
            await trio.sleep(POLL_SECONDS)


async def _answer(question: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = question()
    return answer if isinstance(answer, bool) else await answer
