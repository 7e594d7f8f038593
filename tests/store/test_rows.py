"""Facts become rows, and rows become the same facts again."""

from __future__ import annotations

import math
import string
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callctl.clock import iso_utc
from callctl.model import (
    OUTCOME_OF_REASON,
    AgentRecord,
    AgentSettings,
    AgentState,
    AgentStatus,
    Arrival,
    CallRecord,
    CallState,
    Fact,
    HungUpBy,
    OfferRecord,
    OfferResult,
    Reason,
    Tier,
)
from callctl.store.loading import (
    LET_GO_JOINED_SECONDS,
    LET_GO_SECONDS,
    epoch,
    load_agents,
    load_last_talks,
    load_let_go,
    load_open_calls,
    load_open_offers,
    load_tiers,
    open_reader,
)
from callctl.store.rows import entries_of
from callctl.store.timeline import call_timeline
from tests.store.samples import NOON, database_with, ended, handled, span, waiting

# What comes back is exact to the millisecond, so that is what goes in.
times = st.integers(0, 4 * 10**12).map(lambda milliseconds: milliseconds / 1000)
maybe_times = st.none() | times
durations = st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = st.text(string.ascii_letters, min_size=1, max_size=8)
skills = st.dictionaries(texts, st.integers(0, 9), max_size=3)

arrivals = st.builds(
    Arrival,
    call=names,
    uuid=names,
    switch=texts,
    queue=texts,
    arrived_at=times,
    joined_at=times,
    original_uuid=texts,
    account_id=texts,
    widget_id=texts,
    call_type=texts,
    source=texts,
    caller_number=texts,
    caller_name=texts,
    lead_number=texts,
    base_score=st.floats(allow_nan=False, allow_infinity=False),
    skills=skills,
    moh_sound=texts,
    exit_keys=texts,
    cid_name_prefix=texts,
    variables=st.dictionaries(texts, texts, max_size=3),
    resumes=st.integers(0, 99),
    preferred_agent=texts,
    place_since=maybe_times,
    came_through=st.lists(texts, max_size=3).map(tuple),
    callback=st.booleans(),
)
open_calls = st.builds(
    CallRecord,
    arrival=arrivals,
    state=st.sampled_from([state for state in CallState if state is not CallState.ENDED]),
    hung_up_by=st.none() | st.sampled_from(HungUpBy),
    hangup_cause=texts,
    agent=texts,
    agent_uuid=texts,
    answered_at=maybe_times,
    bridged_at=maybe_times,
    hold_seconds=durations,
    offers=st.integers(0, 99),
    position_at_entry=st.integers(0, 99),
)
agents = st.builds(
    AgentRecord,
    settings=st.builds(
        AgentSettings,
        name=names,
        contact=texts,
        contacts=st.dictionaries(texts, texts, max_size=3),
        max_no_answer=st.integers(0, 9),
        wrap_up_time=durations,
        reject_delay_time=durations,
        busy_delay_time=durations,
        no_answer_delay_time=durations,
        skills=skills,
    ),
    status=st.sampled_from(AgentStatus),
    state=st.sampled_from(AgentState),
    reason=texts,
    misses=st.integers(0, 9),
    calls_answered=st.integers(0, 10**6),
    talk_seconds=durations,
    last_offered_at=maybe_times,
    last_call_ended_at=maybe_times,
    status_until=maybe_times,
)
open_offers = st.builds(
    OfferRecord,
    id=names,
    call=names,
    agent=texts,
    leg_uuid=texts,
    offered_at=times,
    answered_at=maybe_times,
    ended_at=st.none(),
    result=st.sampled_from(OfferResult),
    cause=texts,
)
tiers = st.builds(Tier, queue=names, agent=names, level=st.integers(1, 9), position=st.integers(1, 9))


@settings(max_examples=30, deadline=None)
@given(open_calls, agents, open_offers, tiers)
def test_what_is_written_is_read_back(
    call: CallRecord, agent: AgentRecord, offer: OfferRecord, tier: Tier
) -> None:
    with TemporaryDirectory() as folder:
        path = database_with(Path(folder) / "callctl.db", call, agent, offer, tier)
        with closing(open_reader(path)) as reader:
            assert load_open_calls(reader) == [call]
            assert load_agents(reader) == [agent]
            assert load_open_offers(reader) == [offer]
            assert load_tiers(reader) == [tier]


@pytest.mark.parametrize("reason", Reason)
def test_an_ended_call_is_read_back_for_every_reason(path: Path, reason: Reason) -> None:
    call = handled("a", wait=1, talk=2) if reason is Reason.BRIDGED else ended("a", wait=1, reason=reason)
    assert call.outcome is OUTCOME_OF_REASON[reason]
    database_with(path, call)
    with closing(open_reader(path)) as reader:
        assert load_open_calls(reader) == []
        assert [visit.call for visit in call_timeline(reader, "a")] == [call]


def test_of_those_who_were_let_go_a_moment_ago_the_last_visit_is_read_back(path: Path) -> None:
    on = ended("b", wait=1, reason=Reason.TIMEOUT)
    on = evolve(on, arrival=evolve(on.arrival, uuid="one", came_through=("caller",)))
    first = ended("c", wait=1, reason=Reason.OVERFLOW)
    first = evolve(first, arrival=evolve(first.arrival, uuid="one", joined_at=on.arrival.joined_at))
    hung_up = evolve(ended("d", wait=1, reason=Reason.CALLER_HANGUP), hung_up_by=HungUpBy.CALLER)
    talked = evolve(handled("e", wait=1, talk=1), hung_up_by=None)
    seconds = LET_GO_JOINED_SECONDS
    long_ago = ended("f", wait=seconds, joined_at=on.arrival.joined_at - seconds, reason=Reason.TIMEOUT)
    database_with(path, on, first, hung_up, talked, waiting("g"), long_ago)
    with closing(open_reader(path)) as reader:
        assert load_let_go(reader, on.ended_at + LET_GO_SECONDS - 1) == [on]
        assert load_let_go(reader, on.ended_at + LET_GO_SECONDS + 1) == []


def row_of(fact: Fact) -> dict[str, object]:
    (entry,) = entries_of(fact)
    return dict(entry.row)


def test_the_wait_ends_with_the_bridge_or_else_with_the_call() -> None:
    assert row_of(handled("a", wait=12.5, talk=60))["wait_seconds"] == 12.5
    assert row_of(ended("a", wait=7.25))["wait_seconds"] == 7.25
    assert row_of(waiting("a"))["wait_seconds"] is None


def test_hold_is_not_talk() -> None:
    row = row_of(handled("a", wait=1, talk=60, hold=15))
    assert (row["talk_seconds"], row["hold_seconds"]) == (60, 15)


def test_a_talk_that_goes_on_has_no_length_yet() -> None:
    talking = evolve(handled("a", wait=1, talk=60), ended_at=None, state=CallState.TALKING)
    assert row_of(talking)["talk_seconds"] is None


def test_no_duration_is_ever_negative() -> None:
    # A switch's clock that is a little behind reports a bridge before the joining.
    row = row_of(evolve(handled("a", wait=1, talk=60), bridged_at=NOON - 2))
    assert row["wait_seconds"] == 0


@pytest.mark.parametrize("awkward", ["nul\0inside", "half a surrogate \udce4", "line\nbreak", "😀"])
def test_any_text_that_a_switch_can_send_can_be_written(path: Path, awkward: str) -> None:
    call = waiting("a")
    call = evolve(call, arrival=evolve(call.arrival, caller_name=awkward, variables={"x": awkward}))
    database_with(path, call)
    with closing(open_reader(path)) as reader:
        (read,) = load_open_calls(reader)
    assert "\0" not in read.arrival.caller_name
    if awkward.isascii() and "\0" not in awkward:
        assert read == call


def test_a_number_that_is_none_is_refused_and_not_written_as_another() -> None:
    with pytest.raises(ValueError, match="NaN"):
        entries_of(waiting("a", joined_at=math.nan))


@given(times)
def test_a_time_is_exact_to_the_millisecond(at: float) -> None:
    assert epoch(iso_utc(at)) == at


@given(st.floats(0, 4e9) | times)
@example(1_795_348_799.9996)
@example(1_795_348_799.9994)
def test_a_time_is_written_as_the_calendar_has_it_to_the_nearest_millisecond(at: float) -> None:
    expected = datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds")
    assert iso_utc(at) == expected.replace("+00:00", "Z")


def test_a_call_knows_the_wrap_up_after_it_however_it_was_written(path: Path) -> None:
    call = handled("a", wait=1, talk=60)
    first = span("1001", NOON + 61, NOON + 70, AgentState.WRAP_UP, call="a")
    second = span("1001", NOON + 70, None, AgentState.WRAP_UP, status=AgentStatus.ON_BREAK, call="a")
    ended_second = evolve(second, ended_at=NOON + 75.5)

    def wrap_up() -> object:
        with closing(open_reader(path)) as reader:
            return reader.execute("SELECT wrap_up_seconds FROM calls").fetchone()[0]

    database_with(path, call, first, second)
    assert wrap_up() == 9
    database_with(path, ended_second, ended_second, call)
    assert wrap_up() == 14.5


def test_a_call_that_is_written_after_its_wrap_up_knows_it_as_well(path: Path) -> None:
    wrap_up = span("1001", NOON + 61, NOON + 70, AgentState.WRAP_UP, call="a")
    database_with(path, wrap_up, handled("a", wait=1, talk=60))
    with closing(open_reader(path)) as reader:
        assert reader.execute("SELECT wrap_up_seconds FROM calls").fetchone()[0] == 9


def test_the_last_talks_are_read_back_oldest_first_for_those_who_can_be_known_again(path: Path) -> None:
    database_with(
        path,
        handled("a", wait=1, talk=1, number="0301", agent="anna", joined_at=NOON),
        handled("b", wait=1, talk=1, number="0301", agent="bob", joined_at=NOON + 60),
        ended("c", wait=1, number="0301", joined_at=NOON + 90),
        handled("d", wait=1, talk=1, number="", agent="carl", joined_at=NOON + 99),
        handled("e", wait=1, talk=9, number="0302", agent="dora", joined_at=NOON + 59),
    )
    with closing(open_reader(path)) as reader:
        assert load_last_talks(reader, NOON, 10) == [
            ("0301", "anna", NOON + 2),
            ("0301", "bob", NOON + 62),
            ("0302", "dora", NOON + 69),
        ]
        assert [talk.agent for talk in load_last_talks(reader, NOON + 65, 10)] == ["dora"]
        assert [talk.agent for talk in load_last_talks(reader, NOON, 2)] == ["bob", "dora"]
