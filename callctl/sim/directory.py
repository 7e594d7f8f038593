"""The directory of a switch: the contacts of agents, how their phones behave, and which are registered."""

from __future__ import annotations

from collections.abc import Callable

from callctl.sim.events import EventSource
from callctl.sim.people import Endpoint

DOMAIN = "127.0.0.1"
"""The domain of users who name none: the global variable `domain`."""

DELETE_SECONDS = 0.1
"""How long after it has told of an expiry mod_sofia still knows the contact (sofia_reg_check_expire)."""


def presence_id(dialstring: str) -> str:
    """Return the user behind `user/NAME` or `user/NAME@DOMAIN`, as mod_sofia names it."""
    user, _, domain = dialstring.removeprefix("user/").partition("@")
    return f"{user}@{domain or DOMAIN}"


def contact_of(dialstring: str) -> str:
    """Return the contact of a user's first phone."""
    return f"sip:{presence_id(dialstring)}"


class Directory:
    """The phones that a switch knows; each is registered until it is said otherwise."""

    def __init__(self, events: EventSource, later: Callable[[float, Callable[[], None]], None]) -> None:
        """`later` does something in so many seconds."""
        self._events = events
        self._later = later
        self._behaviours: dict[str, Callable[[], Endpoint]] = {}
        self._contacts: dict[str, dict[str, None]] = {}
        """The contacts of each user who was registered or unregistered by order, by presence ID."""

    def add(self, dialstring: str, behaviour: Endpoint | Callable[[], Endpoint]) -> None:
        """Say what the phone at this contact does; a function is asked anew for each ring."""
        self._behaviours[dialstring] = (lambda: behaviour) if isinstance(behaviour, Endpoint) else behaviour

    def phone(self, dialstring: str) -> Endpoint | None:
        """Return how the phone at this contact behaves this time, or None where there is none."""
        behaviour = self._behaviours.get(dialstring)
        return behaviour() if behaviour is not None else None

    def is_registered(self, dialstring: str) -> bool:
        """Say whether `register` and `unregister` left this contact reachable."""
        return bool(self._contacts_of(dialstring))

    def _contacts_of(self, dialstring: str) -> dict[str, None]:
        return self._contacts.setdefault(presence_id(dialstring), {contact_of(dialstring): None})

    def register(self, dialstring: str, contact: str = "") -> None:
        """A phone of `user/NAME` registers: the only one, or that of this contact."""
        contact = contact or contact_of(dialstring)
        self._contacts_of(dialstring)[contact] = None
        self._tell("sofia::register", dialstring, contact)

    def unregister(self, dialstring: str, contact: str = "") -> None:
        """A phone of `user/NAME` is gone."""
        contact = contact or contact_of(dialstring)
        self._contacts_of(dialstring).pop(contact, None)
        self._tell("sofia::unregister", dialstring, contact)

    def expire(self, dialstring: str, contact: str = "") -> None:
        """A phone of `user/NAME` was not heard of again."""
        contact = contact or contact_of(dialstring)
        self._later(DELETE_SECONDS, lambda: self._contacts_of(dialstring).pop(contact, None))
        self._tell("sofia::expire", dialstring, contact)

    def _tell(self, subclass: str, dialstring: str, contact: str) -> None:
        user, _, domain = presence_id(dialstring).partition("@")
        names = ("user", "host") if subclass == "sofia::expire" else ("from-user", "from-host")
        about = {"Event-Subclass": subclass, names[0]: user, names[1]: domain, "contact": contact}
        self._events.fire("CUSTOM", None, about)

    def registrations(self) -> list[str]:
        """Return the contacts of the users who are registered, as `user/…`."""
        return [
            dialstring
            for dialstring, behaviour in self._behaviours.items()
            if dialstring.startswith("user/") and self.is_registered(dialstring) and behaviour().is_registered
        ]

    def where_registered(self, user: str) -> str:
        """Return where the phones of NAME or NAME@DOMAIN can be dialled; "" where there are none."""
        whose = presence_id(user)
        known = [each for each in self._behaviours if each.startswith("user/") and presence_id(each) == whose]
        if not any(self._behaviours[dialstring]().is_registered for dialstring in known):
            return ""
        return ",".join(f"sofia/internal/{contact}" for contact in self._contacts_of(known[0]))
