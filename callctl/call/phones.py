"""What the switches tell of the agents' phones: which are registered, and which have a call of their own.

Both can be known for a contact that names a user of the switch's directory (`user/1001`, `user/1001@b.org`).
Registrations come as events of mod_sofia; a call of an agent's own is any channel of that user that is not a
queue's leg. Whatever was missed while a connection was down is asked for when it is back.

A user is known by name and domain: another domain's 1001 is somebody else. One user may have several phones,
and an event tells only that one of them is gone, so the switch is then asked whether any is left.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import partial
from typing import NamedTuple

import structlog

from callctl.acd.distributor import Distributor
from callctl.call.channel_query import describe
from callctl.call.dispatcher import Dispatcher
from callctl.call.switch import Switch
from callctl.call.timers import Timer
from callctl.errors import CommandRefused, LocalProtocolError, UnknownAgent, WaitEnded
from callctl.esl import commands
from callctl.esl.connection import Reply
from callctl.esl.table import rows_of
from callctl.esl.wire import Event
from callctl.model import AgentRecord, AgentRemoved, AgentSettings, Fact

log = structlog.get_logger(__name__)

ASK_AFTER_SECONDS = 1.0
"""How long after a phone is gone the switch is asked for others: it tells of an expiry before it deletes the
row (sofia_reg_check_expire), and a phone that starts anew is back by then."""

ASK_INTERVAL_SECONDS = 0.01
"""How far apart such questions are: each looks into a database, and no other order is obeyed meanwhile."""

NO_DOMAIN = "freeswitch.local"
"""The domain of `user/1001` on a switch that has no global variable `domain` (switch_core_get_domain)."""

_CONTACT = re.compile(r"(?:\[[^\]]*\]|\{[^}]*\})*user/([^@/,|:\s]+)(?:@([^@/,|:\s]+))?")
"""A contact that is one user of the directory, perhaps with variables before it."""


class User(NamedTuple):
    """A user of a switch's directory; without a domain where that is not said."""

    name: str
    domain: str

    @classmethod
    def of(cls, presence_id: str) -> User:
        """Return the user that a presence ID names."""
        name, _, domain = presence_id.partition("@")
        return cls(name, domain.lower())


NOBODY = User("", "")


class _Contacts(NamedTuple):
    """The users that an agent's contacts are: on single switches, and on all others; None for no user."""

    user: User | None
    on_switch: Mapping[str, User | None]

    @classmethod
    def of(cls, settings: AgentSettings) -> _Contacts:
        on_switch = {switch: _user_of(contact) for switch, contact in settings.contacts.items()}
        return cls(_user_of(settings.contact), on_switch)

    def on(self, switch: str) -> User | None:
        return self.on_switch.get(switch, self.user)

    @property
    def users(self) -> set[User]:
        return {user for user in (self.user, *self.on_switch.values()) if user}


def _user_of(contact: str) -> User | None:
    """Return the user that a contact is; NOBODY where it is empty, None where it is something else."""
    if not contact:
        return NOBODY
    found = _CONTACT.fullmatch(contact)
    return User(found[1], (found[2] or "").lower()) if found else None


class _OnSwitch:
    """What one switch tells."""

    def __init__(self) -> None:
        self.domain = ""
        """The domain of users who are named without one; "" while it is not known."""
        self.registered = _Users()
        self.seen = _Users()
        """Users who were registered once: only of these is it known when they are not."""
        self.channels: dict[str, User] = {}
        """The users' own channels, by UUID. Only `call_begins` and `call_ends` change them."""
        self._calls_of: defaultdict[str, dict[str, User]] = defaultdict(dict)
        self.changes: dict[str, User] | None = None
        """What came and went while the switch was being asked, by UUID; NOBODY for what has ended."""
        self.questions: dict[User, Timer] = {}
        """Whom we are about to ask for."""

    def is_registered(self, user: User) -> bool:
        """Say whether there is a phone where `user` is dialled."""
        return self._is_among(user, self.registered)

    def was_registered(self, user: User) -> bool:
        """Say whether there once was one, so that it is known now whether there is."""
        return self._is_among(user, self.seen)

    def _is_among(self, user: User, users: _Users) -> bool:
        domain = user.domain or self.domain
        domains = users.domains_of(user.name)
        return bool(domains) if not domain else bool(domains & {domain, ""})

    def call_begins(self, uuid: str, user: User) -> None:
        """A channel is a call of this user's own."""
        self.channels[uuid] = self._calls_of[user.name][uuid] = user

    def call_ends(self, uuid: str) -> User:
        """A channel is gone; return whose call it was, NOBODY where it was no call of a user's own."""
        user = self.channels.pop(uuid, NOBODY)
        if user != NOBODY:
            del self._calls_of[user.name][uuid]
            if not self._calls_of[user.name]:
                del self._calls_of[user.name]
        return user

    def has_call(self, user: User) -> bool:
        """Say whether a channel is a call of this user's own."""
        calls = self._calls_of.get(user.name, {})
        return any(self._is_call_of(user, caller) for caller in calls.values())

    def _is_call_of(self, user: User, caller: User) -> bool:
        """Say whether `caller`, as a channel's presence ID names it, is `user`.

        A phone may name the switch by another name than the directory does. So who is named without a domain
        is anybody of that name, but for those of another domain that has users of its own.
        """
        if user.name != caller.name:
            return False
        domain = user.domain or self.domain
        if not domain or caller.domain in ("", domain):
            return True
        return not user.domain and not self.seen.has_domain(caller.domain)


class _Users:
    """A set of users, by name."""

    def __init__(self, users: Iterable[User] = ()) -> None:
        self._domains: dict[str, set[str]] = {}
        self._count: Counter[str] = Counter()
        """How many there are of each domain."""
        for user in users:
            self.add(user)

    def __contains__(self, user: User) -> bool:
        return user.domain in self.domains_of(user.name)

    def __iter__(self) -> Iterator[User]:
        return (User(name, domain) for name, domains in self._domains.items() for domain in sorted(domains))

    @property
    def names(self) -> set[str]:
        return set(self._domains)

    def domains_of(self, name: str) -> Set[str]:
        return self._domains.get(name, frozenset())

    def has_domain(self, domain: str) -> bool:
        return self._count[domain] > 0

    def add(self, user: User) -> None:
        if user not in self:
            self._domains.setdefault(user.name, set()).add(user.domain)
            self._count[user.domain] += 1

    def discard(self, user: User) -> None:
        if user in self:
            self._domains[user.name].discard(user.domain)
            if not self._domains[user.name]:
                del self._domains[user.name]
            self._count[user.domain] -= 1


class Phones:
    """The users behind the agents' contacts, and what is known of their phones."""

    def __init__(self) -> None:
        self._contacts: dict[str, _Contacts] = {}
        self._agents_of_name: dict[str, set[str]] = defaultdict(set)
        """The agents by the names of their users, of whatever domain."""
        self._on: dict[str, _OnSwitch] = defaultdict(_OnSwitch)
        self._dispatcher: Dispatcher | None = None

    def report_to(self, dispatcher: Dispatcher) -> None:
        """From now on tell `dispatcher` what is learned."""
        self._dispatcher = dispatcher

    def observe(self, fact: Fact) -> None:
        """Learn the agents' contacts from the facts that are written down."""
        if isinstance(fact, AgentRecord):
            self._assign(fact.settings.name, _Contacts.of(fact.settings))
        elif isinstance(fact, AgentRemoved):
            self._assign(fact.agent, None)

    def _assign(self, agent: str, contacts: _Contacts | None) -> None:
        before = self._contacts.get(agent)
        if before == contacts:
            return
        for user in before.users if before is not None else ():
            self._agents_of_name[user.name].discard(agent)
        if contacts is None:
            self._contacts.pop(agent, None)
            return
        self._contacts[agent] = contacts
        for user in contacts.users - {NOBODY}:
            self._agents_of_name[user.name].add(agent)
        if before is not None and self._dispatcher is not None:
            # What was known of another phone means nothing for this one. Later: the agent is just changing.
            self._dispatcher.timers.after(0, partial(self._tell_of, agent))

    # --- what is asked ---

    async def learn(self, switch: Switch) -> None:
        """Ask a switch for all it knows. Raises WaitEnded when the connection is lost meanwhile."""
        on = self._on[switch.name]
        changes = on.changes = {}
        try:
            on.domain = await _domain(switch)
            registrations = await switch.link.api(commands.show_registrations())
            channels = await self._own_channels(switch)
        finally:
            on.changes = None
        channels.update(changes)
        had_calls = {user.name for user in on.channels.values()}
        registered = [
            User(name, realm.lower()) for name, realm in rows_of(registrations, "reg_user", "realm")
        ]
        before, on.registered = on.registered, _Users(registered)
        for user in registered:
            on.seen.add(user)
        # Of several phones of one user the core shows the last one alone: who is missing may have another.
        doubtful = [user for user in on.seen if user not in on.registered and self._is_an_agents(user)]
        for user in doubtful:
            if user in before:
                on.registered.add(user)
            self._ask_soon(switch, on, user)
        for uuid in list(on.channels):
            on.call_ends(uuid)
        for uuid, user in channels.items():
            if user != NOBODY:
                on.call_begins(uuid, user)
        self._tell(had_calls | on.seen.names | {user.name for user in on.channels.values()})

    async def _own_channels(self, switch: Switch) -> dict[str, User]:
        """Return the user of each channel that is a call of an agent's own.

        `show channels` still names, for up to a second, what has ended, and whose hangup nobody will tell us
        of any more; so each is asked for by itself.
        """
        shown = await switch.link.api(commands.show_channels())
        uuids = [
            uuid
            for uuid, presence_id in rows_of(shown, "uuid", "presence_id")
            if self._may_be_an_agents(presence_id) and not switch.listens(uuid) and commands.is_uuid(uuid)
        ]
        own: dict[str, User] = {}

        def take(uuid: str, channel: Event) -> None:
            # Not what the table says, in which a caller's name can hold what looks like columns.
            if channel.variable("cc_side") != "agent":
                own[uuid] = User.of(channel.get("Channel-Presence-ID"))

        await describe(switch.link, uuids, take)
        return own

    def _may_be_an_agents(self, presence_id: str) -> bool:
        """Say whether a channel may be an agent's own by its presence ID, as the table shows it.

        Thousands of others may be shown as well. What is no presence ID stands in the place of one.
        """
        user, at, _ = presence_id.partition("@")
        return bool(presence_id) and (not at or user in self._agents_of_name)

    def _is_an_agents(self, user: User) -> bool:
        """Say whether an agent may have this user's phones."""
        return bool(self._agents_of_name.get(user.name))

    # --- what is told ---

    def take(self, switch: Switch, event: Event) -> None:
        """Learn from an event of a switch. Never waits."""
        on = self._on[switch.name]
        match event.name:
            case "CUSTOM":
                self._take_registration(switch, on, event)
            case "CHANNEL_CREATE" if event.variable("cc_side") != "agent" and event.get(
                "Channel-Presence-ID"
            ):
                user = User.of(event.get("Channel-Presence-ID"))
                on.call_begins(event.uuid, user)
                if on.changes is not None:
                    on.changes[event.uuid] = user
                self._tell([user.name])
            case "CHANNEL_HANGUP_COMPLETE":
                if on.changes is not None:
                    on.changes[event.uuid] = NOBODY
                user = on.call_ends(event.uuid)
                if user != NOBODY:
                    self._tell([user.name])

    def _take_registration(self, switch: Switch, on: _OnSwitch, event: Event) -> None:
        name = event.get("from-user") or event.get("user")
        user = User(name, (event.get("from-host") or event.get("host")).lower())
        if event.get("Event-Subclass") == "sofia::register":
            self._ask_no_more(on, user)
            on.registered.add(user)
            on.seen.add(user)
            self._tell([name])
        elif not self._is_an_agents(user):
            # Nobody asks for its other phones, so it is not known whether any is left.
            on.registered.discard(user)
            on.seen.discard(user)
        else:
            on.seen.add(user)
            self._ask_soon(switch, on, user)

    def _ask_soon(self, switch: Switch, on: _OnSwitch, user: User) -> None:
        """One of this user's phones is gone. Whether another one is left, only the switch knows."""
        if self._dispatcher is not None:
            self._ask_no_more(on, user)
            ask = partial(self._ask, switch, on, user)
            seconds = ASK_AFTER_SECONDS + ASK_INTERVAL_SECONDS * len(on.questions)
            on.questions[user] = self._dispatcher.timers.after(seconds, ask)

    def _ask_no_more(self, on: _OnSwitch, user: User) -> None:
        if (question := on.questions.pop(user, None)) is not None:
            question.cancel()

    def _ask(self, switch: Switch, on: _OnSwitch, user: User) -> None:
        self._ask_no_more(on, user)
        try:
            [slot] = switch.link.post_api(commands.sofia_contact(user.name, user.domain))
        except WaitEnded as ended:
            log.debug("a phone is asked for when the switch is back", user=user.name, why=str(ended))
        except LocalProtocolError:
            self._note(on, user, is_registered=False)
        else:
            slot.then(partial(self._take_answer, on, user))

    def _take_answer(self, on: _OnSwitch, user: User, answer: Reply | WaitEnded) -> None:
        if isinstance(answer, WaitEnded):
            log.debug("a phone is asked for when the switch is back", user=user.name, why=str(answer))
        elif user not in on.questions:  # else it is asked once more
            self._note(on, user, is_registered=commands.is_registered(answer.text))

    def _note(self, on: _OnSwitch, user: User, *, is_registered: bool) -> None:
        if is_registered:
            on.registered.add(user)
        else:
            on.registered.discard(user)
        self._tell([user.name])

    # --- what follows ---

    def _tell(self, names: Iterable[str]) -> None:
        """Tell of the agents whose users have one of these names."""
        agents = {agent for name in set(names) for agent in self._agents_of_name.get(name, ())}
        for agent in sorted(agents):
            self._tell_of(agent)

    def _tell_of(self, agent: str) -> None:
        contacts = self._contacts.get(agent)
        if contacts is not None and self._dispatcher is not None:
            self._tell_one(self._dispatcher, agent, self._is_registered(contacts), self._has_call(contacts))

    def _is_registered(self, contacts: _Contacts) -> bool | None:
        """Say whether a phone is registered anywhere; None where that cannot be known."""
        users = [(on, user) for name, on in self._on.items() if (user := contacts.on(name)) and user.name]
        if any(on.is_registered(user) for on, user in users):
            return True
        is_elsewhere_too = None in (contacts.user, *contacts.on_switch.values())
        is_known = any(on.was_registered(user) for on, user in users) and not is_elsewhere_too
        return False if is_known else None

    def _has_call(self, contacts: _Contacts) -> bool:
        users = [(on, user) for name, on in self._on.items() if (user := contacts.on(name)) and user.name]
        return any(on.has_call(user) for on, user in users)

    def _tell_one(self, dispatcher: Dispatcher, agent: str, registered: bool | None, has_call: bool) -> None:
        def say(distributor: Distributor, now: float) -> None:
            distributor.set_registered(agent, registered, now)
            distributor.set_external_call(agent, has_call, now)

        try:
            dispatcher.act(say)
        except UnknownAgent:
            log.debug("a phone's agent is gone", agent=agent)


async def _domain(switch: Switch) -> str:
    """Ask for the domain of users who are named without one."""
    try:
        answer = await switch.link.api(commands.global_getvar("domain"))
    except CommandRefused:  # it is not set
        return NO_DOMAIN
    return answer.strip().lower() or NO_DOMAIN
