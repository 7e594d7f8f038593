"""What a call socket claims is believed only as far as its switch confirms it.

Any program that may connect to the listener for calls can say that it is FreeSWITCH and name a channel: one
that was never there, or one that waits or talks. So the inbound connection is asked, which has a password:

- a channel of which we know nothing must exist, and have got its place in the dialplan in the very
  microsecond that the reply to `connect` tells: one order, which reads and changes nothing;
- for one of which we know something, a caller who waits, talks or is to come back, the socket must set a
  variable on that channel, to a value that nobody can guess.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
import trio

from callctl.call.switch import Switch
from callctl.errors import WaitEnded
from callctl.esl import commands
from callctl.esl.outbound import CallSocket
from callctl.ids import Ids

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 5.0
"""How long an answer may take before a caller is taken in without it; 1 ms is usual. Two thousand claims at
once took one second on a machine of two cores."""

PAUSE_SECONDS = 0.5
"""How soon a switch is asked again that is connected and did not answer."""

IDENTIFY_SECONDS = 3.0
"""How long a call waits for a switch that is away to say which run of FreeSWITCH it is now."""

PROOF = "callctl_proof"
"""The variable by which a socket shows that it controls its channel."""

_PLACED = "Caller-Profile-Created-Time"
_PLACED_FIELD = "profile_created_time"
"""When the dialplan last sent the channel somewhere, in microseconds: a header, and what `uuid_getvar` takes
for it (switch_caller_get_field_by_name). No log, event of ours or row tells it."""

_UNDEFINED = "_undef_"


class Claims:
    """Asks the switches whether sockets are what they say."""

    def __init__(self, switches: Mapping[str, Switch], ids: Ids) -> None:
        self._switches = switches
        self._ids = ids

    def switch_of(self, socket: CallSocket) -> Switch | None:
        """Return the switch whose call this is, by the core's own UUID; None for none of ours.

        While the only switch is not connected it may have been restarted, and the call may be its.
        """
        core_uuid = socket.data.get("Core-UUID")
        for switch in self._switches.values():
            if core_uuid and switch.core_uuid == core_uuid:
                return switch
        only = next(iter(self._switches.values())) if len(self._switches) == 1 else None
        return only if only is not None and not only.is_ready else None

    async def find_switch(self, socket: CallSocket) -> Switch | None:
        """Return the switch whose call this is; None for none of ours.

        A call may come before our own connection to its switch is back, which then is tried at once. A
        switch that has restarted has a new name, which it is asked for as soon as that can be.
        """
        switch = self.switch_of(socket)
        away = [each for each in self._switches.values() if switch in (None, each) and not each.is_ready]
        for each in away:
            each.link.hurry()
        if switch is not None or not away:
            return switch
        with trio.move_on_after(IDENTIFY_SECONDS):
            async with trio.open_nursery() as nursery:
                for each in away:
                    nursery.start_soon(self._await_name, each, socket, nursery.cancel_scope)
        return self.switch_of(socket)

    async def _await_name(self, switch: Switch, socket: CallSocket, scope: trio.CancelScope) -> None:
        await switch.presence.wait_identified()
        if self.switch_of(socket) is not None:
            scope.cancel()

    async def settle(self, socket: CallSocket, switch: Switch, *, is_known: bool) -> bool | None:
        """Say whether the socket is what it says; None where the switch does not answer now.

        `is_known`: something is known of its channel, which a false claim could harm.
        """
        if not commands.is_uuid(socket.uuid):
            return False
        with trio.move_on_after(ANSWER_SECONDS):
            try:
                if not is_known and (placed_at := socket.data.get(_PLACED)):
                    answer = await self._ask(socket.uuid, switch, _PLACED_FIELD)
                    if answer != _UNDEFINED:
                        return answer == placed_at
                return await self._controls(socket, switch)
            except WaitEnded as ended:
                log.debug("a claim cannot be settled now", uuid=socket.uuid, why=str(ended))
        return None

    async def _controls(self, socket: CallSocket, switch: Switch) -> bool:
        proof = self._ids.uuid()
        await socket.request(commands.api(commands.uuid_setvar_multi(socket.uuid, {PROOF: proof})))
        return await self._ask(socket.uuid, switch, PROOF) == proof

    async def _ask(self, uuid: str, switch: Switch, name: str) -> str:
        """Return what the switch says of this variable; of a channel that it does not have, an error."""
        [answer] = switch.link.post_api(commands.uuid_getvar(uuid, name))
        return (await answer.wait()).text

    async def wait_to_ask_again(self, socket: CallSocket, switch: Switch) -> bool:
        """Wait until the switch may answer; return False where the socket has ended meanwhile."""
        async with trio.open_nursery() as nursery:

            async def wait_for_switch() -> None:
                await trio.sleep(PAUSE_SECONDS)
                await switch.link.wait_up()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait_for_switch)
            await socket.wait_over()
            nursery.cancel_scope.cancel()
        return not socket.is_over
