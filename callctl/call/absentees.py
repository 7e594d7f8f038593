"""Who was with us when callctl ended, and is not back yet: the store's open rows, one by one settled.

A caller who waited comes back by the dialplan, a talk is found on the switch, and whoever is gone has a row
to be ended. Each row is taken by exactly one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import evolve

from callctl.clock import SteadyClock
from callctl.model import (
    OUTCOME_OF_REASON,
    CallEvent,
    CallRecord,
    CallState,
    Fact,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Reason,
)


class Absentees:
    """The open rows of the time before."""

    def __init__(
        self,
        calls: Iterable[CallRecord],
        offers: Iterable[OfferRecord],
        let_go: Iterable[CallRecord] = (),
        *,
        clock: SteadyClock,
        record: Callable[[Fact], None],
    ) -> None:
        """`calls` and `offers` had not ended when the store was last written.

        `let_go` are the last visits of callers who had been given back, and of whom some may not know it.
        """
        self._calls = {call.arrival.call: call for call in calls}
        self._let_go = {call.arrival.uuid: call for call in let_go}
        self._offers = list(offers)
        self._clock = clock
        self._record = record
        self._when_taken: dict[str, Callable[[], object]] = {}

    def find(self, call: str, uuid: str, *, joined_at: float = 0.0) -> CallRecord | None:
        """Return the row of a caller who is back: by its key, or else by the channel, for one who waited.

        Where the channel tells of a visit that began at `joined_at`, rows of earlier ones are not meant.
        """
        if (known := self._calls.get(call)) is not None:
            return known
        waiting = (each for each in self._calls.values() if each.arrival.uuid == uuid and not each.reason)
        return next((each for each in waiting if each.arrival.joined_at >= joined_at), None)

    def reopen(self, uuid: str, *, joined_at: float) -> CallRecord | None:
        """Return the row of a caller who comes as if the wait were not over; it goes on, to its end.

        The caller's channel had not been told when callctl ended, nor of a visit later than `joined_at`.
        """
        over = self._let_go.get(uuid)
        if over is None or over.arrival.joined_at < joined_at:
            return None
        row = evolve(over, state=CallState.WAITING, reason=None, outcome=None, ended_at=None)
        self._calls[row.arrival.call] = row
        del self._let_go[uuid]
        return row

    def put_back(self, record: CallRecord, offers: Iterable[OfferRecord]) -> None:
        """Have the rows of a call whose session has given way wait for another one to take them."""
        self._calls[record.arrival.call] = record
        self._offers += offers

    def has(self, call: str) -> bool:
        """Say whether the row of this call is here."""
        return call in self._calls

    def of_channel(self, uuid: str) -> list[CallRecord]:
        """Return the rows of one caller's channel."""
        return [record for record in self._calls.values() if record.arrival.uuid == uuid]

    def all(self) -> list[CallRecord]:
        """Return the rows of those who are not back."""
        return list(self._calls.values())

    def on(self, switch: str) -> list[CallRecord]:
        """Return the rows of those who were on `switch` and are not back."""
        return [record for record in self._calls.values() if record.arrival.switch == switch]

    def legs_on(self, switch: str) -> list[str]:
        """Return the UUIDs of the legs that the rows of `switch` name: of callers and of agents."""
        records = self.on(switch)
        calls = {record.arrival.call for record in records}
        uuids = [uuid for record in records for uuid in (record.arrival.uuid, record.agent_uuid)]
        return [*filter(None, uuids), *(offer.leg_uuid for offer in self._offers if offer.call in calls)]

    def when_taken(self, call: str, action: Callable[[], object]) -> None:
        """Have `action` called when this row is taken."""
        self._when_taken[call] = action

    def take(self, call: str, talking_leg: str = "") -> CallRecord | None:
        """Take a row out, because the call goes on; nobody rings for it any more, but one may be talking."""
        record = self._calls.pop(call, None)
        self._end_offers({call}, talking_leg)
        action = self._when_taken.pop(call, None)
        if action is not None:
            action()
        return record

    def learn_of_talk(self, call: str, *, agent: str, agent_uuid: str, bridged_at: float) -> None:
        """Take in what the caller's channel says of a talk that had not reached the row."""
        record = self._calls[call]
        if record.bridged_at is None:
            offers = max(1, record.offers)
            self._calls[call] = evolve(
                record, agent=agent, agent_uuid=agent_uuid, bridged_at=bridged_at, offers=offers
            )

    def learn_of_no_bridge(self, call: str, agent_uuid: str) -> None:
        """Take in that the leg of an agent lives, and that no bridge came for it."""
        record = self._calls.get(call)
        if record is not None and record.agent_uuid == agent_uuid:
            self._calls[call] = evolve(
                record, state=CallState.WAITING, agent="", agent_uuid="", answered_at=None
            )

    def end(
        self,
        call: str,
        reason: Reason,
        *,
        by: HungUpBy | None = None,
        cause: str = "",
        target: str = "",
        at: float | None = None,
    ) -> None:
        """End the row of a caller who does not come back, as of now or `at`.

        A talk that was seen to begin keeps its reason. Of a bridge that was only ordered nobody knows whether
        it came about, so such a row ends for the `reason` given, like any other.
        """
        record = self.take(call)
        if record is None:
            return
        now = self._clock.now()
        reason = record.reason or reason
        self._record(
            evolve(
                record,
                state=CallState.ENDED,
                reason=reason,
                outcome=OUTCOME_OF_REASON[reason],
                hung_up_by=by,
                hangup_cause=cause,
                target=target,
                ended_at=now if at is None else at,
            )
        )
        self._record(CallEvent(call=call, at=now, event="closed-after-restart", detail=reason.value))

    def end_offers(self, switch: str) -> None:
        """End the offers of callers on `switch`, and of calls that had ended: whoever rang rings no more."""
        elsewhere = {record.arrival.call for record in self.all() if record.arrival.switch != switch}
        self._end_offers({offer.call for offer in self._offers} - elsewhere)

    def _end_offers(self, calls: set[str], talking_leg: str = "") -> None:
        now = self._clock.now()
        for offer in [offer for offer in self._offers if offer.call in calls]:
            self._offers.remove(offer)
            result = OfferResult.ANSWERED if offer.leg_uuid == talking_leg else OfferResult.UNKNOWN
            self._record(evolve(offer, result=result, ended_at=now, cause="callctl was restarted"))
