"""What every call needs and none has of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from attrs import frozen

from callctl.call.dispatcher import Dispatcher
from callctl.clock import SteadyClock
from callctl.ids import Ids
from callctl.model import Fact


@frozen(kw_only=True)
class Desk:
    """What every session shares."""

    dispatcher: Dispatcher
    clock: SteadyClock
    ids: Ids
    record: Callable[[Fact], None]
    written: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    """Returns when what was recorded stands on the disk, or cannot stand there for now."""
