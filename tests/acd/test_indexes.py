"""The indexes say what looking through everything would say: order, lines, benches."""

from __future__ import annotations

from bisect import insort

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from callctl.acd.agent import Agent, Seat
from callctl.acd.benches import Benches
from callctl.acd.lines import Lines
from callctl.acd.member import Member
from callctl.acd.needs import Needs, misfit
from callctl.acd.ordered import Ordered
from callctl.acd.queue import Queue
from callctl.acd.strategy import place
from callctl.model import AgentSettings, Arrival, QueueSettings, Tier

keys = st.tuples(st.integers(0, 9), st.sampled_from("ab"))


@given(st.lists(keys, max_size=60), keys)
def test_a_table_is_always_in_the_order_of_its_keys(
    changes: list[tuple[int, str]], after: tuple[int, str]
) -> None:
    table: Ordered[tuple[int, str], str] = Ordered()
    plain: list[tuple[int, str]] = []
    for key in changes:
        if key in plain:
            plain.remove(key)
            table.remove(key)
        else:
            insort(plain, key)
            table.add(key, f"value of {key}")
    assert list(table.items()) == [(key, f"value of {key}") for key in plain]
    assert list(table) == [value for _, value in table.items()] == [table[at] for at in range(len(table))]
    if plain:
        assert table.key(0) == plain[0]
    assert [key for key, _ in table.items(after)] == [key for key in plain if key > after]
    assert [table.index(key) for key in plain] == list(range(len(plain)))
    table.clear()
    assert (len(table), list(table)) == (0, [])


def test_what_is_not_in_a_table_cannot_be_taken_out() -> None:
    table: Ordered[tuple[int], str] = Ordered()
    table.add((2,), "two")
    for missing in (1, 3):
        with pytest.raises(KeyError):
            table.remove((missing,))
    assert list(table) == ["two"]


agents = st.builds(
    AgentSettings,
    name=st.just("a"),
    contact=st.sampled_from(["", "user/a"]),
    contacts=st.sampled_from([{}, {"fs1": "user/b"}, {"fs1": "", "fs2": "user/c"}]),
    skills=st.sampled_from([{}, {"english": 1}, {"english": 3, "billing": 2}]),
)
all_needs = st.builds(
    Needs,
    st.sampled_from(["fs1", "fs2", "fs3"]),
    st.sampled_from([1, 2, float("inf")]),
    st.sampled_from([(), (("english", 2),), (("billing", 1), ("english", 3))]),
)


def seat(queue: Queue, name: str, settings: AgentSettings, level: int, on_own_call: bool) -> Seat:
    agent = Agent(evolve(settings, name=name), external_call=on_own_call)
    return Seat(agent, queue, Tier(queue="q", agent=name, level=level))


NAMES = [f"a{number:02}" for number in range(20)]


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.none() | agents, st.integers(1, 3), st.booleans()),
        min_size=30,
        max_size=80,
    ),
    all_needs,
    st.integers(1, 40),
)
def test_the_benches_give_those_who_fit_and_count_those_who_do_not(
    changes: list[tuple[str, AgentSettings | None, int, bool]], needs: Needs, asked_each: int
) -> None:
    queue = Queue(QueueSettings(name="q"), agentless_since=0.0)
    benches = Benches(place)
    free: dict[str, Seat] = {}
    for number, (name, settings, level, on_own_call) in enumerate(changes):
        if settings is None:
            benches.discard(name)
            free.pop(name, None)
        elif name in free:
            # Free all the time, but another kind now.
            free[name].agent.external_call = on_own_call
            benches.put(free[name])
        else:
            free[name] = seat(queue, name, settings, level, on_own_call)
            benches.put(free[name])
        if number % asked_each == 0:
            benches.fitting(needs)
    assert (len(benches), set(benches)) == (len(free), set(free))
    fitting = {name for name, seat in free.items() if not misfit(seat.kind, needs)}
    found = benches.fitting(needs)
    assert sorted(seat.name for bench in found for seat in bench) == sorted(fitting)
    for bench in found:
        assert [seat.name for seat in bench] == sorted(seat.name for seat in bench)
        assert len({seat.kind for seat in bench}) == 1
    assert (len(benches), set(benches)) == (len(free), set(free))
    misfits = [misfit(seat.kind, needs) for seat in free.values()]
    assert benches.misfits(needs) == {why: misfits.count(why) for why in misfits if why}
    for name in NAMES:
        assert (name in benches) == (name in free)
        assert benches.preferred(name, needs) is (free[name] if name in fitting else None)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.none() | st.sampled_from([Needs("fs1", 1), Needs("fs2", 1)])),
        max_size=40,
    )
)
def test_everybody_stands_in_one_line_at_most_and_no_line_is_empty(
    changes: list[tuple[int, Needs | None]],
) -> None:
    queue = Queue(QueueSettings(name="q"), agentless_since=0.0)
    members = []
    for number in range(10):
        arrival = Arrival(
            call=f"c{number}", uuid="", switch="fs1", queue="q", arrived_at=0.0, joined_at=float(-number)
        )
        members.append(Member(arrival, queue, ticket=number, base_score=0.0))
        queue.add(members[-1])
    lines = Lines()
    expected: dict[int, Needs | None] = {}
    for number, needs in changes:
        lines.put(members[number], needs)
        expected[number] = needs
    standing = {needs: [member.ticket for member in line] for needs, line in lines.by_needs.items()}
    assert len(lines.by_needs) == len(standing)
    wanted: dict[Needs, list[int]] = {}
    for number in range(9, -1, -1):
        needs = expected.get(number)
        assert members[number].stands_in == needs
        if needs is not None:
            wanted.setdefault(needs, []).append(number)
    assert standing == wanted
