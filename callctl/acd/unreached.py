"""Offers that reached no phone: whether the agent or the caller waits before the next one. Pure.

A dead phone fails for every caller. A caller whose own data breaks the leg fails with every agent. One
failure does not say which of the two it was, so the agent waits first, and more failures tell:

- A caller who fails with several agents in a row steps back, and so does one who fails with an agent who has
  reached a phone since the last time. What such a caller did to agents is taken back.
  An agent who comes free meanwhile, and with whom it has not failed, takes it if nobody else waits.
- A caller for whom a phone is reached is not the reason: the agents with whom it failed before are. From then
  on their failures count against no caller, until a phone of theirs is reached.

With an agent of whom it failed to reach a phone a caller comes last (`comes_last`): another one shows sooner
whether that phone is there.
"""

from __future__ import annotations

from collections.abc import Iterable

from callctl.acd.agent import Agent
from callctl.acd.delays import back_off_seconds
from callctl.acd.member import Member, Tries
from callctl.acd.needs import Needs, misfit

SEVERAL = 3
"""With so many agents in a row it is the caller, or with two where nobody else is free. Two dead phones are
common, where agents have shut their computers down; three at once, before any of them is known, are rare."""

FEWEST = 2

_CERTAIN = ""
"""In place of a call: a failure that was certainly the agent's."""


def is_callers_fault(agent: Agent, member: Member, now: float, *, is_tried_on: bool) -> bool:
    """Take note that no phone of `agent` was reached for `member`; return whether the caller is the reason.

    `is_tried_on` says that somebody else rings for this caller, or is free to.
    """
    tries, name = member.tries, agent.name
    failed_before_at = tries.unreached.get(name)
    tries.unreached[name] = now
    if _CERTAIN in agent.unreached:
        return False
    has_worked_since = (
        name in tries.suspicious and failed_before_at is not None and agent.reached_at >= failed_before_at
    )
    tries.suspicious.add(name)
    enough = SEVERAL if is_tried_on else FEWEST
    return tries.step_backs > 0 or has_worked_since or len(tries.suspicious) >= enough


def charge(agent: Agent, call: str) -> float:
    """Hold it against the agent that an offer of this call reached no phone; return for how many seconds."""
    agent.unreached[call] = agent.unreached.get(call, 0) + 1
    return back_off_seconds(sum(agent.unreached.values()))


def step_back(member: Member, agents: Iterable[Agent], now: float) -> list[Agent]:
    """Let this caller be offered to nobody for a while; return those of `agents` against whom it had counted.

    Nothing is held against them for it any more.
    """
    tries = member.tries
    tries.step_backs += 1
    tries.not_before = tries.steps_back_until = now + back_off_seconds(tries.step_backs)
    return [agent for agent in agents if agent.unreached.pop(member.call, 0)]


def come_forward(member: Member, needs: Needs, freed: Iterable[str]) -> bool:
    """Let a caller who steps back be offered to these agents who came free; return whether to any."""
    tries = member.tries
    seats = [seat for name in freed if (seat := member.queue.seats.get(name)) is not None]
    if not any(seat.name not in tries.unreached and not misfit(seat.kind, needs) for seat in seats):
        return False
    tries.not_before = 0.0
    return True


def go_back(member: Member) -> None:
    """Let a caller who came forward step back again: what it was offered is another matter."""
    member.tries.not_before = member.tries.steps_back_until


def may_be_tried(member: Member, name: str, now: float) -> bool:
    """Return whether the agent `name` may be rung for this caller: not where it failed, if it steps back."""
    return member.tries.steps_back_until <= now or name not in member.tries.unreached


def note_reached(agent: Agent, now: float) -> None:
    """The agent's phone is there."""
    agent.unreached.clear()
    agent.reached_at = now


def exonerate(member: Member, agents: Iterable[Agent]) -> list[Agent]:
    """A phone was reached for this caller: what failed before was certainly the agents' fault.

    Returns those of `agents` of whom that is so.
    """
    tries = member.tries
    at_fault = [
        agent
        for agent in agents
        if agent.name in tries.suspicious and agent.reached_at < tries.unreached[agent.name]
    ]
    for agent in at_fault:
        agent.unreached[_CERTAIN] = agent.unreached.pop(member.call, 1)
    tries.unreached.clear()
    tries.suspicious.clear()
    _end_step_back(tries)
    return at_fault


def clear_of(member: Member, agents: Iterable[Agent]) -> bool:
    """Hold nothing against a caller for `agents`, who are at fault; return whether it steps forward again."""
    tries = member.tries
    tries.suspicious.difference_update(agent.name for agent in agents)
    if tries.step_backs and len(tries.suspicious) < FEWEST:
        _end_step_back(tries)
        return True
    return False


def _end_step_back(tries: Tries) -> None:
    tries.step_backs = 0
    tries.not_before = tries.steps_back_until = 0.0


def comes_last(member: Member, agent: Agent) -> bool:
    """Return whether others are to be offered to `agent` before this caller is."""
    failed_at = member.tries.unreached.get(agent.name)
    return failed_at is not None and agent.reached_at < failed_at
