"""The records and enums that all rooms speak, in the words of the field.

Settings come in from the configuration and the store. Facts go out to the store: each is a whole row
under its own key, so that writing one twice changes nothing. Every time is in UTC seconds since the
epoch (see `callctl.clock`), every duration in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen


class AgentStatus(StrEnum):
    """What a person chose to be."""

    LOGGED_OUT = "Logged Out"
    AVAILABLE = "Available"
    AVAILABLE_ON_DEMAND = "Available (On Demand)"
    ON_BREAK = "On Break"


class AgentState(StrEnum):
    """What the machine has an agent do."""

    WAITING = "Waiting"
    RESERVED = "Reserved"
    RECEIVING = "Receiving"
    IN_A_QUEUE_CALL = "In a queue call"
    WRAP_UP = "Wrap-up"
    IDLE = "Idle"


class MemberState(StrEnum):
    """Where a caller stands."""

    WAITING = "Waiting"
    TRYING = "Trying"
    ANSWERED = "Answered"
    ABANDONED = "Abandoned"


class Strategy(StrEnum):
    """The order in which agents are offered a call."""

    LONGEST_IDLE_AGENT = "longest-idle-agent"
    AGENT_WITH_LEAST_TALK_TIME = "agent-with-least-talk-time"
    AGENT_WITH_FEWEST_CALLS = "agent-with-fewest-calls"
    ROUND_ROBIN = "round-robin"
    TOP_DOWN = "top-down"
    SEQUENTIALLY_BY_AGENT_ORDER = "sequentially-by-agent-order"
    RANDOM = "random"
    RING_ALL = "ring-all"
    RING_PROGRESSIVELY = "ring-progressively"


class WaitMedia(StrEnum):
    """What the caller's leg gets while waiting: billed, early media, or only a ringing tone."""

    ANSWER = "answer"
    PRE_ANSWER = "pre-answer"
    RING_READY = "ring-ready"


class Reason(StrEnum):
    """How a wait ends. Each call has exactly one.

    CLOSED is outside opening hours, EMPTY that nobody serves the queue. UNSEEN means that the call ended
    while no callctl was looking, and that no bridge had been seen.
    """

    BRIDGED = "BRIDGED"
    CALLER_HANGUP = "CALLER_HANGUP"
    TIMEOUT = "TIMEOUT"
    NO_AGENT_TIMEOUT = "NO_AGENT_TIMEOUT"
    FULL = "FULL"
    EMPTY = "EMPTY"
    CLOSED = "CLOSED"
    EXIT_WITH_KEY = "EXIT_WITH_KEY"
    OVERFLOW = "OVERFLOW"
    WITHDRAWN = "WITHDRAWN"
    TRANSFERRED = "TRANSFERRED"
    SWITCH_LOST = "SWITCH_LOST"
    ERROR = "ERROR"
    UNSEEN = "UNSEEN"


class Outcome(StrEnum):
    """What became of a call, summed up: offered = the sum of all five."""

    HANDLED = "handled"
    ABANDONED = "abandoned"
    OVERFLOWED = "overflowed"
    REFUSED = "refused"
    FAILED = "failed"


OUTCOME_OF_REASON: Mapping[Reason, Outcome] = {
    Reason.BRIDGED: Outcome.HANDLED,
    Reason.CALLER_HANGUP: Outcome.ABANDONED,
    Reason.TIMEOUT: Outcome.OVERFLOWED,
    Reason.NO_AGENT_TIMEOUT: Outcome.OVERFLOWED,
    Reason.FULL: Outcome.REFUSED,
    Reason.EMPTY: Outcome.REFUSED,
    Reason.CLOSED: Outcome.REFUSED,
    Reason.EXIT_WITH_KEY: Outcome.OVERFLOWED,
    Reason.OVERFLOW: Outcome.OVERFLOWED,
    Reason.WITHDRAWN: Outcome.OVERFLOWED,
    Reason.TRANSFERRED: Outcome.OVERFLOWED,
    Reason.SWITCH_LOST: Outcome.FAILED,
    Reason.ERROR: Outcome.FAILED,
    # Whether the caller gave up or was served is not known: it counts neither for nor against the agents.
    Reason.UNSEEN: Outcome.FAILED,
}


class Direction(StrEnum):
    """Who called: a caller from outside, or an agent."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


DEFAULT_ACCOUNT = "default"
"""The account of queues, agents and calls of which nothing else is said."""

EVERY_ACCOUNT = "*"
"""The account of a token that sees all, and of queues and agents that all share."""


class Scope(StrEnum):
    """What somebody may do over HTTP."""

    READ = "read"
    """See everything of the account, and change nothing."""
    AGENT = "agent"
    """Act for one agent, and see what that agent needs."""
    SUPERVISOR = "supervisor"
    """See everything, act for every agent, and steer calls."""
    ADMIN = "admin"
    """Everything, also what could run a command on a switch."""


@frozen(kw_only=True)
class TokenRecord:
    """A row of `tokens`: one that callctl made, or that somebody revoked. Times in epoch seconds or None.

    `jti` is the token's own name. `scope` are words of `Scope`, divided by blanks. Of a token that another
    issuer made nothing but the `jti` is known. The token itself is not kept.
    """

    jti: str
    subject: str = ""
    account: str = ""
    scope: str = ""
    agent: str = ""
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None


class CallState(StrEnum):
    """Where a call stands in its life, as the history shows it."""

    WAITING = "waiting"
    RINGING = "ringing"
    BRIDGING = "bridging"
    TALKING = "talking"
    ENDED = "ended"


class HungUpBy(StrEnum):
    """Whose hangup ended the call. TRANSFERRED: nobody's, as the caller was sent elsewhere and lives on."""

    CALLER = "caller"
    AGENT = "agent"
    CALLCTL = "callctl"
    SWITCH = "switch"
    TRANSFERRED = "transferred"


class OfferResult(StrEnum):
    """What became of one ring of one agent."""

    RINGING = "ringing"
    ANSWERED = "answered"
    BUSY = "busy"
    REJECTED = "rejected"
    NO_ANSWER = "no-answer"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class OverflowRule:
    """Where a queue sends callers, and when: every condition that is given must hold.

    `waited` is in seconds since joining. `waiting` (more than so many callers up to this one) and
    `expected_wait` (over so many seconds) count on entering, or once `waited` is over if that is given
    too. `to` is "queue:NAME", "extension:NUMBER", "voicemail:BOX" or "hangup:CAUSE".
    """

    to: str
    waited: float | None = None
    expected_wait: float | None = None
    waiting: int | None = None
    nobody_there: bool = False


@frozen(kw_only=True)
class OpeningHours:
    """When a queue is open, in local time: `open` like "Mon-Fri 09:00-17:00", none meaning always.

    `holidays` go over it: a date alone ("2026-12-25", "12-25" for every year) is closed, with times
    ("2026-12-24 09:00-12:00") open for those.
    """

    timezone: str = "UTC"
    open: tuple[str, ...] = ()
    holidays: tuple[str, ...] = ()


LONGEST_WHISPER_SECONDS = 60.0
"""How long an agent is let hear what is played before the caller comes. Longer ones are cut, or one that
never ends would keep the caller waiting for ever; nobody whispers for a minute."""


def prelude_seconds(sound: str, key: str, key_seconds: float) -> float:
    """Return how long an agent may take between answering and getting the caller: for hearing, then a key."""
    return (LONGEST_WHISPER_SECONDS if sound else 0.0) + (key_seconds if key else 0.0)


@frozen(kw_only=True)
class QueueSettings:
    """One queue's parameters, by mod_callcenter's names where it has one; durations in seconds.

    `announce_sound` are played in turn, every `announce_frequency`; the place in the queue is said every
    `announce_interval`. An agent hears `agent_announce` to its end before the caller comes. With `accept_key`
    it gets the caller only after pressing it, within `accept_timeout` of that end, so that no voicemail
    takes a call. A caller who presses `callback_key` hangs up, keeps
    the place, and is called at `callback_dialstring` (`{number}` is the caller's) once an agent is there;
    `callback_offer` is the announcement that says so. `account` is whose queue it is, `*` for one that all
    share.
    """

    name: str
    account: str = DEFAULT_ACCOUNT
    strategy: Strategy = Strategy.LONGEST_IDLE_AGENT
    moh_sound: str = "local_stream://moh"
    wait_media: WaitMedia = WaitMedia.ANSWER
    greeting: str = ""
    announce_sound: tuple[str, ...] = ()
    announce_frequency: float = 0
    announce_position: str = "no"
    announce_wait: str = "no"
    announce_interval: float = 30
    exit_keys: str = ""
    agent_announce: str = ""
    accept_key: str = ""
    accept_timeout: float = 10
    record_template: str = ""
    callback_key: str = ""
    callback_dialstring: str = ""
    callback_attempts: int = 3
    callback_retry_interval: float = 300
    callback_expiry: float = 7200
    callback_offer: str = ""
    callback_offer_after: float = 60
    weight: float = 1.0
    time_base_score: str = "queue"
    tier_rules_apply: bool = False
    tier_rule_wait_second: float = 0
    tier_rule_wait_multiply_level: bool = False
    tier_rule_no_agent_no_wait: bool = True
    max_callers: int = 0
    max_wait_time: float = 0
    max_wait_time_with_no_agent: float = 0
    max_wait_time_with_no_agent_time_reached: float = 5
    ring_timeout: float = 20
    ring_progressively_delay: float = 10
    wrap_up_time: float | None = None
    agent_no_answer_status: AgentStatus = AgentStatus.ON_BREAK
    skip_agents_with_external_calls: bool = True
    join_when_empty: bool = True
    leave_when_empty: bool = False
    discard_abandoned_after: float = 60
    abandoned_resume_allowed: bool = False
    service_level_seconds: float = 20
    short_abandon_seconds: float = 6
    skill_relax_seconds: float = 0
    preferred_agent_seconds: float = 0
    overflow: tuple[OverflowRule, ...] = ()
    hours: OpeningHours | None = None
    closed_target: str = ""


@frozen(kw_only=True)
class AgentSettings:
    """One agent as configured: the dial string and how misses are treated, in seconds.

    `contact` is a dial string for every switch; `contacts` overrides it for a switch by name. An agent
    without either can be kept and logged in, but is never offered a call. `account` is whose agent it is, `*`
    for one that all share; `display_name` is the name that people are shown, "" where it is the name itself.
    """

    name: str
    account: str = DEFAULT_ACCOUNT
    display_name: str = ""
    contact: str = ""
    contacts: Mapping[str, str] = field(factory=dict)
    max_no_answer: int = 0
    wrap_up_time: float = 0
    reject_delay_time: float = 0
    busy_delay_time: float = 0
    no_answer_delay_time: float = 0
    skills: Mapping[str, int] = field(factory=dict)

    def contact_on(self, switch: str) -> str:
        """Return the dial string to use on `switch`, or "" where there is none."""
        return self.contacts.get(switch, self.contact)


@frozen(kw_only=True)
class Tier:
    """An agent's place in a queue."""

    queue: str
    agent: str
    level: int = 1
    position: int = 1


@frozen(kw_only=True)
class Arrival:
    """One visit of one call to a queue, as the dialplan handed it over.

    `call` is our own key of the visit and `uuid` the caller's channel on `switch`. `joined_at` is kept
    over every reconnection. `skills` are required levels by name; `variables` are whatever else the
    dialplan asked to keep. `place_since` is since when a caller has its place who brought it along from
    another queue (those in `came_through`) or an earlier visit; None means since joining. A `callback`
    has no caller on the line: it keeps a place, and is offered like a call when its turn comes.
    `account` decides who may see the call, while `account_id` is what the dialplan sent. `dialled_number`
    is the number that the caller dialled, "" if the channel does not tell.
    """

    call: str
    uuid: str
    switch: str
    queue: str
    arrived_at: float
    joined_at: float
    original_uuid: str = ""
    account: str = DEFAULT_ACCOUNT
    account_id: str = ""
    widget_id: str = ""
    call_type: str = ""
    source: str = ""
    direction: Direction = Direction.INCOMING
    dialled_number: str = ""
    caller_number: str = ""
    caller_name: str = ""
    lead_number: str = ""
    base_score: float = 0
    skills: Mapping[str, int] = field(factory=dict)
    moh_sound: str = ""
    exit_keys: str = ""
    cid_name_prefix: str = ""
    variables: Mapping[str, str] = field(factory=dict)
    resumes: int = 0
    preferred_agent: str = ""
    place_since: float | None = None
    came_through: tuple[str, ...] = ()
    callback: bool = False


@frozen(kw_only=True)
class Place:
    """Where a caller stands on joining a queue: `position` 1 is the next.

    `since` is when the place began, if that was on an earlier visit.
    """

    position: int
    since: float | None = None


@frozen(kw_only=True)
class Offer:
    """One ring of one agent for one call: a reservation that ends by itself at `lease_until`."""

    id: str
    call: str
    queue: str
    agent: str
    contact: str
    leg_uuid: str
    offered_at: float
    ring_timeout: float
    lease_until: float


CALLBACK_TARGET = "callback"
"""The target of a caller who hangs up and is to be called back: another visit, which keeps the place."""


@frozen(kw_only=True)
class CallRecord:
    """A row of `calls`: all that is known of one visit to a queue. Times in epoch seconds or None.

    `target` is where a wait that ended without an agent led, in the words of the queue's rule. `recording`
    is the file on the switch that the talk was recorded to. `previous_visit` is the key of the visit before
    this one, `transferred_by` the agent who sent the caller here, `transferred_to` where the caller was sent
    out of the talk: an extension with its dialplan and context, a number, or `queue NAME`. `disposition` and
    `note` are the agent's words about the call. Each is "" where there is none.
    """

    arrival: Arrival
    state: CallState
    outcome: Outcome | None = None
    reason: Reason | None = None
    target: str = ""
    hung_up_by: HungUpBy | None = None
    hangup_cause: str = ""
    agent: str = ""
    agent_uuid: str = ""
    answered_at: float | None = None
    bridged_at: float | None = None
    ended_at: float | None = None
    hold_seconds: float = 0.0
    offers: int = 0
    position_at_entry: int = 0
    previous_visit: str = ""
    transferred_by: str = ""
    transferred_to: str = ""
    recording: str = ""
    disposition: str = ""
    note: str = ""

    @property
    def is_offered(self) -> bool:
        """Say whether this visit counts in the figures.

        Of a caller who asked to be called back the visit of the callback counts, as its end is what became of
        the call; the one before it does not count besides.
        """
        return self.target != CALLBACK_TARGET


@frozen(kw_only=True)
class OfferRecord:
    """A row of `offers`."""

    id: str
    call: str
    agent: str
    leg_uuid: str
    offered_at: float
    answered_at: float | None = None
    ended_at: float | None = None
    result: OfferResult = OfferResult.RINGING
    cause: str = ""


DOWN = "callctl was down"
"""The reason of the spans in which no callctl ran: they count as nobody's time."""

HEALED = "healed"
"""The timeline's word for a state that was found wrong, and put right."""


@frozen(kw_only=True)
class CallEvent:
    """A row of `call_events`, the timeline: what happened to a call, when, and with what detail."""

    call: str
    at: float
    event: str
    detail: str = ""


@frozen(kw_only=True)
class PriorityChange:
    """A step of the timeline: a waiting caller's base score went from `before` to `after`; `by` did it."""

    call: str
    at: float
    before: float
    after: float
    by: str = ""


@frozen(kw_only=True)
class SwitchChange:
    """A switch takes orders from now on, or no longer. Not a row; `calls` is how many live calls it has."""

    switch: str
    at: float
    is_ready: bool
    calls: int


@frozen(kw_only=True)
class EventRecord:
    """A row of `events`: what other systems are told. `data` is a record of the catalogue.

    The journal makes it of other facts, and writes it together with them.
    """

    id: str
    type: str
    at: float
    account: str
    call: str = ""
    queue: str = ""
    agent: str = ""
    data: object


@frozen(kw_only=True)
class AgentRecord:
    """A row of `agents`: the settings, and how the agent stood when last heard of.

    `status_until` is when a timed pause ends, after which the agent is Available again.
    """

    settings: AgentSettings
    status: AgentStatus
    state: AgentState
    reason: str = ""
    misses: int = 0
    calls_answered: int = 0
    talk_seconds: float = 0.0
    last_offered_at: float | None = None
    last_call_ended_at: float | None = None
    status_until: float | None = None


@frozen(kw_only=True)
class AgentRemoved:
    """An agent, and with it every tier of the agent, is no more."""

    agent: str


@frozen(kw_only=True)
class QueueRemoved:
    """A row of `queues` is no more; its tiers stay, for when there is such a queue again."""

    queue: str


@frozen(kw_only=True)
class TierRemoved:
    """A row of `tiers` is no more."""

    queue: str
    agent: str


@frozen(kw_only=True)
class AgentSpan:
    """A row of `agent_spans`: one stretch of one status and state. Spans have no gap and no overlap.

    `wrap_up_until` is when a wrap-up that begins is to end; it is told of, and not part of the row.
    """

    agent: str
    started_at: float
    ended_at: float | None
    status: AgentStatus
    state: AgentState
    reason: str = ""
    call: str = ""
    wrap_up_until: float | None = None


@frozen(kw_only=True)
class PassedOver:
    """A candidate who was not chosen, and why, in words that a person understands."""

    agent: str
    why: str


@frozen(kw_only=True)
class Decision:
    """A row of `decisions`: who was considered for a call, who was chosen, and why not the others.

    In a queue of up to 50 agents each of them is named. Where there are more, `order` ends with the tenth
    who is eligible, and all others are the last of `passed_over`: how many, and how many for each reason.
    """

    id: str
    at: float
    call: str
    queue: str
    strategy: Strategy
    chosen: tuple[str, ...]
    order: tuple[str, ...]
    passed_over: tuple[PassedOver, ...]


@frozen(kw_only=True)
class QueueTargets:
    """A row of `queue_targets`: the thresholds, in seconds, that a queue's figures are computed with."""

    queue: str
    service_level_seconds: float
    short_abandon_seconds: float


Fact = (
    CallRecord
    | OfferRecord
    | CallEvent
    | AgentRecord
    | AgentRemoved
    | QueueSettings
    | QueueRemoved
    | Tier
    | TierRemoved
    | AgentSpan
    | Decision
    | QueueTargets
    | TokenRecord
    | PriorityChange
    | SwitchChange
    | EventRecord
)
"""What the store writes down."""
