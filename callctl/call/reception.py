"""Where calls come in: each socket is led to its session, and each session is kept from harming another.

A caller who comes back is led to the session that still waits for it, or, after a restart, to a new one
that goes on from the stored row and the variables on the channel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog
import trio
from attrs import evolve

from callctl.call import events as ev
from callctl.call.absentees import Absentees
from callctl.call.channel_sockets import ChannelSockets, end_older
from callctl.call.claims import Claims
from callctl.call.desk import Desk
from callctl.call.session import CallSession
from callctl.call.switch import Switch
from callctl.call.variables import (
    arrival_from,
    begins_anew,
    bridged_with,
    entered_at,
    refusal_variables,
    told_at,
)
from callctl.call.visits import VisitBefore
from callctl.call.way_back import channel_data, free_if_stranded, go_on
from callctl.errors import EslError
from callctl.esl.outbound import CallSocket
from callctl.esl.wire import Event
from callctl.model import (
    OUTCOME_OF_REASON,
    Arrival,
    CallRecord,
    CallState,
    Offer,
    QueueSettings,
    Reason,
)
from callctl.records.accounts import account_of_call, may_go_on
from callctl.refusals import Refusal, Refusals

log = structlog.get_logger(__name__)


class Reception:
    """All calls that are alive, and the way of a new one to its session."""

    def __init__(
        self,
        *,
        desk: Desk,
        switches: Mapping[str, Switch],
        queues: Mapping[str, QueueSettings],
        default_queue: str,
        absentees: Absentees,
        max_calls: int,
    ) -> None:
        self._desk = desk
        self._switches = switches
        self._queues = queues
        self.default_queue = default_queue
        """The queue of calls that name none, or one that is not there."""
        self._absentees = absentees
        self._max_calls = max_calls
        self._sessions: dict[str, CallSession] = {}
        self._of_channel: dict[str, CallSession] = {}
        """The last call of each caller's channel."""
        self._channel_sockets = ChannelSockets()
        self._claims = Claims(switches, desk.ids)
        self._last_led: dict[str, CallSession] = {}
        """The call that a channel's socket led last, as long as that is still there."""
        self._nursery: trio.Nursery | None = None
        self._is_closing = False
        self._sockets = 0
        """How many are being led: between two visits of one call there is a socket and no session."""
        self._emptied = trio.Event()

    @property
    def sessions(self) -> Mapping[str, CallSession]:
        """The calls that are alive, by their key."""
        return self._sessions

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the sessions alive, until cancelled; every caller is then left to the dialplan."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def close(self) -> None:
        """Take no new calls; who is here already is served on."""
        self._is_closing = True

    async def wait_empty(self) -> None:
        """Wait until no call is left."""
        while self._sessions or self._sockets:
            self._emptied = trio.Event()
            await self._emptied.wait()

    async def confirm(self, socket: CallSocket) -> bool:
        """Say whether an accepted socket is the call that it says; to be asked before `receive`.

        While the switch does not answer, a new caller is believed, and so is one who comes back to a place
        that no socket leads: both are to be proved right before they count. Where a false claim would harm
        a caller who is led, or talks, the answer is waited for.
        """
        switch = await self._claims.find_switch(socket)
        if switch is None:
            Refusals.of_this_run().note(
                Refusal.UNKNOWN_SWITCH,
                log.error,
                "call from a switch that is not configured; add it as [[freeswitch]]",
                uuid=socket.uuid,
                core_uuid=socket.data.get("Core-UUID"),
                hostname=socket.data.get("FreeSWITCH-Hostname"),
            )
            return False
        verdict = await self._claims.settle(socket, switch, is_known=self._knows(socket.uuid))
        while verdict is None and self._could_harm(socket.uuid):
            socket.tell_led()
            if not await self._claims.wait_to_ask_again(socket, switch):
                return False
            verdict = await self._claims.settle(socket, switch, is_known=True)
        if verdict is False:
            _refuse_claim(socket, switch)
            return False
        socket.awaits_proof = verdict is None
        return True

    def _knows(self, uuid: str) -> bool:
        """Say whether anything is known of a caller's channel."""
        return uuid in self._of_channel or bool(self._absentees.of_channel(uuid))

    def _could_harm(self, uuid: str) -> bool:
        """Say whether a false claim of this channel would break off what its caller does with us now."""
        session = self._of_channel.get(uuid)
        return session is not None and not session.is_over and (session.is_led or not session.is_waiting)

    async def receive(self, socket: CallSocket) -> None:
        """Lead one accepted socket to its call, and return when the socket is not needed any more."""
        self._sockets += 1
        switch = self._claims.switch_of(socket)
        try:
            if switch is None:
                return  # It has restarted since the call was confirmed.
            with self._channel_sockets.holding(socket) as older:
                # First, or an agent who answers now gets the caller out of the queue that is over.
                self._end_what_was_left(socket, switch)
                if older:
                    await end_older(older, socket)
                    self._end_what_was_left(socket, switch)  # Both sockets may have come at once.
                await self._lead(socket, switch)
                await socket.leave()
            if socket.bows_out:
                await self._free_if_stranded(socket.uuid, switch)
        finally:
            self._last_led.pop(socket.uuid, None)
            self._sockets -= 1
            self._emptied.set()

    async def _free_if_stranded(self, uuid: str, switch: Switch) -> None:
        try:
            await free_if_stranded(await channel_data(uuid, switch), switch)
        except EslError as ended:
            log.debug("a channel that has left a socket is not asked for", uuid=uuid, why=str(ended))

    async def _lead(self, socket: CallSocket, switch: Switch) -> None:
        if await go_on(socket, switch):
            return
        before = self._of_channel.get(socket.uuid)
        if before is not None and self._begins_anew(socket, before.record):
            before = None
        if before is not None and before.owes_the_dialplan:
            socket.tell_led()
            await before.drive(socket)
            return
        # A caller who comes back just when another queue is next goes there.
        session = None if before is None else self._begin_next(before)
        if session is None:
            session = await self._take_in(socket, switch)
        socket.tell_led()
        while session is not None:
            await session.drive(socket)
            self._last_led[socket.uuid] = session
            session = self._begin_next(session) if session.is_led_by(socket) else None

    async def _take_in(self, socket: CallSocket, switch: Switch) -> CallSession | None:
        """Return the session of a caller who comes, an old one or a new one; None for one who must wait."""
        arrival = self._arrival(socket, switch)
        session = self._sessions.get(arrival.call)
        if session is None:
            if self._is_closing:
                log.info("call not taken: stopping", uuid=socket.uuid)
                return None
            if self._is_full():
                await self._refuse(arrival, switch)
                return None
            session = self._session(arrival, switch, link=VisitBefore.of(socket.data))
            session.join(is_led=True, is_held=socket.awaits_proof)
            self._start(session, session.run)
        if socket.awaits_proof:
            assert self._nursery is not None, "run() comes before receive()"
            self._nursery.start_soon(self._prove, socket, session, switch)
        return session

    async def _prove(self, socket: CallSocket, session: CallSession, switch: Switch) -> None:
        """Have a caller whom we took in without the switch's word proved right, and offered only then.

        What a false claim has begun ends; where it came back to a place, the caller is still expected there.
        """
        verdict: bool | None = None
        while verdict is None:
            if not await self._claims.wait_to_ask_again(socket, switch):
                return
            verdict = await self._claims.settle(socket, switch, is_known=True)
        socket.awaits_proof = False
        if verdict:
            session.release()
            return
        _refuse_claim(socket, switch)
        if session.arrival.resumes:
            session.release()
        else:
            session.deliver(ev.ClaimRefuted())
        socket.close()

    def _begin_next(self, before: CallSession, *, is_away: bool = False) -> CallSession | None:
        """Begin the visit that follows on `before`, if any; `is_away`: no socket leads the caller."""
        visit = before.take_next_visit()
        if visit is None:
            return None
        link = VisitBefore(before.record.arrival.call, account=before.record.arrival.account)
        session = self._session(visit, self._switches[visit.switch], link=link)
        session.follow_on(before, is_away=is_away)
        self._start(session, session.run)
        return session

    def _is_full(self) -> bool:
        """Say whether as many callers are on the line as may; who is to be called back later is not."""
        if not self._max_calls or len(self._sessions) < self._max_calls:
            return False
        on_the_line = sum(bool(each.record.arrival.uuid) for each in self._sessions.values())
        return on_the_line >= self._max_calls

    async def _refuse(self, arrival: Arrival, switch: Switch) -> None:
        """Let the dialplan try again with a caller for whom there is no room."""
        Refusals.of_this_run().note(
            Refusal.MAX_CALLS,
            log.error,
            "call not taken: max-calls reached",
            uuid=arrival.uuid,
            limit=self._max_calls,
        )
        try:
            await switch.set_variables(arrival.uuid, refusal_variables(arrival, "max-calls"))
        except EslError as error:
            log.info("the caller does not carry the refusal", uuid=arrival.uuid, why=str(error))

    def resume_callbacks(self) -> None:
        """Let the callbacks of before a restart wait on.

        None ends before its switch has told what became of it: its caller may be talking by now.
        """

        async def run_once_ready(session: CallSession, switch: Switch) -> None:
            await switch.wait_ready()
            await session.run()

        for record in self._absentees.all():
            arrival = record.arrival
            switch = self._switches.get(arrival.switch)
            if arrival.callback and not record.bridged_at and switch is not None:
                session = self._session(evolve(arrival, uuid=""), switch)
                session.join(is_led=False)
                self._start(session, partial(run_once_ready, session, switch))

    def keep_place(self, record: CallRecord, switch: Switch, found: Event) -> None:
        """Let a caller of before a restart stand in the old place at once, with no socket yet.

        `found` is how the channel stands. Whoever waits for the dialplan to bring it back is not overtaken.
        """
        arrival = evolve(record.arrival, resumes=record.arrival.resumes + 1)
        session = self._session(arrival, switch)
        session.take_place(found)
        self._start(session, session.run)

    async def give_way(self, call: str) -> None:
        """Let no session lead a caller who was found talking; the row is for the one that follows that."""
        session = self._sessions.get(call)
        if session is not None and await session.give_way():
            self._absentees.put_back(session.record, session.open_offers)

    def adopt(
        self, arrival: Arrival, switch: Switch, offer: Offer, bridged_at: float, *, are_together: bool
    ) -> None:
        """Follow a talk that was found on the switch; see `CallSession.run_adopted`."""
        session = self._session(arrival, switch, offer.leg_uuid)
        self._start(session, partial(session.run_adopted, offer, bridged_at, are_together=are_together))

    def _arrival(self, socket: CallSocket, switch: Switch) -> Arrival:
        """Read who comes, with the place of one who was here before."""
        new_call, now = self._desk.ids.uuid(), self._desk.clock.now()
        arrival = arrival_from(
            socket.data,
            switch=switch.name,
            default_queue=self.default_queue,
            new_call=new_call,
            now=now,
            came_at=_came_at(socket, switch, now),
        )
        if socket.data.variable("callctl_reason"):
            return arrival  # We had let go of this caller: whatever was before is over.
        before = self._before(arrival, told_by_channel=arrival.call != new_call)
        if before is not None:
            # The channel may still carry an earlier visit than the one in which the caller is.
            is_same = arrival.call == before.call
            joined_at = min(before.joined_at, arrival.joined_at) if is_same else before.joined_at
            return evolve(before, joined_at=joined_at, resumes=before.resumes + 1)
        if arrival.call in self._sessions:
            # The variables came to this channel from another one, or from a wait that is over.
            return evolve(arrival, call=new_call, joined_at=now, resumes=0)
        return arrival

    def _begins_anew(self, socket: CallSocket, record: CallRecord) -> bool:
        """Say whether this caller comes for another visit than that of `record`."""
        if socket.data.variable("callctl_reason"):
            return False
        return begins_anew(socket.data, record.arrival, self.default_queue)

    def _end_what_was_left(self, socket: CallSocket, switch: Switch) -> None:
        """End the visit of a caller who has been sent out of it, and comes for another one.

        That may be known here first: the event that tells of a transfer may come after the next socket. Or
        it has come late, and the one visit would have ended after the other had begun.
        """
        at = _came_at(socket, switch, self._desk.clock.now())
        session = self._of_channel.get(socket.uuid)
        if session is not None and not session.has_ended:
            if self._begins_anew(socket, session.record):
                queue = socket.data.variable("queue") or self.default_queue
                talked_with = bridged_with(socket.data)
                session.deliver(ev.CallerElsewhere(f"queue {queue}", at, talked_with))
            return
        last = session or self._last_led.get(socket.uuid)
        if last is not None and last.record.reason is Reason.TRANSFERRED:
            record = last.record
            if at < (record.ended_at or at) and self._begins_anew(socket, record):
                self._desk.record(evolve(record, ended_at=max(at, record.arrival.joined_at)))
        for left in self._absentees.of_channel(socket.uuid):
            if self._begins_anew(socket, left):
                self._absentees.end(left.arrival.call, Reason.TRANSFERRED, at=at)

    def _before(self, arrival: Arrival, *, told_by_channel: bool) -> Arrival | None:
        """Return the visit that this channel has begun and not ended, as we or the store remember it.

        `told_by_channel`: it knows of one itself, and the store may have missed that it began.
        """
        session = self._of_channel.get(arrival.uuid)
        if session is not None and not session.is_over:
            return session.arrival
        joined_at = arrival.joined_at if told_by_channel else 0.0
        known = self._absentees.find(arrival.call, arrival.uuid, joined_at=joined_at)
        if known is None and told_by_channel:
            known = self._absentees.reopen(arrival.uuid, joined_at=joined_at)
        return known.arrival if known is not None and known.arrival.uuid == arrival.uuid else None

    def _session(
        self, arrival: Arrival, switch: Switch, talking_leg: str = "", *, link: VisitBefore | None = None
    ) -> CallSession:
        asked = arrival.queue
        if not talking_leg:
            arrival = self._to_a_queue(arrival, link)
        elif (served := self._queues.get(asked)) is not None:
            arrival = evolve(arrival, account=account_of_call(served.account, arrival.account))
        queue = self._queues.get(arrival.queue) or QueueSettings(name=arrival.queue, account=arrival.account)
        known = self._absentees.take(arrival.call, talking_leg)
        if known is None and link is not None and link.call != arrival.call:
            known = CallRecord(
                arrival=arrival,
                state=CallState.WAITING,
                previous_visit=link.call,
                transferred_by=link.agent,
            )
        session = CallSession(
            arrival,
            queue,
            switch=switch,
            desk=self._desk,
            known=known,
            asked_queue=asked,
            begin_away=partial(self._begin_next, is_away=True),
        )
        self._sessions[arrival.call] = self._of_channel[arrival.uuid] = session
        return session

    def _to_a_queue(self, arrival: Arrival, link: VisitBefore | None) -> Arrival:
        """Return the visit as it is to be: to the queue that it names, or to the default queue.

        It is mistyped in the dialplan, or the queues have been changed meanwhile, or somebody has transferred
        the caller into a queue of another account. Where the default queue is of another account as well, the
        visit stays as it is, and the distributor knows no such queue for it.
        """
        # Who comes back to a running visit stays in its queue, whatever has become of the accounts.
        asked, account = arrival.queue, "" if link is None or arrival.resumes else link.account
        if (queue := self._queue_for(asked, account)) is None:
            known = arrival.account if arrival.resumes else arrival.account_id
            if not account and any(each.account == known for each in self._queues.values()):
                account = known
            queue = self._queue_for(self.default_queue, account)
            log.warning(
                "there is no such queue for this call; "
                + ("no other may take it" if queue is None else "the default queue serves it"),
                call=arrival.call,
                uuid=arrival.uuid,
                asked=asked,
                queue=self.default_queue,
                account=account,
            )
            if queue is None:
                return arrival
            # What sent a caller there once must not do so again and again.
            through = (*arrival.came_through, asked) if arrival.came_through else ()
            arrival = evolve(arrival, queue=queue.name, came_through=through)
        return evolve(arrival, account=account_of_call(queue.account, arrival.account))

    def _queue_for(self, name: str, account: str) -> QueueSettings | None:
        """Return the queue of this name, if a caller who is with this account (or "") may go there."""
        queue = self._queues.get(name)
        return queue if queue is not None and (not account or may_go_on(account, queue.account)) else None

    def _start(self, session: CallSession, life: Callable[[], Awaitable[None]]) -> None:
        assert self._nursery is not None, "run() comes before receive()"
        self._nursery.start_soon(self._supervise, session, life)

    async def _supervise(self, session: CallSession, life: Callable[[], Awaitable[None]]) -> None:
        """Live a call's life; an error in it ends this call alone, and the dialplan has the caller."""
        arrival = session.arrival
        try:
            await life()
        except Exception:
            log.exception("call failed", call=arrival.call, uuid=arrival.uuid, queue=arrival.queue)
            self._desk.record(
                evolve(
                    session.record,
                    state=CallState.ENDED,
                    reason=Reason.ERROR,
                    outcome=OUTCOME_OF_REASON[Reason.ERROR],
                    ended_at=self._desk.clock.now(),
                )
            )
            session.free_agent()
            await session.let_go_of_agents()
        else:
            if not session.is_led:
                self._begin_next(session, is_away=True)
        finally:
            if self._sessions.get(arrival.call) is session:
                del self._sessions[arrival.call]
            if self._of_channel.get(arrival.uuid) is session:
                del self._of_channel[arrival.uuid]
            self._emptied.set()


def _refuse_claim(socket: CallSocket, switch: Switch) -> None:
    Refusals.of_this_run().note(
        Refusal.FALSE_CLAIM,
        log.warning,
        "a connection claims a channel that is not its own, and is closed",
        uuid=socket.uuid,
        switch=switch.name,
        peer=socket.peer,
    )


def _came_at(socket: CallSocket, switch: Switch, now: float) -> float:
    """Return when this caller came to the queue, by our clock, for one who has no place yet.

    The dialplan says so, and else the time when the socket was accepted does: neither waits for us, while we
    may have stood still, or been away.
    """
    told, entered = told_at(socket.data), entered_at(socket.data)
    if told is not None:
        switch.clock.heard(told, now)
    # Of a caller whom we had let go of, the dialplan's word may be of the visit that is over.
    if entered is not None and not socket.data.variable("callctl_reason"):
        came_at = switch.clock.ours(entered)
        if came_at is not None:
            return came_at
    return now - (trio.current_time() - socket.accepted_at)
