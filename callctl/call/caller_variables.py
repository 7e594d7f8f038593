"""The variables that a caller's channel is given: over the inbound connection, or else by its own socket."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import structlog
import trio

from callctl.call.switch import Switch
from callctl.call.variables import (
    HOME,
    transfer_context,
    transfer_out_of_wait_variables,
    transfer_variables,
    way_back,
)
from callctl.errors import EslError, WaitEnded
from callctl.esl import commands
from callctl.esl.call_socket import CallSocket
from callctl.esl.connection import Reply
from callctl.esl.wire import Event

log = structlog.get_logger(__name__)

SET_SECONDS = 0.2
"""How long variables that were set on the socket may take to count, before the next order."""


class CallerVariables:
    """Sets variables of one channel, and knows of it what goes with them."""

    def __init__(self, uuid: str, switch: Switch) -> None:
        self.uuid = uuid
        self.socket: CallSocket | None = None
        """The socket that leads the channel now."""
        self._switch = switch
        self._way_back = ""
        self._transfer_context = ""
        self._is_set_for_talk = False
        """Whether a transfer would run where those out of a talk do."""
        self._log = log.bind(uuid=uuid, switch=switch.name)

    def find(self, data: Event) -> None:
        """Take in by which way the channel came, and where transfers out of its talks are to run."""
        self._way_back = way_back(data)
        self._transfer_context = transfer_context(data)

    def stand_like(self, before: CallerVariables) -> None:
        """Take that in from whoever has led the channel until now."""
        self._way_back, self._transfer_context = before._way_back, before._transfer_context

    def for_talk(self) -> dict[str, str]:
        """Return what the channel needs for a talk besides: where a failed bridge sends the caller, and an
        agent's transfer; see `variables.way_back` and `transfer_context`.
        """
        variables = {}
        if self._way_back:
            variables["transfer_after_bridge"] = self._way_back
        if self._transfer_context:
            variables |= transfer_variables(self._transfer_context)
            self._is_set_for_talk = True
        return variables

    async def set(self, variables: Mapping[str, str]) -> bool:
        """Set variables: in order and at once over the inbound connection, if it is there.

        Returns False where neither connection was there to set them by.
        """
        try:
            await self._switch.set_variables(self.uuid, variables)
        except WaitEnded:
            self._post_by_socket(variables)
            await trio.sleep(SET_SECONDS)
            return self.socket is not None
        except EslError as refused:
            # The caller may be gone by now; the hangup says so by itself.
            self._log.info("variables not set", why=str(refused))
        return True

    def post(self, variables: Mapping[str, str]) -> None:
        """Set variables as `set` does, without waiting until they are.

        With a place goes how the channel came to it, for whoever has to find out whether it comes again.
        """
        if variables.get("callctl_call"):
            variables = {**variables, HOME: self._way_back}
            if self._is_set_for_talk:
                variables |= transfer_out_of_wait_variables()
                self._is_set_for_talk = False
        try:
            slot = self._switch.post_variables(self.uuid, variables)
        except WaitEnded:
            self._post_by_socket(variables)
        else:
            slot.then(partial(self._check, variables))

    def _check(self, variables: Mapping[str, str], outcome: Reply | WaitEnded) -> None:
        if isinstance(outcome, WaitEnded):
            self._post_by_socket(variables)
        elif not outcome.ok:
            self._log.info("variables not set", why=outcome.text)

    def _post_by_socket(self, variables: Mapping[str, str]) -> None:
        """Set them by the socket's own `api`, which does not wait for the end of the music either."""
        if self.socket is None:
            return
        try:
            self.socket.post(commands.api(commands.uuid_setvar_multi(self.uuid, variables)))
        except WaitEnded as ended:
            self._log.info("variables not set", why=str(ended))
