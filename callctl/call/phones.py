"""What the switches tell of the agents' phones: which are registered, and which have a call of their own.

Both can be known for a contact that names a user of the switch's directory (`user/1001`). Registrations
come as events of mod_sofia; a call of an agent's own is any channel of that user that is not a queue's leg.
Whatever was missed while a connection was down is asked for when it is back.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

import structlog

from callctl.acd.distributor import Distributor
from callctl.call.channel_query import describe
from callctl.call.dispatcher import Dispatcher
from callctl.call.switch import Switch
from callctl.errors import UnknownAgent
from callctl.esl import commands
from callctl.esl.table import rows_of
from callctl.esl.wire import Event
from callctl.model import AgentRecord, AgentRemoved, Fact

log = structlog.get_logger(__name__)

_USER = re.compile(r"(?:\[[^\]]*\]|\{[^}]*\})*user/([^@/,|:\s]+)(?:@\S*)?")
"""A contact that is one user of the directory, perhaps with variables before it."""


class Phones:
    """The users behind the agents' contacts, and what is known of their phones."""

    def __init__(self) -> None:
        self._user_of_agent: dict[str, str] = {}
        self._agents_of_user: dict[str, set[str]] = defaultdict(set)
        self._registered: dict[str, set[str]] = {}
        """The registered users, by switch."""
        self._seen: set[str] = set()
        """Users who were registered once: only of these is it known when they are not."""
        self._channels: dict[str, dict[str, str]] = defaultdict(dict)
        """The users' own channels, by switch: the user of each UUID."""
        self._changes: dict[str, dict[str, str]] = {}
        """What came and went while a switch was being asked: as in `_channels`, "" for what has ended."""
        self._dispatcher: Dispatcher | None = None

    def report_to(self, dispatcher: Dispatcher) -> None:
        """From now on tell `dispatcher` what is learned."""
        self._dispatcher = dispatcher

    def observe(self, fact: Fact) -> None:
        """Learn the agents' contacts from the facts that are written down."""
        if isinstance(fact, AgentRecord):
            contacts = [fact.settings.contact, *fact.settings.contacts.values()]
            users = {found[1] for contact in contacts if (found := _USER.fullmatch(contact))}
            self._assign(fact.settings.name, users.pop() if len(users) == 1 else "")
        elif isinstance(fact, AgentRemoved):
            self._assign(fact.agent, "")

    def _assign(self, agent: str, user: str) -> None:
        before = self._user_of_agent.get(agent, "")
        if before == user:
            return
        self._agents_of_user[before].discard(agent)
        if user:
            self._user_of_agent[agent] = user
            self._agents_of_user[user].add(agent)
        else:
            self._user_of_agent.pop(agent, None)

    async def learn(self, switch: Switch) -> None:
        """Ask a switch for all it knows. Raises WaitEnded when the connection is lost meanwhile."""
        changes = self._changes[switch.name] = {}
        try:
            registrations = await switch.link.api(commands.show_registrations())
            channels = await self._own_channels(switch)
        finally:
            del self._changes[switch.name]
        channels.update(changes)
        known = self._seen | set(self._channels[switch.name].values())
        self._registered[switch.name] = {user for (user,) in rows_of(registrations, "reg_user")}
        self._seen |= self._registered[switch.name]
        self._channels[switch.name] = {uuid: user for uuid, user in channels.items() if user}
        self._tell(sorted(known | self._seen | set(self._channels[switch.name].values())))

    async def _own_channels(self, switch: Switch) -> dict[str, str]:
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
        own: dict[str, str] = {}

        def take(uuid: str, channel: Event) -> None:
            # Not what the table says, in which a caller's name can hold what looks like columns.
            if channel.variable("cc_side") != "agent":
                own[uuid] = _user(channel.get("Channel-Presence-ID"))

        await describe(switch.link, uuids, take)
        return own

    def _may_be_an_agents(self, presence_id: str) -> bool:
        """Say whether a channel may be an agent's own by its presence ID, as the table shows it.

        Thousands of others may be shown as well. What is no presence ID stands in the place of one.
        """
        user, at, _ = presence_id.partition("@")
        return bool(presence_id) and (not at or user in self._agents_of_user)

    def take(self, switch: Switch, event: Event) -> None:
        """Learn from an event of a switch. Never waits."""
        match event.name:
            case "CUSTOM":
                self._take_registration(switch, event)
            case "CHANNEL_CREATE" if event.variable("cc_side") != "agent" and event.get(
                "Channel-Presence-ID"
            ):
                user = _user(event.get("Channel-Presence-ID"))
                self._channels[switch.name][event.uuid] = user
                self._changes.get(switch.name, {})[event.uuid] = user
                self._tell([user])
            case "CHANNEL_HANGUP_COMPLETE":
                self._changes.get(switch.name, {})[event.uuid] = ""
                user = self._channels[switch.name].pop(event.uuid, "")
                if user:
                    self._tell([user])

    def _take_registration(self, switch: Switch, event: Event) -> None:
        registered = self._registered.setdefault(switch.name, set())
        if event.get("Event-Subclass") == "sofia::register":
            user = event.get("from-user")
            registered.add(user)
            self._seen.add(user)
        else:
            user = event.get("user") or event.get("from-user")
            registered.discard(user)
        self._tell([user])

    def _tell(self, users: Iterable[str]) -> None:
        if self._dispatcher is None:
            return
        for user in users:
            is_registered = any(user in users for users in self._registered.values())
            registered = is_registered if user in self._seen else None
            has_call = any(user in channels.values() for channels in self._channels.values())
            for agent in sorted(self._agents_of_user.get(user, ())):
                self._tell_one(self._dispatcher, agent, registered, has_call)

    def _tell_one(self, dispatcher: Dispatcher, agent: str, registered: bool | None, has_call: bool) -> None:
        def say(distributor: Distributor, now: float) -> None:
            distributor.set_registered(agent, registered, now)
            distributor.set_external_call(agent, has_call, now)

        try:
            dispatcher.act(say)
        except UnknownAgent:
            log.debug("a phone's agent is gone", agent=agent)


def _user(presence_id: str) -> str:
    return presence_id.partition("@")[0]
