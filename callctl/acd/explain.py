"""Says in words why a caller was offered to these agents and not to each of the others.

In a queue of up to NAMED_AT_MOST agents every one is named with its reason. Where there are more, those
eligible who come next are named, and all others are one entry that counts them by reason: what is said
and written for each offer does not grow with the agents.
"""

from __future__ import annotations

from collections import Counter

from callctl.acd.agent import Seat
from callctl.acd.choose import NAMED_AT_MOST, Choice
from callctl.acd.needs import misfit
from callctl.acd.strategy import FIRST_BECAUSE
from callctl.model import Decision, PassedOver

PREFERRED_BECAUSE = "is preferred, having talked to this caller last"
MISSED_BECAUSE = "has just missed this caller, and others of its level are free"


def decision(choice: Choice, decision_id: str, now: float) -> Decision:
    """Return the record of what was decided at `now`."""
    queue = choice.member.queue
    return Decision(
        id=decision_id,
        at=now,
        call=choice.member.call,
        queue=queue.name,
        strategy=queue.settings.strategy,
        chosen=tuple(seat.name for seat in choice.chosen),
        order=tuple(seat.name for seat in choice.order[: choice.named]),
        passed_over=_each(choice, now) if len(queue.seats) <= NAMED_AT_MOST else _most_counted(choice, now),
    )


def _each(choice: Choice, now: float) -> tuple[PassedOver, ...]:
    queue = choice.member.queue
    behind = {passed.agent: passed for passed in _behind(choice)}
    chosen = {seat.name for seat in choice.chosen}
    passed_over = []
    for seat in queue.in_place:
        passed = seat.agent.refusal(now) or behind.get(seat.name)
        if passed is not None:
            passed_over.append(passed)
        elif seat.name not in chosen:
            why = misfit(seat.kind, choice.needs) or _why_offered_to_nobody(choice, now)
            passed_over.append(PassedOver(agent=seat.name, why=why))
    return tuple(passed_over)


def _most_counted(choice: Choice, now: float) -> tuple[PassedOver, ...]:
    queue, needs = choice.member.queue, choice.needs
    eligible = sum(map(len, queue.free.fitting(needs)))
    named = [*_behind(choice)]
    counts: Counter[str] = queue.occupied + queue.free.misfits(needs)
    if choice.order:
        counts["eligible too, but behind those named"] += eligible - len(choice.chosen) - len(named)
    else:
        counts[_why_offered_to_nobody(choice, now)] += eligible
    others = ", ".join(f"{why} ({count})" for why, count in counts.most_common() if count)
    if others:
        total = sum(counts.values())
        named.append(PassedOver(agent=f"{total} other{'s' if total > 1 else ''}", why=others))
    return tuple(named)


def _behind(choice: Choice) -> list[PassedOver]:
    """Return why those who are eligible as well come behind the first, in their order."""
    if not choice.order:
        return []
    return [
        PassedOver(agent=seat.name, why=_why_behind(choice, choice.order[0], seat))
        for seat in choice.order[len(choice.chosen) : choice.named]
    ]


def _why_behind(choice: Choice, first: Seat, seat: Seat) -> str:
    settings, preferred = choice.member.queue.settings, choice.member.arrival.preferred_agent
    missed = choice.member.tries.missed
    if first.name == preferred and first.name not in missed:
        return f"{first.name} {PREFERRED_BECAUSE}"
    if first.level < seat.level:
        return f"{first.name} is on a lower level"
    if seat.name in missed:
        if first.name in missed:
            return f"{first.name} missed this caller longer ago"
        return MISSED_BECAUSE
    return f"{first.name} {FIRST_BECAUSE[settings.strategy]}"


def _why_offered_to_nobody(choice: Choice, now: float) -> str:
    tries = choice.member.tries
    if choice.member.is_out_of_reach:
        return f"the caller's switch {choice.needs.switch} is not connected"
    if tries.not_before > now:
        return f"this caller steps back for {tries.not_before - now:.0f} s: no phone was reached for it"
    return "this caller is being offered to somebody, or to be offered later"
