"""Calls are found, and one call's story is told in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from callctl.errors import ReportError, UnknownCall
from callctl.model import CallEvent, Decision, OfferResult, Outcome, PassedOver, Reason, Strategy
from callctl.store.loading import open_reader
from callctl.store.timeline import CallFilter, call_timeline, list_calls
from tests.store.samples import NOON, database_with, ended, handled, offer, waiting

DECISION = Decision(
    id="d1",
    at=NOON + 1,
    call="a",
    queue="caller",
    strategy=Strategy.LONGEST_IDLE_AGENT,
    chosen=("anna",),
    order=("anna", "bob"),
    passed_over=(PassedOver(agent="carl", why="in wrap-up for 3 s more"),),
)


@pytest.fixture
def reader(path: Path) -> Iterator[sqlite3.Connection]:
    first = handled("a", wait=5, talk=60, agent="anna")
    second = ended("b", wait=9, joined_at=NOON + 100, queue="support", number="0301")
    second = evolve(second, arrival=evolve(second.arrival, uuid=first.arrival.uuid))
    database_with(
        path,
        first,
        second,
        ended("c", wait=2, joined_at=NOON + 200, number="0301"),
        waiting("d", NOON + 300),
        CallEvent(call="a", at=NOON + 1, event="offered", detail="anna"),
        CallEvent(call="a", at=NOON, event="joined", detail="caller, position 1"),
        DECISION,
        offer("o1", "a", "anna", OfferResult.ANSWERED, at=NOON + 1),
    )
    with closing(open_reader(path)) as connection:
        yield connection


def keys(reader: sqlite3.Connection, **filters: object) -> list[str]:
    page = list_calls(reader, CallFilter(**filters))  # type: ignore[arg-type]  # the tests' names are right
    return [record.arrival.call for record in page.calls]


def test_every_step_of_a_call_comes_in_order_and_the_decision_before_what_follows(
    reader: sqlite3.Connection,
) -> None:
    visit = call_timeline(reader, "a")[0]
    assert visit.steps == (
        CallEvent(call="a", at=NOON, event="joined", detail="caller, position 1"),
        DECISION,
        CallEvent(call="a", at=NOON + 1, event="offered", detail="anna"),
    )
    assert visit.offers == (offer("o1", "a", "anna", OfferResult.ANSWERED, at=NOON + 1),)
    assert (visit.wait_seconds, visit.talk_seconds) == (5, 60)


def test_a_call_that_visits_two_queues_is_two_visits_of_one_call(reader: sqlite3.Connection) -> None:
    visits = call_timeline(reader, "uuid-of-a")
    assert [visit.call.arrival.queue for visit in visits] == ["caller", "support"]


def test_the_beginning_of_a_uuid_is_enough_if_it_is_one_calls_alone(reader: sqlite3.Connection) -> None:
    assert call_timeline(reader, "uuid-of-c")[0].call.arrival.call == "c"
    with pytest.raises(UnknownCall, match="several calls begin with 'uuid-of-'"):
        call_timeline(reader, "uuid-of-")


@pytest.mark.parametrize("name", ["", "uui", "nothing-like-it", "%", "uuid-of-c'"])
def test_a_call_that_is_not_there_is_said_so(reader: sqlite3.Connection, name: str) -> None:
    with pytest.raises(UnknownCall, match="no call"):
        call_timeline(reader, name)


def test_calls_are_listed_newest_first(reader: sqlite3.Connection) -> None:
    assert keys(reader) == ["d", "c", "b", "a"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"queue": "support"}, ["b"]),
        ({"agent": "anna"}, ["a"]),
        ({"caller_number": "0301"}, ["c", "b"]),
        ({"outcome": Outcome.HANDLED}, ["a"]),
        ({"reason": Reason.CALLER_HANGUP}, ["c", "b"]),
        ({"since": NOON + 100, "until": NOON + 300}, ["c", "b"]),
        ({"live": True}, ["d"]),
        ({"live": False, "caller_number": "0301", "queue": "caller"}, ["c"]),
        ({"account_id": "none"}, []),
    ],
)
def test_filters_restrict_the_list(
    reader: sqlite3.Connection, filters: dict[str, object], found: list[str]
) -> None:
    assert keys(reader, **filters) == found


def test_pages_follow_each_other_without_gap_or_overlap(path: Path) -> None:
    # Some join in the same millisecond.
    database_with(path, *[waiting(f"call-{number:02}", NOON + number // 3) for number in range(25)])
    seen, cursor = [], ""
    with closing(open_reader(path)) as reader:
        while True:
            page = list_calls(reader, CallFilter(), limit=4, cursor=cursor)
            seen += [record.arrival.call for record in page.calls]
            cursor = page.next_cursor
            if not cursor:
                break
    assert seen == [f"call-{number:02}" for number in reversed(range(25))]


def test_a_page_that_cannot_be_is_refused(reader: sqlite3.Connection) -> None:
    with pytest.raises(ReportError, match="not where a page"):
        list_calls(reader, CallFilter(), cursor="garbage")
    with pytest.raises(ReportError, match="1 to 1000"):
        list_calls(reader, CallFilter(), limit=0)
