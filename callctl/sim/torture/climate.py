"""What one hour is like: how many people there are, how they behave, and what goes wrong how often.

Every hour has a climate of its own, drawn from its seed, so that a thousand hours are a thousand different
call centres and not one that is looked at for long.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from attrs import evolve, frozen

from callctl.model import AgentSettings, OverflowRule, QueueSettings, Strategy, Tier, WaitMedia

MISHAPS: Mapping[str, float] = {
    "stop": 1500,
    "restart-loop": 3600,
    "switch-crash": 2400,
    "switch-shutdown": 7200,
    "link-drop": 500,
    "socket-drop": 300,
    "all-sockets-drop": 2400,
    "stall": 1800,
    "network-loss": 2400,
    "slow-api": 1800,
    "disk-full": 1500,
    "database-locked": 1500,
    "originate-refused": 3600,
    "login-refused": 7200,
    "failed-bridges": 2400,
    "cut-and-send": 900,
}
"""Seconds between two mishaps of a kind, on average, in an hour that has this kind at all."""

CUT_AND_SEND = "cut-and-send"
"""A caller is sent elsewhere in the moment in which callctl, or its connection, is gone."""

FEWEST_SECONDS_BETWEEN_CALLS = 15.0
"""240 calls an hour at most. What a crash meets is who waits, rings and talks at that moment, and not how
many calls went before it; but their number is what an hour costs."""


ACCEPT_KEY = "1"
"""The key by which agents accept a call, where they have to."""

CALLBACK_KEY = "5"
"""The key by which callers ask to be called back, where they can."""

MEMBERS = tuple(f"4930{number:04d}" for number in range(1, 401))
"""The numbers of those who call; some call again."""

LAST_QUEUE = "last"
"""The queue that callers reach by an overflow alone."""


@frozen(kw_only=True)
class Climate:
    """One hour's circumstances. Durations are mean seconds, shares are from 0 to 1."""

    switches: tuple[str, ...]
    queues: tuple[QueueSettings, ...]
    entrances: tuple[str, ...]
    """The queues that callers come to; the others are reached by an overflow alone."""
    agents: tuple[AgentSettings, ...]
    tiers: tuple[Tier, ...]
    seconds_between_calls: float
    patience_seconds: float
    talk_seconds: float
    awkward_share: float
    """How many callers hang up in the instant in which something happens to them."""
    transferred_share: float
    """How many callers are taken out of the queue by somebody else."""
    sent_share: float = 0.0
    """How many callers are sent into a queue, out of a wait or a talk, or elsewhere, at any moment."""
    ordered_share: float
    """How many callers a supervisor hangs up."""
    seconds_between_whims: float
    """How long an agent keeps a status."""
    seconds_between_crashes: float
    seconds_down: float
    """How long callctl is away after a crash."""
    mishaps: Mapping[str, float]
    late_events: float
    late_seconds: float
    lost_jobs: float
    missing_completions: float
    latency_seconds: float
    """The longest time that anything takes on its way to callctl."""


def draw_climate(chance: Random, crash_every: float) -> Climate:
    """Draw one hour's climate; callctl crashes every `crash_every` seconds on average."""
    switches = ("fs1",) if chance.random() < 0.7 else ("fs1", "fs2")
    queues = tuple(
        _queue(chance, name) for name in (("caller",) if chance.random() < 0.6 else ("caller", "vip"))
    )
    talk_seconds = chance.choice((5.0, 20.0, 60.0, 120.0))
    # Many agents with short talks would only make more of the same calls.
    most_agents = chance.choice((3, 6, 12)) if talk_seconds > 5.0 else 3
    agents = tuple(_agent(chance, str(1001 + number)) for number in range(chance.randint(1, most_agents)))
    tiers = tuple(
        Tier(queue=queue.name, agent=agent.name, level=chance.randint(1, 2), position=chance.randint(1, 3))
        for queue in queues
        for agent in agents
        if queue.name == "caller" or chance.random() < 0.5
    )
    busy = chance.choice((0.4, 0.8, 1.2))
    is_rough = chance.random() < 0.5
    return Climate(
        switches=switches,
        queues=queues,
        entrances=tuple(queue.name for queue in queues),
        agents=agents,
        tiers=tiers,
        seconds_between_calls=max(FEWEST_SECONDS_BETWEEN_CALLS, (talk_seconds + 8) / len(agents) / busy),
        patience_seconds=chance.choice((10.0, 40.0, 120.0)),
        talk_seconds=talk_seconds,
        awkward_share=chance.choice((0.0, 0.1, 0.4)),
        transferred_share=chance.choice((0.0, 0.03)),
        ordered_share=chance.choice((0.0, 0.03)),
        seconds_between_whims=chance.choice((60.0, 300.0, 1800.0)),
        seconds_between_crashes=crash_every,
        seconds_down=chance.choice((0.1, 3.0, 12.0)),
        mishaps={
            name: mean for name, mean in MISHAPS.items() if name != CUT_AND_SEND and chance.random() < 0.5
        },
        late_events=chance.choice((0.05, 0.3)) if is_rough else 0.0,
        late_seconds=chance.choice((0.05, 0.05, 0.5)),
        lost_jobs=chance.choice((0.0, 0.02, 0.2)) if is_rough else 0.0,
        missing_completions=0.02 if is_rough else 0.0,
        latency_seconds=chance.choice((0.0, 0.002, 0.02)),
    )


def add_overflows(climate: Climate, chance: Random) -> Climate:
    """Let some queues of some hours send callers on, to the next or to a last one without other callers.

    `chance` is one of its own, so that the hours without overflows stay as they are.
    """
    if chance.random() < 0.6:
        return climate
    queues, tiers = list(climate.queues), list(climate.tiers)
    if len(queues) == 1 or chance.random() < 0.3:
        queues.append(_queue(chance, LAST_QUEUE))
        # It may have nobody at all: then the caller goes on waiting, or is given back.
        tiers += [Tier(queue=LAST_QUEUE, agent=a.name) for a in climate.agents if chance.random() < 0.7]
    for at, queue in enumerate(queues[:-1]):
        if at == 0 or chance.random() < 0.7:
            following = chance.choice(queues[at + 1 :]).name
            rules = tuple(_overflow_rule(chance, following) for _ in range(chance.choice((1, 1, 2))))
            queues[at] = evolve(queue, overflow=rules)
    return evolve(climate, queues=tuple(queues), tiers=tuple(tiers))


def add_preludes(climate: Climate, chance: Random) -> Climate:
    """Let agents of some hours accept a call by a key, or hear something first.

    `chance` is one of its own, so that the hours without preludes stay as they are.
    """
    if chance.random() < 0.7:
        return climate
    queues = [
        evolve(
            queue,
            accept_key=chance.choice(("", ACCEPT_KEY, ACCEPT_KEY)),
            agent_announce=chance.choice(("", "whisper.wav")),
            accept_timeout=chance.choice((2.0, 5.0)),
        )
        for queue in climate.queues
    ]
    return evolve(climate, queues=tuple(queues))


def add_callbacks(climate: Climate, chance: Random) -> Climate:
    """Let callers of some hours ask to be called back.

    `chance` is one of its own, so that the hours without callbacks stay as they are.
    """
    if chance.random() < 0.7:
        return climate
    queues = [
        evolve(
            queue,
            exit_keys="",
            callback_key=CALLBACK_KEY,
            callback_dialstring="trunk/{number}",
            callback_attempts=chance.choice((1, 3)),
            callback_retry_interval=chance.choice((1.0, 30.0)),
            callback_expiry=chance.choice((60.0, 300.0, 600.0)),
        )
        for queue in climate.queues
    ]
    return evolve(climate, queues=tuple(queues))


def add_transfers(climate: Climate, chance: Random) -> Climate:
    """Have callers of some hours sent from queue to queue, and elsewhere.

    `chance` is one of its own, so that the hours without transfers stay as they are.
    """
    if chance.random() < 0.5:
        return climate
    mishaps = {**climate.mishaps, CUT_AND_SEND: MISHAPS[CUT_AND_SEND]}
    return evolve(climate, sent_share=chance.choice((0.1, 0.5)), mishaps=mishaps)


def _overflow_rule(chance: Random, queue: str) -> OverflowRule:
    to, kind = f"queue:{queue}", chance.random()
    if kind < 0.5:
        return OverflowRule(to=to, waited=chance.choice((0.5, 5.0, 20.0)))
    if kind < 0.7:
        return OverflowRule(to=to, waiting=chance.choice((1, 3)))
    if kind < 0.9:
        return OverflowRule(to=to, nobody_there=True)
    return OverflowRule(to=to, expected_wait=20.0)


def _queue(chance: Random, name: str) -> QueueSettings:
    return QueueSettings(
        name=name,
        strategy=chance.choice(list(Strategy)),
        wait_media=chance.choice((WaitMedia.ANSWER, WaitMedia.ANSWER, *WaitMedia)),
        ring_timeout=chance.choice((3.0, 8.0, 20.0)),
        ring_progressively_delay=3.0,
        wrap_up_time=chance.choice((None, 0.0, 2.0, 15.0)),
        max_wait_time=chance.choice((0.0, 0.0, 30.0, 120.0)),
        max_wait_time_with_no_agent=chance.choice((0.0, 0.0, 60.0)),
        max_callers=chance.choice((0, 0, 5)),
        tier_rules_apply=chance.random() < 0.3,
        tier_rule_wait_second=10.0,
        exit_keys=chance.choice(("", "", "1")),
        leave_when_empty=chance.random() < 0.1,
        join_when_empty=chance.random() < 0.9,
    )


def _agent(chance: Random, name: str) -> AgentSettings:
    return AgentSettings(
        name=name,
        contact=f"user/{name}",
        max_no_answer=chance.choice((0, 0, 3)),
        wrap_up_time=chance.choice((0.0, 2.0, 10.0)),
        reject_delay_time=chance.choice((0.0, 5.0)),
        busy_delay_time=chance.choice((0.0, 5.0)),
        no_answer_delay_time=chance.choice((0.0, 5.0)),
    )
