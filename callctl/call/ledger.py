"""What is written down about a call: its row, the rows of its offers, and the lines of its timeline.

Each method changes the row and returns the order to write it, so that the row in memory and the one in
the store never part.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from callctl.call.events import Effect, Write
from callctl.model import Arrival, CallEvent, CallRecord, Offer, OfferRecord, OfferResult


class Ledger:
    """The rows of one call."""

    def __init__(self, record: CallRecord) -> None:
        self._record = record
        self._offers: dict[str, OfferRecord] = {}

    @property
    def record(self) -> CallRecord:
        """The call's row as it stands."""
        return self._record

    @property
    def arrival(self) -> Arrival:
        """Whose call it is."""
        return self._record.arrival

    @property
    def open_offers(self) -> list[OfferRecord]:
        """The rows of those who ring."""
        return [offer for offer in self._offers.values() if offer.ended_at is None]

    def change(self, **what: Any) -> Effect:
        """Change the call's row; `what` are fields of CallRecord."""
        self._record = evolve(self._record, **what)
        return Write(self._record)

    def note(self, now: float, event: str, detail: str = "") -> Effect:
        """Add a line to the timeline."""
        return Write(CallEvent(call=self.arrival.call, at=now, event=event, detail=detail))

    def open_offer(self, offer: Offer) -> Effect:
        """An agent begins to ring."""
        self._offers[offer.id] = OfferRecord(
            id=offer.id,
            call=offer.call,
            agent=offer.agent,
            leg_uuid=offer.leg_uuid,
            offered_at=offer.offered_at,
        )
        return Write(self._offers[offer.id])

    def close_offer(self, offer_id: str, result: OfferResult, cause: str, now: float) -> Effect:
        """An agent rings no more. A bridge that fails changes the result of an answered one."""
        before = self._offers[offer_id]
        answered_at = now if result is OfferResult.ANSWERED else before.answered_at
        self._offers[offer_id] = evolve(
            before, result=result, cause=cause, answered_at=answered_at, ended_at=now
        )
        return Write(self._offers[offer_id])
