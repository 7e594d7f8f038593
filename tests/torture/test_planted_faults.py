"""The simulation is worth something only if it sees what is wrong: faults that are put in are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from attrs import evolve

from callctl.acd.distributor import Distributor
from callctl.call import caller, reception, recovery
from callctl.call import events as ev
from callctl.call.life import CallLife
from callctl.call.reception import Reception
from callctl.call.session import CallSession
from callctl.call.switch import Switch
from callctl.call.way_back import Whereabouts
from callctl.esl.outbound import CallSocket
from callctl.esl.wire import Event
from callctl.model import Arrival, CallRecord, Offer, OfferResult
from tests.torture.test_hours import live_through

Plant = Callable[[pytest.MonkeyPatch], None]


def a_lost_release_of_a_reservation(patch: pytest.MonkeyPatch) -> None:
    """An agent whose phone is busy is not given back."""
    release = Distributor.offer_failed

    def lose(
        self: Distributor, offer_id: str, result: OfferResult, cause: str, now: float, **rest: bool
    ) -> None:
        if result is not OfferResult.BUSY:
            release(self, offer_id, result, cause, now, **rest)

    patch.setattr(Distributor, "offer_failed", lose)


def a_bridge_believed_at_ok(patch: pytest.MonkeyPatch) -> None:
    """The reply of uuid_bridge is taken for the bridge."""
    order = Switch.bridge

    def believe(self: CallSession, offer: Offer, variables: Mapping[str, str]) -> None:
        reply = order(self._switch, self._arrival.uuid, offer.leg_uuid, variables, answer_first=False)
        reply.then(lambda _: self.deliver(ev.Bridged(offer.leg_uuid)))

    patch.setattr(CallSession, "_bridge", believe)


def a_double_release(patch: pytest.MonkeyPatch) -> None:
    """An agent is given back by the end of the talk, and by the last hangup again, during the next call."""
    agent_of: dict[str, str] = {}
    bridged, talk_ended = Distributor.bridged, Distributor.talk_ended

    def remember(self: Distributor, offer_id: str, now: float) -> None:
        if (reservation := self._floor.reservations.get(offer_id)) is not None:
            agent_of[offer_id] = reservation.offer.agent
        bridged(self, offer_id, now)

    def release(self: Distributor, offer_id: str, now: float) -> None:
        is_known = offer_id in self._floor.reservations
        talk_ended(self, offer_id, now)
        agent = self._roster.get(agent_of.get(offer_id, ""))
        if agent is not None and not is_known:
            self._roster.rest(agent, now)

    def free(self: CallLife) -> list[ev.Effect]:
        return [] if self._taken is None else [ev.ReportTalkEnded(self._taken.id)]

    patch.setattr(Distributor, "bridged", remember)
    patch.setattr(Distributor, "talk_ended", release)
    patch.setattr(CallLife, "_free_agent", free)


def a_forgotten_cancel_of_a_ringing_leg(patch: pytest.MonkeyPatch) -> None:
    """Nobody takes a ring back."""
    hang_up = Switch.hang_up

    async def forget(self: Switch, leg_uuid: str, cause: str) -> None:
        if cause != "ORIGINATOR_CANCEL":
            await hang_up(self, leg_uuid, cause)

    patch.setattr(Switch, "hang_up", forget)


def a_place_lost_on_resume(patch: pytest.MonkeyPatch) -> None:
    """Who comes back, or is on the way, is the last in the queue."""
    arrival_of, keep_place = Reception._arrival, Reception.keep_place

    def lose(self: Reception, socket: CallSocket, switch: Switch) -> Arrival:
        arrival = arrival_of(self, socket, switch)
        return evolve(arrival, joined_at=self._desk.clock.now()) if arrival.resumes else arrival

    def forget(self: Reception, record: CallRecord, switch: Switch, found: Event) -> None:
        arrival = evolve(record.arrival, joined_at=self._desk.clock.now())
        keep_place(self, evolve(record, arrival=arrival), switch, found)

    patch.setattr(Reception, "_arrival", lose)
    patch.setattr(Reception, "keep_place", forget)


def an_old_socket_that_ends_as_it_likes(patch: pytest.MonkeyPatch) -> None:
    """The socket of the visit before is closed when that is over, whatever the channel does by then."""

    async def lead_on(older: Sequence[CallSocket], newest: CallSocket) -> None:
        return None

    async def close(self: CallSocket) -> None:
        self.close()

    patch.setattr(reception, "end_older", lead_on)
    patch.setattr(CallSocket, "leave", close)


def a_socket_that_is_left_as_it_was(patch: pytest.MonkeyPatch) -> None:
    """Without the inbound connection socket_resume stays true on a channel that is elsewhere."""

    def leave_it(self: CallSocket, *, resumes: bool) -> None:
        self._was_left = True

    async def close(self: CallSocket) -> None:
        self.close()

    async def leave_stranded(channel: Event, switch: Switch) -> bool:
        return False

    patch.setattr(CallSocket, "_be_left", leave_it)
    patch.setattr(CallSocket, "bow_out", close)
    for module in (reception, caller, recovery):
        patch.setattr(module, "free_if_stranded", leave_stranded)


def a_transfer_into_a_queue_taken_for_a_return(patch: pytest.MonkeyPatch) -> None:
    """Who was sent into another queue is led in the old one."""
    for module in (reception, recovery):
        patch.setattr(module, "begins_anew", lambda *_: False)


def a_caller_believed_to_be_where_the_variables_say(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks where the channel of a caller without a socket is."""
    for module in (caller, recovery):
        patch.setattr(module, "whereabouts", lambda _: Whereabouts.ON_THE_WAY)


def a_callback_that_is_promised_and_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The caller is let go, and nothing remembers why."""
    patch.setattr(CallSession, "_begin_callback", lambda _: None)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (a_lost_release_of_a_reservation, "without a leg"),
        (a_bridge_believed_at_ok, "talked 0 times, and 1 rows say so"),
        (a_double_release, "is Waiting with a reservation"),
        (a_forgotten_cancel_of_a_ringing_leg, "a leg lives without its caller"),
        (a_place_lost_on_resume, "joined at"),
        (a_callback_that_is_promised_and_forgotten, "was to be called back, and there is no such call"),
        (an_old_socket_that_ends_as_it_likes, "rows say so"),
        (a_socket_that_is_left_as_it_was, "a caller is in CS_RESET"),
        (a_transfer_into_a_queue_taken_for_a_return, "a caller who was sent to"),
        (a_caller_believed_to_be_where_the_variables_say, "was pulled back"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant, found: str) -> None:
    plant(monkeypatch)
    assert any(found in violation for violation in _violations())


def _violations() -> Iterator[str]:
    """Yield what is found in five minutes after five minutes: a fault need not show in all of them."""
    for number in range(30):
        yield from live_through(f"planted/{number}", 300.0).violations
