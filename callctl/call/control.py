"""What a person may do to a living call from outside: hang it up, end its wait, send it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from callctl.call import events as ev
from callctl.call.reception import Reception
from callctl.call.session import CallSession
from callctl.call.switch import Switch
from callctl.errors import UnknownCall, WrongMoment
from callctl.esl import commands
from callctl.model import CallRecord, CallState, Reason

IN_THE_QUEUE = frozenset({CallState.WAITING, CallState.RINGING})
"""The states in which a caller waits, and nobody has answered yet."""


class CallControl:
    """The living calls, by their own key or by the UUID of the caller's channel."""

    def __init__(self, reception: Reception, switches: Mapping[str, Switch]) -> None:
        self._reception = reception
        self._switches = switches

    def live(self) -> list[CallRecord]:
        """Return the rows of all calls that are alive, as they stand."""
        return [session.record for session in self._reception.sessions.values() if not session.is_over]

    def find(self, uuid: str) -> CallRecord:
        """Return the row of a living call; raises UnknownCall."""
        return self._session(uuid).record

    def hang_up(self, uuid: str, cause: str) -> None:
        """Hang the caller up, with FreeSWITCH's `cause`. Raises UnknownCall, WrongMoment."""
        session = self._session(uuid)
        _require_caller(session)
        session.deliver(ev.HangupOrdered(cause))

    def withdraw(self, uuid: str) -> None:
        """End a wait; the dialplan goes on with the caller. Raises UnknownCall, WrongMoment."""
        session = self._session(uuid)
        if session.record.state not in IN_THE_QUEUE:
            raise WrongMoment(
                f"the call {uuid} waits no more: an agent has answered; hang it up or transfer it"
            )
        session.deliver(ev.WaitOver(Reason.WITHDRAWN))

    async def transfer(self, uuid: str, extension: str, dialplan: str, context: str) -> None:
        """Send the caller to an extension, out of the queue or the talk.

        That the caller left is then seen on the switch, like any other transfer. Raises UnknownCall,
        WrongMoment, LocalProtocolError for an extension that cannot be sent, CommandRefused when the
        switch does not do it, and WaitEnded when that is unknown.
        """
        session = self._session(uuid)
        if session.record.state is CallState.BRIDGING:
            raise WrongMoment(f"the call {uuid} is just being connected to {session.record.agent}; try again")
        _require_caller(session)
        arrival = session.record.arrival
        switch = self._switches[arrival.switch]
        await switch.link.api(commands.uuid_transfer(arrival.uuid, extension, dialplan, context))

    def _session(self, uuid: str) -> CallSession:
        sessions = self._reception.sessions
        found = sessions.get(uuid)
        if found is None or found.is_over:
            alive = (each for each in sessions.values() if not each.is_over)
            found = next((each for each in alive if each.record.arrival.uuid == uuid), None)
        if found is None:
            raise UnknownCall(f"no call {uuid!r} is waiting or talking")
        return found


def _require_caller(session: CallSession) -> None:
    """Raise WrongMoment for a callback that waits: nobody is on the line."""
    if not session.record.arrival.uuid:
        raise WrongMoment(f"the caller of {session.arrival.call} is yet to be called back; withdraw it")
