"""A caller whom one queue sends on to another: what is brought along, and on which way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from attrs import evolve

from callctl.call import events as ev
from callctl.call.variables import arrival_from, entered_at, hand_back_variables, waiting_variables
from callctl.call.visits import PLACE, VisitBefore, visit_elsewhere, visit_for_callback
from callctl.esl.wire import Event
from callctl.model import Arrival, QueueSettings, Reason
from tests.call.test_recovery import CALLER, NOW, Channels, an_open_call, reconciled
from tests.call.test_session import OFFER

FIRST = Arrival(call="call-1", uuid="caller", switch="fs1", queue="caller", arrived_at=NOW, joined_at=NOW)


def on_the_channel(arrival: Arrival) -> Event:
    """What the switch tells of a caller who waits."""
    variables = {f"variable_{name}": value for name, value in waiting_variables(arrival).items()}
    return Event("", {"Unique-ID": arrival.uuid, **variables})


def read(data: Event) -> Arrival:
    return arrival_from(data, switch="fs1", default_queue="caller", new_call="new", now=NOW + 100)


def test_each_queue_is_told_since_when_the_caller_waits_and_where_it_has_been() -> None:
    second = visit_elsewhere(FIRST, "second", call="call-2", now=NOW + 10)
    third = visit_elsewhere(second, "third", call="call-3", now=NOW + 20)
    assert (third.call, third.queue, third.joined_at, third.place_since) == (
        "call-3",
        "third",
        NOW + 20,
        NOW,
    )
    assert third.came_through == ("caller", "second")


def test_who_is_to_be_called_back_keeps_the_place_and_no_channel() -> None:
    visit = visit_for_callback(FIRST, call="call-2", now=NOW + 10)
    assert (visit.uuid, visit.queue, visit.place_since, visit.callback) == ("", "caller", NOW, True)


def test_the_channel_alone_tells_of_a_place_that_was_brought_along() -> None:
    moved = visit_elsewhere(evolve(FIRST, queue="new york"), "second", call="call-2", now=NOW + 10)
    back = read(on_the_channel(moved))
    assert (back.call, back.joined_at, back.place_since) == ("call-2", NOW + 10, NOW)
    assert back.came_through == ("new york",)


@pytest.mark.fault(17)
def test_a_queue_with_a_comma_in_its_name_is_one_queue() -> None:
    moved = visit_elsewhere(evolve(FIRST, queue="Sales, 100 % Berlin"), "second", call="call-2", now=NOW + 10)
    assert read(on_the_channel(moved)).came_through == ("Sales, 100 % Berlin",)


@pytest.mark.parametrize("value", ["call-1 1800000000.000 old", "call-2", "call-2 soon old", "call-2 -1 old"])
def test_what_is_left_of_an_earlier_place_or_cannot_be_read_means_nothing(value: str) -> None:
    data = on_the_channel(evolve(FIRST, call="call-2"))
    back = read(Event("", {**data.headers, f"variable_{PLACE}": value}))
    assert (back.call, back.place_since, back.came_through) == ("call-2", None, ())


async def test_a_caller_who_is_away_when_the_queue_sends_it_on_stands_in_the_next_one() -> None:
    async with reconciled(Channels(shown=["caller"], alive={"caller": CALLER}), an_open_call()) as found:
        await trio.testing.wait_all_tasks_blocked()
        found.distributor.put_queue(QueueSettings(name="second"), NOW)
        found.reception.sessions["call-1"].deliver(ev.WaitOver(Reason.OVERFLOW, "queue:second"))
        await trio.testing.wait_all_tasks_blocked()
        [member] = found.distributor.members(NOW)
        assert (member.queue, member.arrival.place_since) == ("second", NOW - 1)
        [session] = found.reception.sessions.values()
        assert session.arrival.call == member.call != "call-1"


async def test_a_caller_who_hung_up_meanwhile_leaves_the_next_queue_again() -> None:
    switch = Channels(shown=["caller"], alive={"caller": CALLER})
    async with reconciled(switch, an_open_call()) as found:
        await trio.testing.wait_all_tasks_blocked()
        switch.end("caller")
        found.distributor.put_queue(QueueSettings(name="second"), NOW)
        found.reception.sessions["call-1"].deliver(ev.WaitOver(Reason.OVERFLOW, "queue:second"))
        await trio.testing.wait_all_tasks_blocked()
        assert not found.reception.sessions
        ended = {row.arrival.queue: row.reason for row in found.rows()}
        assert ended == {"caller": Reason.OVERFLOW, "second": Reason.CALLER_HANGUP}


async def test_a_caller_who_comes_back_with_the_marks_of_the_queue_before_is_in_the_one_after() -> None:
    moved = visit_elsewhere(FIRST, "second", call="call-2", now=NOW + 10)
    row = evolve(an_open_call(), arrival=moved)
    switch: Any = Channels(shown=[], alive={})
    async with reconciled(switch) as found:
        found.reception._absentees._calls["call-2"] = row
        socket: Any = SimpleNamespace(
            accepted_at=trio.current_time(), uuid="caller", data=on_the_channel(FIRST)
        )
        arrival = found.reception._arrival(socket, switch)
    assert (arrival.call, arrival.joined_at, arrival.place_since) == ("call-2", NOW + 10, NOW)


FROM = evolve(FIRST, queue="first", arrived_at=NOW - 1, joined_at=NOW - 1)
LATER = visit_elsewhere(FROM, "caller", call="call-2", now=NOW - 0.5)
"""A visit whose beginning no disk took; the channel alone tells of it."""


async def test_the_channel_tells_of_a_later_visit_than_the_store_knows() -> None:
    channel = {**CALLER, **on_the_channel(LATER).headers}
    row = evolve(an_open_call(), arrival=FROM)
    async with reconciled(Channels(shown=["caller"], alive={"caller": channel}), row) as found:
        [member] = found.distributor.members(NOW)
        assert (member.call, member.arrival.joined_at, member.arrival.place_since) == (
            "call-2",
            NOW - 0.5,
            NOW - 1,
        )
        await trio.testing.wait_all_tasks_blocked()
        ended, waiting = (
            next(each for each in found.rows() if each.arrival.call == call) for call in ("call-1", "call-2")
        )
        assert (ended.reason, ended.ended_at) == (Reason.OVERFLOW, NOW - 0.5)
        assert (waiting.arrival.queue, waiting.arrival.resumes) == ("caller", 1)


async def test_a_socket_of_a_later_visit_than_the_store_knows_is_not_taken_for_the_one_before() -> None:
    switch: Any = Channels(shown=[], alive={})
    async with reconciled(switch) as found:
        found.reception._absentees._calls["call-1"] = evolve(an_open_call(), arrival=FROM)
        socket: Any = SimpleNamespace(
            accepted_at=trio.current_time(), uuid="caller", data=on_the_channel(LATER)
        )
        arrival = found.reception._arrival(socket, switch)
        assert (arrival.call, arrival.joined_at) == ("call-2", NOW - 0.5)
        plain = Event("", {"Unique-ID": "caller", "variable_queue": "first"})
        unmarked: Any = SimpleNamespace(accepted_at=trio.current_time(), uuid="caller", data=plain)
        assert found.reception._arrival(unmarked, switch).call == "call-1"


class Ringing(Channels):
    """A switch that does not say what becomes of an originate."""

    async def ring(self, *_: object) -> str:
        await trio.sleep_forever()
        raise AssertionError


async def test_the_next_queue_does_not_wait_for_what_is_ordered_in_the_one_before() -> None:
    switch = Ringing(shown=["caller"], alive={"caller": CALLER})
    async with reconciled(switch, an_open_call()) as found:
        await trio.testing.wait_all_tasks_blocked()
        found.distributor.put_queue(QueueSettings(name="second"), NOW)
        before = found.reception.sessions["call-1"]
        before.deliver(ev.Offered(OFFER))
        before.deliver(ev.WaitOver(Reason.OVERFLOW, "queue:second"))
        await trio.testing.wait_all_tasks_blocked()
        assert before._orders_under_way == 1, "the originate is still out"
        [member] = found.distributor.members(NOW)
        assert member.queue == "second"


async def test_how_a_later_visit_ended_ends_no_row_of_an_earlier_one() -> None:
    talked = {"variable_callctl_reason": "BRIDGED", "variable_cc_queue_answered_epoch": f"{NOW - 0.2:.3f}"}
    channel = {**CALLER, **on_the_channel(LATER).headers, **talked}
    row = evolve(an_open_call(), arrival=FROM)
    async with reconciled(Channels(shown=["caller"], alive={"caller": channel}), row) as found:
        [ended] = found.rows()
        assert (ended.reason, ended.bridged_at, ended.ended_at) == (Reason.OVERFLOW, None, NOW - 0.5)
        assert not found.reception.sessions


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("headers", "dialled"),
    [
        ({"Caller-Destination-Number": "+4930123456"}, "+4930123456"),
        ({"Caller-Destination-Number": "callctl-wait", "variable_sip_req_user": "4930555"}, "4930555"),
        (
            {
                "Caller-Destination-Number": "callctl-wait",
                "variable_sip_req_user": "gw+trunk",
                "variable_callctl_dialled_number": "4930555",
            },
            "4930555",
        ),
        ({"Caller-Destination-Number": "callctl-wait"}, ""),
    ],
    ids=["destination", "request", "dialplan", "nothing"],
)
def test_the_dialled_number_is_that_of_the_caller_and_no_extension_of_ours(
    headers: dict[str, str], dialled: str
) -> None:
    data = Event("CHANNEL_DATA", {"Unique-ID": "uuid", **headers})
    arrival = arrival_from(data, switch="fs1", default_queue="caller", new_call="new", now=1.0)
    assert arrival.dialled_number == dialled


@pytest.mark.fault(19.6)
@pytest.mark.parametrize(
    ("headers", "joined_at"),
    [
        ({}, NOW + 97),
        ({"variable_callctl_refused_epoch": f"{NOW + 90}"}, NOW + 90),
        ({"variable_callctl_refused_epoch": f"{NOW + 99}"}, NOW + 97),
        ({"variable_callctl_call": "call-1", "variable_cc_queue_joined_epoch": f"{NOW + 50}"}, NOW + 50),
        ({"variable_callctl_call": "call-1"}, NOW + 100),
    ],
    ids=["new", "refused before", "refused after", "back", "back without a time"],
)
def test_a_new_caller_joins_as_of_coming_and_one_who_is_back_as_of_the_first_time(
    headers: dict[str, str], joined_at: float
) -> None:
    data = Event("", {"Unique-ID": "caller", **headers})
    arrival = arrival_from(
        data, switch="fs1", default_queue="caller", new_call="new", now=NOW + 100, came_at=NOW + 97
    )
    assert arrival.joined_at == joined_at


@pytest.mark.fault(19.6)
@pytest.mark.parametrize(
    ("entered", "created", "read"),
    [
        ("1800000005000000", "1800000000000000", 1_800_000_005.0),
        ("1799999999000000", "1800000000000000", None),
        ("soon", "1800000000000000", None),
        ("", "1800000000000000", None),
        ("1800000005000000", "", None),
    ],
)
def test_the_time_of_coming_is_believed_if_the_channel_was_there(
    entered: str, created: str, read: float | None
) -> None:
    data = Event("", {"variable_callctl_entered_uepoch": entered, "Caller-Channel-Created-Time": created})
    assert entered_at(data) == read


def test_a_channel_tells_whose_call_it_is_while_it_is_with_us() -> None:
    data = on_the_channel(evolve(FIRST, account="acme, inc."))
    assert VisitBefore.of(data) == VisitBefore("call-1", "", "acme, inc.")
    assert read(data).account == "acme, inc."


def test_whom_callctl_gives_back_the_dialplan_may_send_into_any_account() -> None:
    given_back = hand_back_variables(Reason.TIMEOUT, NOW)
    variables = {**waiting_variables(evolve(FIRST, account="acme")), **given_back}
    data = Event("", {f"variable_{name}": value for name, value in variables.items() if value})
    assert VisitBefore.of(data) == VisitBefore("call-1")
