"""How everything stands, for wallboards: looked at once a second, and told to all who watch.

What changed is encoded once per account, and handed to the clients in groups that are spread over the second:
sent to five hundred at once it would keep every call waiting for 165 ms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

import msgspec
import trio
from attrs import define, field

from callctl.acd.distributor import Distributor
from callctl.acd.views import AgentView, MemberView, QueueView
from callctl.api.streaming import message
from callctl.clock import iso_utc
from callctl.model import (
    EVERY_ACCOUNT,
    AgentState,
    AgentStatus,
    CallRecord,
    CallState,
    MemberState,
)

EVERY_SECONDS = 1.0
GROUP = 8
"""So many clients are served one after the other; each costs about 0.15 ms."""

PAUSE_SECONDS = EVERY_SECONDS * GROUP / 1000
"""The pause after each group of newcomers: a thousand of them have their snapshot within a second."""

AT_ONCE = 200
"""So many agents or calls are looked at before others have their turn: about a millisecond."""

MOST_MEMBERS = 100
"""Of each queue the callers who are next are shown, at most so many; how many wait stands with the queue."""

MOST_BEHIND = 10
"""How many pieces may wait for a client: ten seconds of changes."""

T = TypeVar("T")
Item = TypeVar("Item")


class LiveQueue(msgspec.Struct):
    """A queue: `oldest_joined_at` is since when the caller waits who has waited for longest."""

    name: str
    account: str
    waiting: int
    trying: int
    callbacks: int
    oldest_joined_at: str | None
    expected_wait_seconds: int | None
    agents: Mapping[AgentState, int]
    present: int
    free: int
    is_open: bool


class LiveAgent(msgspec.Struct):
    """An agent, in this status and state since `since`."""

    name: str
    display_name: str
    account: str
    status: AgentStatus
    state: AgentState
    reason: str
    since: str
    status_until: str | None
    wrap_up_until: str | None
    call: str
    queues: Sequence[str]


class LiveMember(msgspec.Struct):
    """A waiting caller's place."""

    call: str
    uuid: str
    account: str
    queue: str
    caller_number: str
    caller_name: str
    state: MemberState
    position: int
    base_score: float
    joined_at: str
    offered_to: Sequence[str]


class LiveCall(msgspec.Struct):
    """A call that waits or talks."""

    call: str
    uuid: str
    account: str
    queue: str
    switch: str
    caller_number: str
    caller_name: str
    state: CallState
    agent: str
    joined_at: str
    bridged_at: str | None


class LiveSwitch(msgspec.Struct):
    """A switch, and whether it takes orders."""

    name: str
    account: str
    is_ready: bool


class Picture(msgspec.Struct, omit_defaults=True):
    """How things stand, each by its name or key. In a change null means that it is not there any more."""

    at: str
    queues: Mapping[str, LiveQueue | None] = {}
    agents: Mapping[str, LiveAgent | None] = {}
    members: Mapping[str, LiveMember | None] = {}
    calls: Mapping[str, LiveCall | None] = {}
    switches: Mapping[str, LiveSwitch | None] = {}


KINDS = ("queues", "agents", "members", "calls", "switches")

Things = dict[str, dict[str, Any]]
"""Records by kind, and by name or key."""


class Act(Protocol):
    """The way to the distributor."""

    def __call__(self, action: Callable[[Distributor, float], T], /) -> T:
        """Do `action(distributor, now)`."""
        ...


class Switch(Protocol):
    """What is shown of a switch."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it takes orders."""
        ...


@define(eq=False)
class Watcher:
    """One client: what is still to be sent to it, and whether it has fallen too far behind."""

    account: str
    pieces: deque[bytes] = field(factory=deque)
    is_behind: bool = False
    more: trio.Event = field(factory=trio.Event)

    def take(self, piece: bytes) -> None:
        """Let a piece wait to be sent."""
        if len(self.pieces) >= MOST_BEHIND:
            self.is_behind = True
        else:
            self.pieces.append(piece)
        self.more.set()

    async def wait(self) -> None:
        """Return as soon as something waits to be sent."""
        while not self.pieces and not self.is_behind:
            self.more = trio.Event()
            await self.more.wait()


class LiveHub:
    """The look at everything, once for all who watch. Nothing is looked at while nobody does."""

    def __init__(
        self,
        act: Act,
        calls: Callable[[], Sequence[CallRecord]],
        switches: Callable[[], Iterable[Switch]],
        now: Callable[[], float],
    ) -> None:
        self._act, self._calls, self._switches, self._now = act, calls, switches, now
        self._known: Things = {kind: {} for kind in KINDS}
        self._records: dict[str, tuple[CallRecord, LiveCall]] = {}
        """What was made of each call's row: the row is another one as soon as anything of it changes."""
        self._at = ""
        self._watchers: dict[Watcher, None] = {}
        self._newcomers: dict[Watcher, None] = {}
        self._wanted = trio.Event()

    def add(self, account: str) -> Watcher:
        """Let a client watch, who gets a snapshot first. To be ended by `remove`."""
        watcher = Watcher(account)
        self._newcomers[watcher] = None
        self._wanted.set()
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """This client is gone."""
        self._watchers.pop(watcher, None)
        self._newcomers.pop(watcher, None)

    async def run(self) -> None:
        """Look and tell, once a second, until cancelled."""
        while True:
            if not self._watchers and not self._newcomers:
                self._wanted = trio.Event()
                await self._wanted.wait()
            began = trio.current_time()
            before, self._known = self._known, await self._look()
            self._at = iso_utc(self._now())
            pieces = self._pieces(changes(before, self._known), "change")
            snapshots: dict[str, bytes] = {}
            told = [*self._watchers]
            newcomers, self._newcomers = [*self._newcomers], {}
            for newcomer in newcomers:
                self._watchers[newcomer] = None
                if newcomer.account not in snapshots:
                    snapshots |= self._pieces(self._known, "snapshot", (newcomer.account,))
                    await trio.lowlevel.checkpoint()
            await self._hand_out(told, pieces, newcomers, snapshots, began)
            with trio.move_on_at(began + EVERY_SECONDS):
                await self._welcome(snapshots)

    async def _welcome(self, snapshots: dict[str, bytes]) -> None:
        """Give those who come until the next look the last one, until cancelled."""
        while True:
            if not self._newcomers:
                self._wanted = trio.Event()
                await self._wanted.wait()
            for newcomer in [*islice(self._newcomers, GROUP)]:
                del self._newcomers[newcomer]
                self._watchers[newcomer] = None
                if newcomer.account not in snapshots:
                    snapshots |= self._pieces(self._known, "snapshot", (newcomer.account,))
                newcomer.take(snapshots[newcomer.account])
            await trio.sleep(PAUSE_SECONDS)

    async def _hand_out(
        self,
        told: Sequence[Watcher],
        pieces: Mapping[str, bytes],
        newcomers: Sequence[Watcher],
        snapshots: Mapping[str, bytes],
        began: float,
    ) -> None:
        """Give each client its piece, group by group, until the second is nearly over."""
        due = [(each, snapshots[each.account]) for each in newcomers]
        due += [(each, pieces[each.account]) for each in told if each.account in pieces]
        groups = [due[start : start + GROUP] for start in range(0, len(due), GROUP)]
        until = began + 0.9 * EVERY_SECONDS
        for left in range(len(groups), 0, -1):
            for watcher, piece in groups[-left]:
                watcher.take(piece)
            if left > 1:
                await trio.sleep(max(0.0, (until - trio.current_time()) / left))

    def _pieces(
        self, things: Mapping[str, Mapping[str, Any]], name: str, accounts: Iterable[str] = ()
    ) -> dict[str, bytes]:
        """Return what the clients of each account are sent; nothing for one without a change."""
        wanted = set(accounts) or {watcher.account for watcher in self._watchers}
        sent: dict[str, bytes] = {}
        for account in wanted:
            seen = {kind: _seen_by(account, by_key) for kind, by_key in things.items()}
            if account != EVERY_ACCOUNT:
                agents = seen["agents"].items()
                seen["agents"] = {name: self._without_others(account, agent) for name, agent in agents}
            if name == "snapshot" or any(seen.values()):
                sent[account] = message(name, msgspec.json.encode(Picture(at=self._at, **seen)))
        return sent

    def _without_others(self, account: str, agent: LiveAgent | None) -> LiveAgent | None:
        """Return an agent without the queues that it shares with other accounts, and without their calls."""
        if agent is None:
            return None
        queues, call = self._known["queues"], self._known["calls"].get(agent.call)
        own = tuple(name for name in agent.queues if name in queues and queues[name].account == account)
        return msgspec.structs.replace(
            agent, queues=own, call=agent.call if call is not None and call.account == account else ""
        )

    async def _look(self) -> Things:
        found: Things = {
            "queues": {each.name: _queue(each) for each in self._act(lambda d, now: d.queues(now))}
        }
        await trio.lowlevel.checkpoint()
        members = self._act(lambda d, now: d.first_members(MOST_MEMBERS, now))
        found["members"] = await _in_parts(members, lambda each: (each.call, _member(each)))
        agents = self._act(lambda d, now: d.agents(now))
        found["agents"] = await _in_parts(agents, lambda each: (each.name, _agent(each)))
        found["calls"] = await _in_parts(self._calls(), self._call)
        self._records = {key: self._records[key] for key in found["calls"]}
        found["switches"] = {
            each.name: LiveSwitch(each.name, EVERY_ACCOUNT, each.is_ready) for each in self._switches()
        }
        return found

    def _call(self, record: CallRecord) -> tuple[str, LiveCall]:
        key = record.arrival.call
        kept = self._records.get(key)
        if kept is None or kept[0] is not record:
            kept = self._records[key] = record, _live_call(record)
        return key, kept[1]


def changes(before: Things, now: Things) -> dict[str, dict[str, Any]]:
    """Return what of `now` is other than before; of what is gone the account alone."""
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        old, new = before[kind], now[kind]
        found[kind] = {key: each for key, each in new.items() if old.get(key) != each}
        for key, each in old.items():
            if key not in new:
                found[kind][key] = _Gone(each.account)
            elif new[key].account != each.account:
                # The one account is told that it is gone, the other that it is there.
                found[kind][key] = _Moved(each.account, new[key])
    return found


@define
class _Gone:
    account: str


@define
class _Moved:
    from_account: str
    record: Any


def _seen_by(account: str, by_key: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an account sees of these things; what is gone is None."""
    seen: dict[str, Any] = {}
    for key, each in by_key.items():
        record = each.record if isinstance(each, _Moved) else each
        if account in (EVERY_ACCOUNT, record.account):
            seen[key] = None if isinstance(record, _Gone) else record
        elif isinstance(each, _Moved) and each.from_account == account:
            seen[key] = None
    return seen


async def _in_parts(items: Iterable[Item], make: Callable[[Item], tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    left = iter(items)
    while part := list(islice(left, AT_ONCE)):
        made.update(map(make, part))
        await trio.lowlevel.checkpoint()
    return made


def _queue(queue: QueueView) -> LiveQueue:
    expected = queue.expected_wait_seconds
    return LiveQueue(
        name=queue.name,
        account=queue.account,
        waiting=queue.waiting,
        trying=queue.trying,
        callbacks=queue.callbacks,
        oldest_joined_at=_time(queue.oldest_joined_at),
        expected_wait_seconds=None if expected is None else round(expected),
        agents=queue.agents,
        present=queue.present,
        free=queue.free,
        is_open=queue.is_open,
    )


def _agent(agent: AgentView) -> LiveAgent:
    return LiveAgent(
        name=agent.name,
        display_name=agent.settings.display_name,
        account=agent.settings.account,
        status=agent.status,
        state=agent.state,
        reason=agent.reason,
        since=iso_utc(agent.since),
        status_until=_time(agent.status_until),
        wrap_up_until=_time(agent.wrap_up_until),
        call=agent.call,
        queues=tuple(agent.tiers),
    )


def _member(member: MemberView) -> LiveMember:
    arrival = member.arrival
    return LiveMember(
        call=member.call,
        uuid=arrival.uuid,
        account=arrival.account,
        queue=member.queue,
        caller_number=arrival.caller_number,
        caller_name=arrival.caller_name,
        state=member.state,
        position=member.position,
        base_score=member.base_score,
        joined_at=iso_utc(arrival.joined_at),
        offered_to=member.agents,
    )


def _live_call(record: CallRecord) -> LiveCall:
    arrival = record.arrival
    return LiveCall(
        call=arrival.call,
        uuid=arrival.uuid,
        account=arrival.account,
        queue=arrival.queue,
        switch=arrival.switch,
        caller_number=arrival.caller_number,
        caller_name=arrival.caller_name,
        state=record.state,
        agent=record.agent,
        joined_at=iso_utc(arrival.joined_at),
        bridged_at=_time(record.bridged_at),
    )


def _time(at: float | None) -> str | None:
    return None if at is None else iso_utc(at)
