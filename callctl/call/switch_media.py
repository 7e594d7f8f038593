"""What a switch can play: it is asked after each connection, and what callers do not get to hear is noticed.

A sound that cannot be played makes no call fail, so nobody would know of it: it is counted, and logged once
a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio

from callctl.call.events import MediaKind
from callctl.call.media_check import MediaProblem, media_problems
from callctl.errors import EslError
from callctl.model import QueueSettings

if TYPE_CHECKING:
    from callctl.call.switch import Switch

log = structlog.get_logger(__name__)

LOOK_SECONDS = 600.0
"""How often a switch is asked again: what is missing is put there by hand, and is then to be seen."""

LINE_SECONDS = 60.0
"""How long nothing more is logged of a sound that was logged."""

LOT = 20
"""So many questions are asked at once: each takes FreeSWITCH some 30 microseconds."""

MOST_SOUNDS = 1000
"""So many sounds are kept apart in the log: a call may bring music of its own, so their names have no end."""


class SwitchMedia:
    """The sounds of one switch."""

    def __init__(self, switch: str) -> None:
        self._switch = switch
        self.problems: Sequence[MediaProblem] = ()
        """What the switch lacked when it was last asked."""
        self.failures: Counter[MediaKind] = Counter()
        """How often a sound could not be played, since the start."""
        self._logged: dict[tuple[MediaKind, str], tuple[float, int]] = {}
        """When each sound was last logged, on Trio's clock, and how many failures followed."""
        self._asked_again = trio.Event()

    def failed(self, kind: MediaKind, sound: str, queue: str) -> None:
        """Take in that a caller or agent of `queue` did not hear `sound`."""
        self.failures[kind] += 1
        now, key = trio.current_time(), (kind, sound)
        logged_at, more = self._logged.get(key, (-LINE_SECONDS, 0))
        if now - logged_at < LINE_SECONDS:
            self._logged[key] = logged_at, more + 1
            return
        if len(self._logged) >= MOST_SOUNDS:
            self._logged.clear()
        self._logged[key] = now, 0
        log.warning(
            "a sound cannot be played; callctl check says what is missing",
            kind=kind.value,
            sound=sound,
            queue=queue,
            switch=self._switch,
            more=more,
        )

    def look_again(self) -> None:
        """Have the switch asked soon: it was away, or the queues have changed."""
        self._asked_again.set()

    async def watch(self, switch: Switch, queues: Mapping[str, QueueSettings]) -> None:
        """Ask `switch` for what `queues` name: when told to `look_again`, and now and then. Runs for ever."""
        while True:
            await switch.wait_ready()
            self._asked_again = trio.Event()
            try:
                self._take(await media_problems(queues.values(), partial(_ask, switch)))
            except EslError as error:
                log.info("the sounds of a switch are not known yet", switch=switch.name, why=str(error))
            with trio.move_on_after(LOOK_SECONDS):
                await self._asked_again.wait()

    def _take(self, problems: Sequence[MediaProblem]) -> None:
        for problem in problems:
            if problem not in self.problems:
                log.warning("not all can be heard", switch=self._switch, why=problem.words)
        self.problems = problems


async def _ask(switch: Switch, questions: Sequence[str]) -> list[str]:
    """Ask in lots, so that no order of a call waits for long behind them."""
    answers: list[str] = []
    for first in range(0, len(questions), LOT):
        slots = switch.link.post_api(*questions[first : first + LOT])
        answers += [(await slot.wait()).text for slot in slots]
    return answers
