"""An agent as it stands now: what a person chose, what the machine has it do, and what it could take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING

from attrs import define, field

from callctl.acd.needs import Abilities, Kind
from callctl.model import AgentRecord, AgentSettings, AgentState, AgentStatus, Offer, PassedOver, Tier

if TYPE_CHECKING:
    from callctl.acd.queue import Queue

PRESENT_STATUSES = frozenset({AgentStatus.AVAILABLE, AgentStatus.AVAILABLE_ON_DEMAND})
"""Who has one of these serves callers. On Break does not count."""

UNREGISTERED = "its phone is not registered"

NEVER_YET = -math.inf

_OCCUPATIONS: Mapping[AgentState, str] = {
    AgentState.RESERVED: "is being offered another call",
    AgentState.RECEIVING: "is being offered another call",
    AgentState.IN_A_QUEUE_CALL: "in a queue call",
    AgentState.WRAP_UP: "in wrap-up",
    AgentState.IDLE: "idle after its last call, until it asks for the next one",
}
_LASTING = frozenset({AgentState.IN_A_QUEUE_CALL, AgentState.IDLE})
"""The states whose words hold until the next one: no time is in them, and no ring that may be withdrawn."""


class Phase(Enum):
    """How far a reservation has come."""

    RESERVED = auto()
    RINGING = auto()
    ANSWERED = auto()
    TALKING = auto()
    WITHDRAWN = auto()


@define(eq=False)
class Reservation:
    """The distributor's side of an offer. Withdrawn, it still keeps the agent until the leg is gone."""

    offer: Offer
    phase: Phase = Phase.RESERVED
    bridged_at: float = 0.0
    caller_number: str = ""

    @property
    def is_ringing(self) -> bool:
        """Whether this offer is still waiting for the agent's answer."""
        return self.phase in (Phase.RESERVED, Phase.RINGING)


@define(eq=False)
class Agent:
    """One agent, live. Only the roster and the distributor change it."""

    settings: AgentSettings
    status: AgentStatus = AgentStatus.LOGGED_OUT
    state: AgentState = AgentState.IDLE
    reason: str = ""
    status_until: float | None = None
    misses: int = 0
    calls_answered: int = 0
    talk_seconds: float = 0.0
    last_offered_at: float | None = None
    last_call_ended_at: float | None = None
    registered: bool | None = None
    external_call: bool = False
    held_until: float = 0.0
    held_for: str = ""
    held_until_registered: bool = False
    unreached: dict[str, int] = field(factory=dict)
    """How many offers in a row reached no phone, by call, as far as they are held against this agent."""
    reached_at: float = NEVER_YET
    """When it was last known that an offer reached the phone."""
    wrap_up_until: float = 0.0
    reservation: Reservation | None = None
    call: str = ""
    tiers: dict[str, Tier] = field(factory=dict)
    seats: dict[str, Seat] = field(factory=dict)
    """The agent's seats in the queues that there are."""
    abilities: Abilities = field(init=False)
    kept_refusal: PassedOver | None = None
    stands_as: tuple[str, bool] | None = None
    """As what the queues last counted this agent: its occupation, and whether it is present."""

    def __attrs_post_init__(self) -> None:
        self.apply(self.settings)

    def apply(self, settings: AgentSettings) -> None:
        """Let these settings hold from now on."""
        self.settings = settings
        self.abilities = Abilities.of(settings)

    @classmethod
    def of_record(cls, record: AgentRecord) -> Agent:
        """Return the agent as it was last heard of; a call it may have had is not believed in."""
        agent = cls(
            record.settings,
            status=record.status,
            reason=record.reason,
            status_until=record.status_until,
            misses=record.misses,
            calls_answered=record.calls_answered,
            talk_seconds=record.talk_seconds,
            last_offered_at=record.last_offered_at,
            last_call_ended_at=record.last_call_ended_at,
        )
        agent.state = agent.resting_state
        if record.status is AgentStatus.AVAILABLE_ON_DEMAND and record.state is AgentState.IDLE:
            agent.state = AgentState.IDLE
        if record.state is AgentState.WRAP_UP and record.last_call_ended_at is not None:
            agent.state = AgentState.WRAP_UP
            agent.wrap_up_until = record.last_call_ended_at + record.settings.wrap_up_time
        return agent

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.settings.name

    @property
    def resting_state(self) -> AgentState:
        """The state of an agent of this status who has nothing to do."""
        return AgentState.WAITING if self.status in PRESENT_STATUSES else AgentState.IDLE

    @property
    def is_present(self) -> bool:
        """Whether this agent counts as serving its queues: Available, and reachable somewhere.

        A phone that is known not to be registered reaches nobody, unless it rings or is talked on just now.
        """
        if self.status not in PRESENT_STATUSES or not self.abilities.is_reachable:
            return False
        return self.registered is not False or self.reservation is not None

    def is_free(self, now: float) -> bool:
        """Return whether this agent could take a call from somebody at `now`."""
        return self.state is AgentState.WAITING and self.held_until <= now and self.registered is not False

    def occupation(self, now: float) -> str:
        """Return what keeps this agent from taking a call at `now`, in words that many share, or ""."""
        if self.is_free(now):
            return ""
        if self.status not in PRESENT_STATUSES:
            return self.status.value
        if self.state is not AgentState.WAITING:
            return _OCCUPATIONS[self.state]
        return UNREGISTERED if self.registered is False else "not offered a call for a while"

    def why_not_free(self, now: float) -> str:
        """Return in words, and with what is particular, why this agent could take no call at `now`, or ""."""
        if self.status not in PRESENT_STATUSES:
            return f"{self.status} ({self.reason})" if self.reason else str(self.status)
        if self.reservation is not None and self.reservation.phase is Phase.WITHDRAWN:
            return "its last ring is just being cancelled"
        if self.state is AgentState.WRAP_UP:
            return f"{_OCCUPATIONS[self.state]} for {self.wrap_up_until - now:.0f} s more"
        if self.state is not AgentState.WAITING:
            return _OCCUPATIONS[self.state]
        if self.registered is False:
            return UNREGISTERED
        if self.held_until > now:
            return f"not offered a call for {self.held_until - now:.0f} s more, after {self.held_for}"
        return ""

    def refusal(self, now: float) -> PassedOver | None:
        """Return `why_not_free` as an entry of a decision, or None.

        What does not change by itself is kept until the agent changes: most agents of a busy queue talk,
        and each decision names them all.
        """
        if self.kept_refusal is not None:
            return self.kept_refusal
        why = self.why_not_free(now)
        if not why:
            return None
        refusal = PassedOver(agent=self.name, why=why)
        if self.status not in PRESENT_STATUSES or self.state in _LASTING:
            self.kept_refusal = refusal
        return refusal

    def record(self) -> AgentRecord:
        """Return the row of `agents` for this agent."""
        return AgentRecord(
            settings=self.settings,
            status=self.status,
            state=self.state,
            reason=self.reason,
            status_until=self.status_until,
            misses=self.misses,
            calls_answered=self.calls_answered,
            talk_seconds=self.talk_seconds,
            last_offered_at=self.last_offered_at,
            last_call_ended_at=self.last_call_ended_at,
        )


@define(eq=False)
class Seat:
    """An agent in a queue: what a strategy looks at. The place is copied, as it is looked at most."""

    agent: Agent
    queue: Queue
    tier: Tier
    name: str = field(init=False)
    level: int = field(init=False)
    position: int = field(init=False)
    occupation: str | None = None
    """What the queue counts this agent under, "" for the free; None before it is counted."""
    is_present: bool = False
    """Whether the queue counts this agent among those who are present."""

    def __attrs_post_init__(self) -> None:
        self.name = self.agent.name
        self.level = self.tier.level
        self.position = self.tier.position

    @property
    def kind(self) -> Kind:
        """Which kind of agent this is now. A call of its own counts if the queue skips such agents."""
        agent = self.agent
        on_own_call = agent.external_call and self.queue.settings.skip_agents_with_external_calls
        return Kind(self.level, agent.abilities, on_own_call)

    @property
    def talk_seconds(self) -> float:
        """How long this agent has talked in queue calls."""
        return self.agent.talk_seconds

    @property
    def calls_answered(self) -> int:
        """How many queue calls this agent has answered."""
        return self.agent.calls_answered

    @property
    def last_call_ended_at(self) -> float | None:
        """When this agent's last queue call ended."""
        return self.agent.last_call_ended_at

    @property
    def last_offered_at(self) -> float | None:
        """When this agent was last offered a call."""
        return self.agent.last_offered_at
