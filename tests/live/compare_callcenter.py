"""How long a free agent stays idle while callers wait: callctl and mod_callcenter, on the same FreeSWITCH.

    python -m tests.live.compare_callcenter --freeswitch PREFIX --calls 60 --agents 5

All callers come in at once, and each agent has them one after the other: the phone rings for 200 ms, the
talk lasts a second, the agent hangs up. A gap is the time from the end of an agent's leg to the beginning of
the agent's next one, by FreeSWITCH's own events and clock, which ticks every 20 ms. Both run on the same
machine one after the other, callctl as `callctl serve`, neither with a wrap-up time.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
import trio
from attrs import field, frozen

from callctl.esl.wire import Event
from tests.live.centre import CallCentre, open_centre
from tests.live.freeswitch import Console, FreeSwitch, UnusableFreeSwitch
from tests.live.patience import until

PHONE = "ring200talk1000"
SECONDS_FOR_A_CALL = 10.0
"""Far more than any call takes when its turn has come."""


@frozen(kw_only=True)
class Figures:
    """What one run came to: the agents' legs, and the gaps between them in seconds."""

    legs: int
    gaps: Sequence[float] = field(repr=False)

    def percentile(self, percent: float) -> float:
        """Return the gap that `percent` of all gaps do not exceed (nearest rank)."""
        ordered = sorted(self.gaps)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


class Watch:
    """Hears of every leg, and knows from when to when each agent was free."""

    def __init__(self) -> None:
        self.legs = 0
        self._last_arrival = 0.0
        self._free_since: dict[str, float] = {}
        self._gaps: list[tuple[float, float]] = []

    def take(self, event: Event) -> None:
        """Take CHANNEL_CREATE and CHANNEL_HANGUP_COMPLETE of any channel."""
        agent, at = event.get("Caller-Destination-Number"), int(event.get("Event-Date-Timestamp")) / 1e6
        is_created = event.name == "CHANNEL_CREATE"
        if agent in ("callctl", "callcenter"):
            if is_created:
                self._last_arrival = max(self._last_arrival, at)
        elif agent.endswith(f"-{PHONE}") and event.get("Call-Direction") == "outbound":
            if not is_created:
                self._free_since[agent] = at
                self.legs += 1
            elif (since := self._free_since.pop(agent, None)) is not None:
                self._gaps.append((since, at))

    def figures(self) -> Figures:
        """Return the gaps from when all callers were there: from then on somebody waited in each of them."""
        gaps = [end - begin for begin, end in self._gaps if begin >= self._last_arrival]
        return Figures(legs=self.legs, gaps=gaps)


def _phone(freeswitch: FreeSwitch, agent: int) -> str:
    return freeswitch.phone(f"{agent}-{PHONE}")


async def _open_callctl(centre: CallCentre, agents: int) -> None:
    await centre.start()
    for agent in range(1, agents + 1):
        centre.agent_at(str(agent), _phone(centre.freeswitch, agent))
    await centre.stop()
    await centre.spawn()


async def _open_callcenter(centre: CallCentre, agents: int) -> None:
    for agent in range(1, agents + 1):
        for order in (
            f"agent add {agent} callback",
            f"agent set contact {agent} {_phone(centre.freeswitch, agent)}",
            f"agent set wrap_up_time {agent} 0",
            f"tier add compared@live {agent} 1 {agent}",
            f"agent set state {agent} Waiting",
            f"agent set status {agent} Available",
        ):
            answer = await centre.console.api(f"callcenter_config {order}")
            assert answer.startswith("+OK"), f"{order}: {answer}"


async def _measure(
    freeswitch: FreeSwitch,
    directory: Path,
    destination: str,
    open_queue: Callable[[CallCentre, int], Awaitable[None]],
    *,
    calls: int,
    agents: int,
) -> Figures:
    watch = Watch()
    events = ("CHANNEL_CREATE", "CHANNEL_HANGUP_COMPLETE")
    async with (
        open_centre(freeswitch, directory) as centre,
        freeswitch.console(watch.take, *events) as console,
    ):
        await _listens(console)
        await open_queue(centre, agents)
        for _ in range(calls):
            await centre.call(destination, wait=False)
        await until(lambda: watch.legs >= calls, seconds=SECONDS_FOR_A_CALL * calls / agents)
        await until(centre.has_no_channels)
    return watch.figures()


async def _listens(console: Console) -> None:
    """Return when the console hears of everything that begins from now on."""
    await console.api("status")


async def _compare(prefix: Path, calls: int, agents: int) -> dict[str, Figures]:
    with tempfile.TemporaryDirectory(prefix="callctl-compare-") as directory:
        place = Path(directory)
        freeswitch = FreeSwitch(prefix, place / "freeswitch")
        found = {}
        freeswitch.start()
        try:
            await freeswitch.wait_ready()
            found["callctl"] = await _measure(
                freeswitch, place, "callctl", _open_callctl, calls=calls, agents=agents
            )
            if freeswitch.has_module("mod_callcenter"):
                found["mod_callcenter"] = await _measure(
                    freeswitch, place, "callcenter", _open_callcenter, calls=calls, agents=agents
                )
        finally:
            freeswitch.stop()
    return found


def _table(found: dict[str, Figures]) -> str:
    lines = [f"{'idle while callers wait':<24}{'legs':>7}{'gaps':>7}{'p50':>10}{'p99':>10}{'max':>10}"]
    for name, figures in found.items():
        times = "".join(f"{1000 * figures.percentile(percent):>7.0f} ms" for percent in (50, 99, 100))
        lines.append(f"{name:<24}{figures.legs:>7}{len(figures.gaps):>7}{times}")
    if len(found) == 2:
        ours, theirs = found.values()
        ratios = [
            theirs.percentile(percent) / max(ours.percentile(percent), 1e-3) for percent in (50, 99, 100)
        ]
        lines.append(f"{'times as long':<38}" + "".join(f"{ratio:>10.1f}" for ratio in ratios))
    else:
        lines.append("mod_callcenter is not installed in that FreeSWITCH; there is nothing to compare with")
    return "\n".join(lines)


def main() -> int:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.compare_callcenter", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--freeswitch", metavar="PREFIX", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=60, help="callers at once (60)")
    parser.add_argument("--agents", type=int, default=5, help="agents, fewer than calls (5)")
    arguments = parser.parse_args()
    if not 0 < arguments.agents < arguments.calls:
        parser.error("there must be more calls than agents, and an agent")
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    try:
        found = trio.run(_compare, arguments.freeswitch.absolute(), arguments.calls, arguments.agents)
    except UnusableFreeSwitch as unusable:
        parser.error(f"--freeswitch {arguments.freeswitch}: {unusable}")
    print(_table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
