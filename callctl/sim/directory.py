"""The directory of a switch: the contacts of agents, how their phones behave, and which are registered."""

from __future__ import annotations

from collections.abc import Callable

from callctl.sim.events import EventSource
from callctl.sim.people import Endpoint

DOMAIN = "127.0.0.1"
"""The domain of users who name none."""


def presence_id(dialstring: str) -> str:
    """Return the user behind `user/NAME` or `user/NAME@DOMAIN`, as mod_sofia names it."""
    user, _, domain = dialstring.removeprefix("user/").partition("@")
    return f"{user}@{domain or DOMAIN}"


class Directory:
    """The phones that a switch knows; each is registered until it is said otherwise."""

    def __init__(self, events: EventSource) -> None:
        self._events = events
        self._behaviours: dict[str, Callable[[], Endpoint]] = {}
        self._unregistered: set[str] = set()

    def add(self, dialstring: str, behaviour: Endpoint | Callable[[], Endpoint]) -> None:
        """Say what the phone at this contact does; a function is asked anew for each ring."""
        self._behaviours[dialstring] = (lambda: behaviour) if isinstance(behaviour, Endpoint) else behaviour

    def phone(self, dialstring: str) -> Endpoint | None:
        """Return how the phone at this contact behaves this time, or None where there is none."""
        behaviour = self._behaviours.get(dialstring)
        return behaviour() if behaviour is not None else None

    def is_registered(self, dialstring: str) -> bool:
        """Say whether `register` and `unregister` left this contact reachable."""
        return dialstring not in self._unregistered

    def register(self, dialstring: str) -> None:
        """The phone of `user/NAME` registers."""
        self._unregistered.discard(dialstring)
        self._tell("sofia::register", dialstring)

    def unregister(self, dialstring: str) -> None:
        """The phone of `user/NAME` is gone."""
        self._unregistered.add(dialstring)
        self._tell("sofia::unregister", dialstring)

    def _tell(self, subclass: str, dialstring: str) -> None:
        user, _, domain = presence_id(dialstring).partition("@")
        self._events.fire(
            "CUSTOM", None, {"Event-Subclass": subclass, "from-user": user, "from-host": domain}
        )

    def registrations(self) -> list[str]:
        """Return the contacts of the users who are registered."""
        return [
            dialstring
            for dialstring, behaviour in self._behaviours.items()
            if dialstring.startswith("user/") and self.is_registered(dialstring) and behaviour().is_registered
        ]
