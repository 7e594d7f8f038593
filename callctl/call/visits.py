"""From one visit to the next: a caller who goes on to another queue, or hangs up to be called back.

Each visit is a call of its own in the history. The place is brought along, on the channel too, so that it
outlives callctl as every place does.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from attrs import evolve, frozen

from callctl.esl.wire import Event
from callctl.model import Arrival

PLACE = "callctl_place"
"""The variable of a caller with a place from an earlier visit: which call has it, since when, through which
queues. It names its call, so what is left of an earlier one means nothing."""


VISIT = "callctl_visit"
"""The variable of a caller who was with us: the call of the last visit, and the agent of its talk, if any.
Unlike `callctl_call` it stays when the visit is over, so that the next one can name it."""


ACCOUNT = "callctl_account"
"""The variable of a caller who waits or talks: whose call it is, percent-encoded. It is unset when callctl
gives the caller back to the dialplan, so somebody has transferred a caller who comes with it for a new visit.
"""


@frozen
class VisitBefore:
    """The visit before one: its call, and the agent who has sent the caller on from a talk, or "".

    `account` is whose call it was, of a caller who was transferred out of it or moves on by a queue's rule;
    "" of one whom the dialplan has sent, which may send callers anywhere.
    """

    call: str = ""
    agent: str = ""
    account: str = ""

    @classmethod
    def of(cls, data: Event) -> VisitBefore:
        """Read what a caller's channel, as in `data`, tells of the last visit."""
        call, _, agent = data.variable(VISIT).partition(" ")
        return cls(call, agent, account_in(data))


def visit_variables(call: str, agent: str = "") -> dict[str, str]:
    """Return what the channel carries of a visit for the one after it."""
    return {VISIT: f"{call} {agent}".strip()}


def account_variables(account: str) -> dict[str, str]:
    """Return what the channel carries while it is with us: whose call it is."""
    return {ACCOUNT: quote(account)}


def account_in(data: Event) -> str:
    """Return whose call a channel, as in `data`, says that it is; "" where it says nothing."""
    return unquote(data.variable(ACCOUNT))


def visit_elsewhere(before: Arrival, queue: str, *, call: str, now: float) -> Arrival:
    """Return the visit to another queue that follows on `before`; `call` is its key."""
    return _visit_after(before, call, now, queue=queue, came_through=(*before.came_through, before.queue))


def visit_for_callback(before: Arrival, *, call: str, now: float) -> Arrival:
    """Return the visit that keeps the place of a caller who hangs up; `call` is its key."""
    return _visit_after(before, call, now, uuid="", callback=True, came_through=())


def _visit_after(before: Arrival, call: str, now: float, **what: Any) -> Arrival:
    since = before.joined_at if before.place_since is None else before.place_since
    return evolve(before, call=call, joined_at=now, place_since=since, resumes=0, **what)


def place_variables(arrival: Arrival) -> dict[str, str]:
    """Return what the channel carries of a place that was brought along; nothing for any other."""
    if arrival.place_since is None:
        return {}
    return {PLACE: f"{arrival.call} {arrival.place_since:.3f} {','.join(map(quote, arrival.came_through))}"}


def with_place(arrival: Arrival, data: Event) -> Arrival:
    """Return `arrival` with the place that its channel, as in `data`, says it has brought along."""
    call, _, rest = data.variable(PLACE).partition(" ")
    since, _, through = rest.partition(" ")
    if call != arrival.call or not since.replace(".", "", 1).isdecimal():
        return arrival
    # A time that lies in the future would be no place at all.
    place_since = min(float(since), arrival.joined_at)
    return evolve(
        arrival,
        place_since=place_since,
        came_through=tuple(unquote(each) for each in through.split(",") if each),
    )
