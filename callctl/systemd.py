"""Tells systemd how the server stands: ready, alive, stopping. Where no systemd listens, nothing happens.

One datagram each on the socket that systemd names in NOTIFY_SOCKET (sd_notify(3)), for a unit with
`Type=notify` and perhaps `WatchdogSec=`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog
import trio

log = structlog.get_logger(__name__)


class ServiceManager:
    """The way to systemd, as the environment names it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """`environ` is the process's environment."""
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of Linux's abstract names (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        is_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if is_for_us else ""
        self._complaint = ""
        """Why it was not told last time: said once, and not with every sign of life."""
        self._watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0

    def ready(self) -> None:
        """Say that calls can come."""
        self._notify("READY=1")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._notify("STOPPING=1")

    async def keep_watchdog_quiet(self) -> None:
        """Give a sign of life for as long as Trio's loop runs, if systemd asked for it; until cancelled.

        A disk that hangs is no reason to be restarted: calls go on without it, and would not survive that
        as well.
        """
        while self._watchdog_seconds:
            self._notify("WATCHDOG=1")
            # Half the time that systemd allows, as sd_watchdog_enabled(3) advises.
            await trio.sleep(self._watchdog_seconds / 2)

    def _notify(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify_socket:
                notify_socket.setblocking(False)
                notify_socket.sendto(state.encode("ascii"), self._address)
        except OSError as error:
            if str(error) != self._complaint:
                log.warning("systemd not told", state=state, why=str(error))
            self._complaint = str(error)
        else:
            self._complaint = ""
