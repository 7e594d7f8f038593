"""What the API may ask of the server and do to it, and nothing else of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
import trio
from attrs import Factory, field, frozen

from callctl.acd.distributor import Distributor
from callctl.api.event_hub import EventHub
from callctl.api.http_access import HttpAccess
from callctl.api.live_hub import LiveHub
from callctl.errors import StoreError
from callctl.model import CallRecord, Fact, QueueSettings
from callctl.store.journal import Journal
from callctl.store.schema import open_history

log = structlog.get_logger(__name__)

T = TypeVar("T")

WRITTEN_SECONDS = 2.0
"""How long an answer waits for the commit, which takes 20 ms and a disk's time."""

MOST_READERS = 4
"""How many may read the history at once; more would only take the disk from each other and the journal."""


class Act(Protocol):
    """The one way to the distributor: do an action with it, at once, and return its result."""

    def __call__(self, action: Callable[[Distributor, float], T], /) -> T:
        """Do `action(distributor, now)`."""
        ...


class CallControl(Protocol):
    """What may be done to a living call. Each raises UnknownCall, and WrongMoment if it cannot be now."""

    def live(self) -> Sequence[CallRecord]:
        """Return the rows of all calls that are alive, as they stand."""
        ...

    def find(self, uuid: str) -> CallRecord:
        """Return the row of the living call with this key or channel."""
        ...

    def hang_up(self, uuid: str, cause: str) -> None:
        """Hang the caller up, with FreeSWITCH's `cause`."""
        ...

    def withdraw(self, uuid: str) -> None:
        """End the caller's wait; the dialplan goes on with the call."""
        ...

    async def transfer(self, uuid: str, extension: str, dialplan: str, context: str) -> None:
        """Send the caller to an extension of the dialplan, out of the queue or the talk."""
        ...


@frozen(kw_only=True)
class SwitchView:
    """How one switch stands: `events` counts by name, `last_error` is "" where there was none.

    `media_problems` is how many things it lacks of what is to be heard, `media_failures` how often music,
    a greeting, an announcement or a whisper could not be played.
    """

    name: str
    is_ready: bool
    reconnects: int
    events: Mapping[str, int]
    last_error: str
    media_problems: int = 0
    media_failures: Mapping[str, int] = field(factory=dict)


def _stands_in_no_file(*_what: str) -> None:
    """Without a callctl.toml everything can be changed."""


@frozen(kw_only=True)
class House:
    """The server, as far as the API knows it.

    `queues` are those that are configured now. `access` lets in those who come over TCP. `record`
    takes facts for the history, without waiting.
    `put_queue` and `remove_queue` change those of the database. `refuse_queue`, `refuse_agent` and
    `refuse_tier` raise DefinedInFile for what stands in callctl.toml: a change of it would
    be undone at the next reload.
    """

    act: Act
    calls: CallControl
    now: Callable[[], float]
    record: Callable[[Fact], None]
    journal: Journal
    database: Path
    queues: Mapping[str, QueueSettings]
    switches: Callable[[], Iterable[SwitchView]]
    is_serving: Callable[[], bool]
    is_stopping: Callable[[], bool]
    healed_leases: Callable[[], int]
    access: HttpAccess
    put_queue: Callable[[QueueSettings], Awaitable[None]]
    remove_queue: Callable[[str], Awaitable[None]]
    refuse_queue: Callable[[str], None] = _stands_in_no_file
    refuse_agent: Callable[[str], None] = _stands_in_no_file
    refuse_tier: Callable[[str, str], None] = _stands_in_no_file
    events: EventHub = field(
        default=Factory(lambda self: EventHub(self.journal), takes_self=True), init=False, eq=False
    )
    live: LiveHub = field(
        default=Factory(
            lambda self: LiveHub(self.act, self.calls.live, self.switches, self.now), takes_self=True
        ),
        init=False,
        eq=False,
    )
    _readers: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(MOST_READERS), init=False)

    async def written(self) -> None:
        """Return when what was changed stands in the database, or cannot stand there at the moment.

        A change is in force before it is written. While the database takes no rows it is kept beside it,
        and an answer must not wait for a mended disk.
        """
        why = "the database is slow"
        with trio.move_on_after(WRITTEN_SECONDS):
            try:
                await self.journal.flush()
                return
            except StoreError as error:
                why = str(error)
        log.warning("a change is in force, but not in the database yet", why=why)

    async def look_up(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `query` finds in the history, in a thread and on a connection of its own.

        Raises StoreError when the database cannot be read. A cancellation waits for the query's end.
        """
        return await trio.to_thread.run_sync(partial(_look_up, self.database, query), limiter=self._readers)


def _look_up(database: Path, query: Callable[[sqlite3.Connection], T]) -> T:
    with closing(open_history(database)) as connection:
        return query(connection)
