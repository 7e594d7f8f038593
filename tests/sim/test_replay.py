"""Every recording is said to the stand-in again, and what comes back is compared message by message."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import callctl
from tests.recordings import recordings
from tests.sim.differences import NOT_REPLAYED, TABLE
from tests.sim.recorded import EVENT_FIELDS, MOMENTS, name_of
from tests.sim.replay import Difference, replayed

REPLAYED = [path for path in recordings() if name_of(path) not in NOT_REPLAYED]

NOT_OF_A_CHANNEL = {
    "Content-Disposition",
    "Content-Length",
    "Channel-Presence-ID",
    "Core-UUID",
    "Event-Name",
    "Event-Date-Timestamp",
    "Event-Sequence",
    "Event-Subclass",
    "FreeSWITCH-Hostname",
    "Reply-Text",
    "Unique-ID",
    "_body",
    "content-length",
    "from-host",
    "from-user",
    "host",
    "rows",
    "user",
}
"""What callctl reads besides the fields of a call: told with each message, of the switch itself, or of the
registration of phones, of which the recordings have none (see test_phones.py)."""


@cache
def found_in(path: Path) -> tuple[Difference, ...]:
    return tuple(replayed(path))


@pytest.mark.parametrize("path", REPLAYED, ids=name_of)
def test_what_comes_back_is_what_was_recorded(path: Path) -> None:
    unexplained = [
        difference for difference in found_in(path) if not any(row.allows(difference) for row in TABLE)
    ]
    assert unexplained == []


def test_each_row_of_the_table_is_still_needed() -> None:
    seen = [difference for path in REPLAYED for difference in found_in(path)]
    assert [row for row in TABLE if not any(row.allows(difference) for difference in seen)] == []


def test_all_recordings_are_replayed_but_those_with_a_reason() -> None:
    assert {name_of(path) for path in recordings()} - {name_of(path) for path in REPLAYED} == set(
        NOT_REPLAYED
    )


def test_every_field_that_callctl_reads_is_compared() -> None:
    source = Path(callctl.__file__).parent
    read: set[str] = set()
    for module in [*source.glob("esl/*.py"), *source.glob("call/*.py"), source / "server.py"]:
        text = module.read_text(encoding="utf-8")
        read |= set(re.findall(r"event\.get\(\s*\"([\w-]+)\"", text))
        read |= set(re.findall(r"data\.get\(\s*\"([\w-]+)\"", text))
        read |= {f"variable_{name}" for name in re.findall(r"\.variable\(\s*\"(\w+)\"", text)}
    own = {name for name in read if name.startswith(("variable_cc_", "variable_callctl_"))}
    assert read - own - NOT_OF_A_CHANNEL - set(EVENT_FIELDS) - set(MOMENTS) == set()
