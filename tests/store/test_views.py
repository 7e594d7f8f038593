"""The views that people read."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from callctl.model import CallRecord, Reason
from callctl.store.loading import open_reader
from tests.store.samples import NOON, database_with, ended, handled, waiting


def rows(path: Path, sql: str) -> list[dict[str, object]]:
    with closing(open_reader(path)) as connection:
        return [dict(row) for row in connection.execute(sql)]


def test_the_history_is_newest_first_and_says_it_in_words(path: Path) -> None:
    database_with(
        path,
        handled("old", wait=72.9, talk=3725, joined_at=NOON, number="+4930123456"),
        waiting("new", NOON + 1),
    )
    assert rows(path, "SELECT * FROM history") == [
        {
            "joined": "2026-11-22 12:00:01",
            "queue": "caller",
            "caller": "",
            "reason": "waiting",
            "agent": "",
            "wait": "",
            "talk": "",
            "rings": 0,
            "hung_up": "",
            "call": "uuid-of-",
        },
        {
            "joined": "2026-11-22 12:00:00",
            "queue": "caller",
            "caller": "+4930123456",
            "reason": "BRIDGED",
            "agent": "1001",
            "wait": "1:12",
            "talk": "62:05",
            "rings": 1,
            "hung_up": "agent",
            "call": "uuid-of-",
        },
    ]


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs the sqlite3 shell")
@pytest.mark.parametrize("mode", ["-list", "-box"])
def test_the_history_fits_a_terminal(path: Path, mode: str) -> None:
    database_with(
        path,
        handled("a", wait=754, talk=3725, number="+493012345678"),
        ended("b", wait=9, number="+493012345678", reason=Reason.NO_AGENT_TIMEOUT),
    )
    shown = subprocess.run(
        ["sqlite3", "-header", mode, str(path), "select * from history limit 20"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert max(len(line) for line in shown.splitlines()) <= 120


def abandoned_callers(path: Path, *calls: CallRecord) -> list[tuple[object, object]]:
    database_with(path, *calls)
    return [(row["caller_number"], row["times"]) for row in rows(path, "SELECT * FROM abandoned_callers")]


def test_who_gave_up_is_listed_once_with_the_last_time(path: Path) -> None:
    first = ended("a", wait=10, number="0301")
    second = ended("b", wait=20, number="0301", joined_at=NOON + 60, queue="support")
    other = ended("c", wait=5, number="0302")
    assert abandoned_callers(path, second, first, other) == [("0301", 2), ("0302", 1)]
    newest = rows(path, "SELECT * FROM abandoned_callers")[0]
    assert (newest["queue"], newest["wait_seconds"], newest["uuid"]) == ("support", 20, "uuid-of-b")


def test_who_was_reached_since_is_listed_no_more(path: Path) -> None:
    gave_up = ended("a", wait=10, number="0301")
    assert abandoned_callers(path, gave_up) == [("0301", 1)]
    assert abandoned_callers(path, handled("b", wait=1, talk=1, number="0301", joined_at=NOON + 60)) == []


def test_who_was_called_back_is_listed_no_more(path: Path) -> None:
    gave_up = ended("a", wait=10, number="0301")
    called_back = handled("b", wait=1, talk=1, joined_at=NOON + 60)
    called_back = evolve(called_back, arrival=evolve(called_back.arrival, lead_number="0301"))
    assert abandoned_callers(path, gave_up, called_back) == []


def test_an_earlier_talk_does_not_count_as_reached_since(path: Path) -> None:
    talk = handled("a", wait=1, talk=1, number="0301", joined_at=NOON - 60)
    assert abandoned_callers(path, talk, ended("b", wait=10, number="0301")) == [("0301", 1)]


def test_a_second_attempt_that_failed_as_well_is_not_reached(path: Path) -> None:
    gave_up = ended("a", wait=10, number="0301")
    refused = ended("b", wait=0, number="0301", joined_at=NOON + 60, reason=Reason.FULL)
    assert abandoned_callers(path, gave_up, refused) == [("0301", 1)]


@pytest.mark.fault(20)
def test_who_was_promised_a_callback_and_not_reached_is_listed(path: Path) -> None:
    asked = evolve(ended("a", wait=10, number="0301", reason=Reason.EXIT_WITH_KEY), target="callback")
    called = ended("b", wait=900, number="0301", reason=Reason.TIMEOUT)
    called = evolve(called, arrival=evolve(called.arrival, callback=True), previous_visit="a")
    timed_out = ended("c", wait=60, number="0302", reason=Reason.TIMEOUT)
    assert abandoned_callers(path, asked, called, timed_out) == [("0301", 1)]
    reached = handled("d", wait=1, talk=1, number="0301", joined_at=NOON + 3600)
    assert abandoned_callers(path, reached) == []


@pytest.mark.fault(4)
@pytest.mark.parametrize("number", ["", "anonymous", "Restricted", "unavailable", "0000000000", "+266696687"])
def test_callers_whose_number_identifies_nobody_are_not_taken_for_one_person(path: Path, number: str) -> None:
    gave_up = [ended(f"a{n}", wait=10, number=number, joined_at=NOON + n) for n in range(2)]
    assert abandoned_callers(path, *gave_up, ended("b", wait=10, number="0301")) == [("0301", 1)]


@pytest.mark.fault(4)
def test_a_person_is_one_in_every_spelling_of_the_number(path: Path) -> None:
    first = ended("a", wait=10, number="+49 (0)30 1234")
    second = ended("b", wait=10, number="+49301234", joined_at=NOON + 60)
    assert abandoned_callers(path, first, second) == [("+49301234", 2)]
    reached = handled("c", wait=1, talk=1, number="+49-30-1234", joined_at=NOON + 120)
    assert abandoned_callers(path, reached) == []
