"""What a caller needs, what an agent can take, and in words why the two do not fit: all pure.

Callers of equal needs and agents of one kind are alike in this question, so it is asked once for them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from callctl.model import AgentSettings


class Needs(NamedTuple):
    """What an agent must have to be eligible for a member."""

    switch: str
    open_level: float
    skills: tuple[tuple[str, int], ...] = ()


class Abilities(NamedTuple):
    """What of an agent's settings decides which callers it can take: where it is reached, and its skills."""

    has_contact: bool
    contacts: frozenset[tuple[str, bool]]
    skills: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, settings: AgentSettings) -> Abilities:
        """Return the abilities that these settings give."""
        contacts = frozenset((switch, bool(contact)) for switch, contact in settings.contacts.items())
        return cls(bool(settings.contact), contacts, frozenset(settings.skills.items()))

    @property
    def is_reachable(self) -> bool:
        """Whether there is a contact on any switch."""
        return self.has_contact or any(has_contact for _, has_contact in self.contacts)


class Kind(NamedTuple):
    """What makes agents alike for every caller of a queue."""

    level: int
    abilities: Abilities
    is_on_own_call: bool = False


def misfit(kind: Kind, needs: Needs) -> str:
    """Return in words why agents of `kind`, free or not, do not fit `needs`, or ""."""
    abilities = kind.abilities
    if abilities.contacts:
        if not dict(abilities.contacts).get(needs.switch, abilities.has_contact):
            return f"has no contact on {needs.switch}"
    elif not abilities.has_contact:
        return "has no contact"
    if kind.level > needs.open_level:
        return f"level {kind.level} is not open to this caller yet"
    if kind.is_on_own_call:
        return "is on a call of its own"
    if needs.skills:
        skills: Mapping[str, int] = dict(abilities.skills)
        for skill, level in needs.skills:
            if skills.get(skill, 0) < level:
                return f"lacks the skill {skill} at level {level}"
    return ""
