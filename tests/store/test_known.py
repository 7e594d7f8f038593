"""Of a row that is there only the change is written, and the database holds the same as if all were."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from callctl.clock import iso_utc
from callctl.model import (
    AgentSpan,
    AgentState,
    AgentStatus,
    CallState,
    Fact,
    OfferRecord,
    OfferResult,
    Reason,
)
from callctl.store.known import KnownRows
from callctl.store.rows import entries_of
from callctl.store.schema import migrate
from callctl.store.writer import Writer
from tests.store.samples import NOON, ended, waiting

OFFER = OfferRecord(id="o-1", call="call-1", agent="ada", leg_uuid="leg-1", offered_at=NOON)
SPAN = AgentSpan(
    agent="ada",
    started_at=NOON,
    ended_at=None,
    status=AgentStatus.AVAILABLE,
    state=AgentState.WRAP_UP,
    call="call-1",
)
ENDED = ended("call-1", wait=5)


def after(fact: Fact, *earlier: Fact) -> bool:
    """Say whether only the change is written of `fact`, after `earlier` ones."""
    known = KnownRows()
    for each in earlier:
        known.change(*entries_of(each))
    return known.change(*entries_of(fact)) is not None


@pytest.mark.parametrize(
    ("fact", "later"),
    [
        (waiting(), evolve(waiting(), state=CallState.RINGING, offers=1)),
        (waiting(), ENDED),
        (OFFER, evolve(OFFER, result=OfferResult.BUSY, cause="USER_BUSY", ended_at=NOON + 1)),
        (SPAN, evolve(SPAN, ended_at=NOON + 1)),
    ],
)
def test_a_row_is_written_whole_at_first_and_then_its_change(fact: Fact, later: Fact) -> None:
    assert not after(fact)
    assert after(later, fact)


def test_a_row_of_which_something_else_changes_is_written_whole() -> None:
    earlier = evolve(waiting(), arrival=evolve(waiting().arrival, joined_at=NOON - 60))
    assert not after(earlier, waiting())
    assert after(earlier, waiting(), earlier)


def test_what_has_ended_takes_no_memory() -> None:
    known = KnownRows()
    for fact in (waiting(), OFFER, SPAN):
        known.change(*entries_of(fact))
    assert len(known) == 3
    for fact in (ENDED, evolve(OFFER, ended_at=NOON + 1), evolve(SPAN, ended_at=NOON + 1)):
        known.change(*entries_of(fact))
    assert len(known) == 0


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    writer = Writer(tmp_path / "callctl.db")
    writer.open()
    return writer


def contents(connection: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
    tables = ("calls", "offers", "agent_spans")
    return [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]


def contents_of(path: Path) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return contents(connection)


def test_a_row_that_somebody_has_removed_is_written_whole(writer: Writer, tmp_path: Path) -> None:
    writer.keep([waiting(), waiting("call-2")], try_database=True)
    with closing(sqlite3.connect(tmp_path / "callctl.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM calls WHERE id = 'call-1'")
    writer.keep([ENDED, ended("call-2", wait=7)], try_database=True)
    writer.close()
    [calls, _, _] = contents_of(tmp_path / "callctl.db")
    assert [call[0] for call in calls] == ["call-1", "call-2"]


def test_what_was_not_committed_is_not_taken_for_granted(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "callctl.db"
    writer.keep([waiting(), waiting("call-2")], try_database=True)
    # The schema forbids a negative number of offers, and the whole batch is written once more, row by row.
    earlier = evolve(waiting("call-2"), arrival=evolve(waiting("call-2").arrival, joined_at=NOON - 60))
    assert writer.keep([evolve(earlier, offers=-1), ENDED], try_database=True).rejected
    writer.keep([earlier], try_database=True)
    # A lock has it rolled back.
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        impatient = Writer(path, busy_seconds=0.0)
        with pytest.raises(Exception, match="locked"):
            impatient.open()
        other.execute("COMMIT")
        impatient.open()
        other.execute("BEGIN IMMEDIATE")
        assert impatient.keep([OFFER], try_database=True).error
        other.execute("COMMIT")
    while impatient.keep([], try_database=True).spilled_rows:
        pass
    impatient.keep([evolve(OFFER, ended_at=NOON + 1)], try_database=True)
    impatient.close()
    writer.close()
    [calls, offers, _] = contents_of(path)
    assert [call[0] for call in calls] == ["call-1", "call-2"]
    assert iso_utc(NOON - 60) in calls[1]
    assert len(offers) == 1
    assert None not in offers[0][6:8]


changes = st.one_of(
    st.builds(
        lambda call, state, offers, joined: evolve(
            waiting(call), state=state, offers=offers, arrival=evolve(waiting(call).arrival, joined_at=joined)
        ),
        st.sampled_from(["a", "b"]),
        st.sampled_from([CallState.WAITING, CallState.RINGING]),
        st.integers(0, 3),
        st.sampled_from([NOON, NOON - 1]),
    ),
    st.builds(
        lambda call, seconds, reason: ended(call, wait=seconds, reason=reason),
        st.sampled_from(["a", "b"]),
        st.integers(0, 9),
        st.sampled_from([Reason.CALLER_HANGUP, Reason.TIMEOUT]),
    ),
    st.builds(
        lambda offer, agent, seconds: evolve(
            OFFER, id=offer, agent=agent, ended_at=None if seconds is None else NOON + seconds
        ),
        st.sampled_from(["x", "y"]),
        st.sampled_from(["ada", "bob"]),
        st.none() | st.integers(0, 9),
    ),
    st.builds(
        lambda at, seconds: evolve(
            SPAN, started_at=NOON + at, ended_at=None if seconds is None else NOON + at + seconds
        ),
        st.integers(0, 2),
        st.none() | st.integers(0, 9),
    ),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(changes, max_size=12))
def test_the_database_holds_what_it_would_if_every_row_were_written_whole(facts: list[Fact]) -> None:
    with closing(in_memory()) as one, closing(in_memory()) as other:
        known = KnownRows()
        for fact in facts:
            [entry] = entries_of(fact)
            change = known.change(entry)
            if change is None:
                one.execute(entry.sql(), entry.values())
            else:
                assert one.execute(change.sql, change.values).rowcount == 1
            other.execute(entry.sql(), entry.values())
        assert contents(one) == contents(other)


def in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(Path(":memory:"), connection)
    return connection
