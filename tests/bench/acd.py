"""What distribution costs, and how it grows: a decision and a whole call, each at four sizes of one thing.

Only the distributor runs here, in this process, and the time is its CPU's, the least of many rounds. A whole
call is: join, the ring, the answer, the bridge, leave, the end of the talk and of the wrap-up, with the next
deadline asked for each time. A decision is what an agent who comes free leads to, or, where agents are free,
a caller who joins.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Mapping

from callctl.acd.distributor import Distributor
from callctl.acd.effects import Offered
from callctl.ids import Ids
from callctl.model import AgentSettings, AgentStatus, Arrival, Offer, QueueSettings, Tier
from tests.bench.figures import Figure
from tests.bench.subject import Size, command

CALLS_A_ROUND = 20
"""So few that some rounds are disturbed by nothing else that the machine does."""

STEP_SECONDS = 0.00001
"""So little time passes from one event to the next that nothing falls due by itself."""

EXPONENT_GOAL = 0.2
RATIO_GOAL = 1.5

GROWING: Mapping[str, tuple[Mapping[str, int], tuple[int, int, int, int]]] = {
    "waiting": ({"agents": 100}, (10, 100, 1_000, 10_000)),
    "agents": ({"waiting": 100}, (10, 100, 1_000, 10_000)),
    "agents, free": ({"waiting": 0}, (10, 100, 1_000, 10_000)),
    "ringing": ({"waiting": 100, "agents": 10}, (10, 100, 1_000, 10_000)),
    "queues": ({"waiting": 1_000, "agents": 2_000, "queues_each": 2}, (2, 10, 50, 250)),
    "queues of one agent": ({"waiting": 1_000, "agents": 200, "queues": 64}, (1, 4, 16, 64)),
    "skills in demand": ({"waiting": 200, "agents": 100}, (1, 4, 16, 64)),
}
"""What grows, beside what stays, through which sizes."""

PARAMETERS = {
    "agents, free": "agents",
    "queues of one agent": "queues_each",
    "skills in demand": "skills",
}
"""Which parameter of a centre grows, where it has not the same name."""


class Centre:
    """A distributor with callers and agents, in which one call after the other lives its life.

    `agents` talk and `waiting` callers wait, so that each agent who comes free gets one of them; with
    nobody waiting all agents are free. Of those who wait, one each wants one of so many `skills` that
    nobody has. `ringing` agents besides are rung all the time for callers who stay at the head of a queue.
    """

    def __init__(
        self,
        *,
        waiting: int,
        agents: int,
        queues: int = 1,
        queues_each: int = 1,
        ringing: int = 0,
        skills: int = 0,
    ) -> None:
        self.decision_seconds = math.inf
        self._distributor = Distributor(ids=Ids(random.Random(1)), random=random.Random(1))
        self._queues = queues
        self._now = 0.0
        self._joined = 0
        self._offers: list[Offer] = []
        self._talks: deque[Offer] = deque()
        for number in range(queues):
            self._distributor.put_queue(QueueSettings(name=f"q{number}", wrap_up_time=5.0), self._now)
        for number in range(ringing + agents):
            self._add_agent(f"a{number}", [f"q{(number + n) % queues}" for n in range(queues_each)])
            if number < ringing:
                self._join(number)
                self._offers.clear()
            elif waiting:
                self._join(number)
                self._talk()
        for number in range(waiting):
            self._join(number, skill=f"skill {number}" if number < skills else "")
        self._distributor.take_effects()

    def live(self) -> None:
        """Let one call live its life, and another one end."""
        self._decide(lambda: self._join(self._joined))
        self._talk()
        offer = self._talks.popleft()
        self._of(offer, Distributor.talk_ended)
        self._decide(lambda: self._do(lambda d, now: d.end_wrap_up(offer.agent, now)))
        self._talk()

    def _add_agent(self, name: str, queues: list[str]) -> None:
        self._distributor.put_agent(AgentSettings(name=name, contact=f"user/{name}"), self._now)
        for queue in queues:
            self._distributor.put_tier(Tier(queue=queue, agent=name), self._now)
        self._distributor.set_status(name, AgentStatus.AVAILABLE, self._now)

    def _join(self, queue: int, skill: str = "") -> None:
        self._joined += 1
        arrival = Arrival(
            call=f"c{self._joined}",
            uuid=f"u{self._joined}",
            switch="fs1",
            queue=f"q{queue % self._queues}",
            arrived_at=self._now,
            joined_at=self._now,
            caller_number=f"+4930{self._joined}",
            skills={skill: 1} if skill else {},
        )
        self._do(lambda d, now: d.join(arrival, now))

    def _decide(self, step: Callable[[], None]) -> None:
        begun = time.process_time()
        step()
        seconds = time.process_time() - begun
        if self._offers:
            self.decision_seconds = min(self.decision_seconds, seconds)

    def _talk(self) -> None:
        """Let whoever is rung answer, and begin to talk."""
        while self._offers:
            offer = self._offers.pop()
            self._of(offer, Distributor.offer_ringing)
            self._of(offer, Distributor.offer_answered)
            self._of(offer, Distributor.bridged)
            self._leave(offer.call)
            self._talks.append(offer)

    def _leave(self, call: str) -> None:
        self._do(lambda d, now: d.leave(call, now))

    def _of(self, offer: Offer, verb: Callable[[Distributor, str, float], object]) -> None:
        self._do(lambda d, now: verb(d, offer.id, now))

    def _do(self, action: Callable[[Distributor, float], object]) -> None:
        self._now += STEP_SECONDS
        action(self._distributor, self._now)
        for effect in self._distributor.take_effects():
            if isinstance(effect, Offered):
                self._offers.append(effect.offer)
        self._distributor.next_deadline()


async def measure(size: Size) -> list[Figure]:
    """A decision and a whole call in the distributor, and how both grow with each thing that can."""
    rounds = size.whole(1, 30, 200)
    figures: list[Figure] = []
    for thing, (rest, sizes) in GROWING.items():
        # A tiny one shows only that it runs.
        grown = sizes[:2] if size is Size.TINY else sizes
        parameter = PARAMETERS.get(thing, thing)
        decisions, calls = _costs([Centre(**{**rest, parameter: number}) for number in grown], rounds)
        for what, costs in (("decision", decisions), ("whole call", calls)):
            figures += [
                Figure(what=f"{what}, {number:,} {thing}", measured=cost, unit="µs")
                for number, cost in zip(grown, costs, strict=True)
            ]
            figures.append(
                Figure(
                    what=f"{what}, growth with {thing}: exponent",
                    measured=_exponent(grown, costs),
                    unit="",
                    goal=EXPONENT_GOAL,
                )
            )
    return figures + _small_and_large(size, rounds)


def _small_and_large(size: Size, rounds: int) -> list[Figure]:
    """Compare the centre of the goal, or a tenth of it, with a small one."""
    part = 10 if size is Size.TINY else 1
    waiting, agents, queues = 10_000 // part, 2_000 // part, 50 // part
    decisions, _ = _costs(
        [Centre(waiting=100, agents=10), Centre(waiting=waiting, agents=agents, queues=queues)], rounds
    )
    large = f"decision, {waiting:,} waiting, {agents:,} agents, {queues} queues"
    return [
        Figure(what="decision, 100 waiting, 10 agents", measured=decisions[0], unit="µs"),
        Figure(what=large, measured=decisions[1], unit="µs"),
        Figure(
            what="decision, large compared with small",
            measured=decisions[1] / decisions[0],
            unit="",
            goal=RATIO_GOAL,
        ),
    ]


def _costs(centres: list[Centre], rounds: int) -> tuple[list[float], list[float]]:
    """Return the least that a decision and that a whole call took in each centre, in microseconds.

    They take turns, so that whatever else the machine does falls on all alike.
    """
    calls = [math.inf] * len(centres)
    for _ in range(rounds):
        for number, centre in enumerate(centres):
            begun = time.process_time()
            for _ in range(CALLS_A_ROUND):
                centre.live()
            calls[number] = min(calls[number], (time.process_time() - begun) / CALLS_A_ROUND)
    return [centre.decision_seconds * 1e6 for centre in centres], [seconds * 1e6 for seconds in calls]


def _exponent(sizes: tuple[int, ...], costs: list[float]) -> float:
    """Return the slope of the cost over the size, both as logarithms, by least squares."""
    x, y = [math.log(number) for number in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    along = sum((one - mean_x) * (other - mean_y) for one, other in zip(x, y, strict=True))
    return along / sum((one - mean_x) ** 2 for one in x)


if __name__ == "__main__":
    command(measure)
