"""The presence of a switch that tests put in place of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen


@frozen
class Presence:
    """A switch that is never gone, and settled when `wait_settled` returns."""

    wait_settled: Callable[[], Awaitable[None]]
    is_gone: bool = False
    silent_seconds: float = 0.0
