"""The indexes say what looking through everything would say: order, lines, benches."""

from __future__ import annotations

from bisect import insort

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callctl.acd.agent import Agent, Seat
from callctl.acd.benches import Benches
from callctl.acd.lines import Lines
from callctl.acd.member import Member
from callctl.acd.needs import Abilities, Kind, Needs, misfit
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


abilities = st.builds(
    AgentSettings,
    name=st.just("a"),
    contact=st.sampled_from(["", "user/a"]),
    contacts=st.sampled_from([{}, {"fs1": "user/b"}, {"fs1": "", "fs2": "user/c"}]),
    skills=st.sampled_from([{}, {"english": 1}, {"english": 3, "billing": 2}]),
).map(Abilities.of)
kinds = st.builds(Kind, st.integers(1, 3), abilities, st.booleans())
all_needs = st.builds(
    Needs,
    st.sampled_from(["fs1", "fs2", "fs3"]),
    st.sampled_from([1, 2, float("inf")]),
    st.sampled_from([(), (("english", 2),), (("billing", 1), ("english", 3))]),
)


def seat(name: str, kind: Kind) -> Seat:
    queue = Queue(QueueSettings(name="q"), agentless_since=0.0)
    return Seat(Agent(AgentSettings(name=name)), queue, Tier(queue="q", agent=name, level=kind.level))


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.none() | kinds), max_size=40), all_needs)
def test_the_benches_give_those_who_fit_and_count_those_who_do_not(
    changes: list[tuple[str, Kind | None]], needs: Needs
) -> None:
    benches = Benches()
    free: dict[str, tuple[Seat, Kind]] = {}
    for name, kind in changes:
        if kind is None:
            benches.discard(name)
            free.pop(name, None)
        else:
            free[name] = seat(name, kind), kind
            benches.put(free[name][0], kind, place(free[name][0]))
    fitting = {name for name, (_, kind) in free.items() if not misfit(kind, needs)}
    found = benches.fitting(needs)
    assert sorted(seat.name for bench in found for seat in bench) == sorted(fitting)
    for bench in found:
        assert [seat.name for seat in bench] == sorted(seat.name for seat in bench)
        assert len({seat.level for seat in bench}) == 1
    assert (len(benches), set(benches)) == (len(free), set(free))
    misfits = [misfit(kind, needs) for _, kind in free.values()]
    assert benches.misfits(needs) == {why: misfits.count(why) for why in misfits if why}
    for name in "abcdefgh":
        assert (name in benches) == (name in free)
        assert benches.preferred(name, needs) is (free[name][0] if name in fitting else None)
    benches.clear()
    assert (len(benches), benches.fitting(needs)) == (0, [])


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
    standing = {needs: [member.ticket for member in line] for needs, line in lines}
    assert len(lines) == len(standing)
    wanted: dict[Needs, list[int]] = {}
    for number in range(9, -1, -1):
        needs = expected.get(number)
        assert members[number].stands_in == needs
        if needs is not None:
            wanted.setdefault(needs, []).append(number)
    assert standing == wanted
