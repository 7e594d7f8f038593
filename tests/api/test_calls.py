"""`/calls`: the living and the past ones, and what may be done to a living one."""

from __future__ import annotations

import pytest
from attrs import evolve

from callctl.errors import CommandRefused, ConnectionLost, LocalProtocolError, WrongMoment
from callctl.model import AgentStatus, CallEvent, CallRecord, CallState, HungUpBy, Outcome, Reason
from tests.api.house import Visited

CALLS = "/api/v1/calls"


def end(visited: Visited, record: CallRecord) -> None:
    """The caller hangs up, and the history gets the last row."""
    visited.calls.records.remove(record)
    visited.house.act(lambda d, now: d.leave(record.arrival.call, now))
    visited.house.record(
        evolve(
            record,
            state=CallState.ENDED,
            reason=Reason.CALLER_HANGUP,
            outcome=Outcome.ABANDONED,
            hung_up_by=HungUpBy.CALLER,
            ended_at=visited.house.now(),
        )
    )


async def test_living_calls_are_listed_with_their_place_newest_first(visited: Visited) -> None:
    for call in ("c1", "c2"):
        visited.join(call)

    calls = (await visited.control.get(CALLS, params={"live": "true"})).json()["calls"]

    assert [(call["id"], call["is_live"], call["place"]["position"]) for call in calls] == [
        ("c2", True, 2),
        ("c1", True, 1),
    ]
    assert calls[0]["uuid"] == "uuid-c2"
    assert calls[0]["state"] == "waiting"


async def test_living_calls_can_be_cut_down(visited: Visited) -> None:
    visited.join("c1")
    visited.join("c2", "sales")
    visited.join("c3", "sales", CallState.TALKING)

    async def live(**wanted: str) -> list[str]:
        answer = await visited.control.get(CALLS, params={"live": "true", **wanted})
        return [call["id"] for call in answer.json()["calls"]]

    assert await live(queue="sales") == ["c3", "c2"]
    assert await live(queue="sales", state="talking") == ["c3"]
    assert await live(agent="1001") == []
    assert await live(since="2100-01-01") == []
    assert await live(until="2100-01-01T00:00:00+02:00") == ["c3", "c2", "c1"]


async def test_past_calls_come_in_pages_together_with_the_living(visited: Visited) -> None:
    for call in ("c1", "c2", "c3"):
        record = visited.join(call)
        visited.house.record(record)
        if call != "c3":
            end(visited, record)
    await visited.house.journal.flush()

    first = (await visited.control.get(CALLS, params={"limit": "2"})).json()
    second = (await visited.control.get(CALLS, params={"limit": "2", "cursor": first["next_cursor"]})).json()
    past = (await visited.control.get(CALLS, params={"live": "false", "reason": "CALLER_HANGUP"})).json()

    assert [(call["id"], call["is_live"]) for call in first["calls"]] == [("c3", True), ("c2", False)]
    assert [(call["id"], call["outcome"]) for call in second["calls"]] == [("c1", "abandoned")]
    assert second["next_cursor"] == ""
    assert [call["id"] for call in past["calls"]] == ["c2", "c1"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"queu": "sales"}, 'queu: unknown key; did you mean "queue"?'),
        ({"state": "asleep"}, "state: 'asleep' is none of waiting, ringing"),
        ({"live": "maybe"}, "live: cannot read 'maybe'"),
        ({"limit": "0"}, "limit: must be from 1 to 1000, not 0"),
        ({"limit": "many"}, "limit: cannot read 'many'"),
        ({"since": "yesterday"}, "since: must be a time such as"),
        ({"cursor": "x"}, "'x' is not where a page of calls begins"),
    ],
)
async def test_a_wrong_parameter_is_refused(visited: Visited, query: dict[str, str], detail: str) -> None:
    answer = await visited.control.get(CALLS, params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)


async def test_a_waiting_call_is_shown_with_every_step_and_why_nobody_is_rung(visited: Visited) -> None:
    visited.hire("1001")
    visited.house.act(lambda d, now: d.set_status("1001", AgentStatus.ON_BREAK, now, "lunch"))
    record = visited.join("c1")
    visited.house.record(record)
    visited.house.record(CallEvent(call="c1", at=visited.house.now(), event="joined", detail="position 1"))

    for name in ("c1", "uuid-c1"):
        shown = (await visited.control.get(f"{CALLS}/{name}")).json()
        [visit] = shown["visits"]
        assert shown["uuid"] == "uuid-c1"
        assert (visit["is_live"], visit["place"]["position"], visit["rings"]) == (True, 1, [])
        assert [step["event"] for step in visit["steps"]] == ["decision", "joined"]
        assert visit["steps"][0]["passed_over"] == {"1001": "On Break (lunch)"}
        assert visit["steps"][1]["detail"] == "position 1"
        assert visit["explanation"]["passed_over"] == {"1001": "On Break (lunch)"}


async def test_a_living_call_is_shown_also_before_it_is_in_the_history(visited: Visited) -> None:
    visited.join("c1")
    [visit] = (await visited.control.get(f"{CALLS}/c1")).json()["visits"]
    assert (visit["id"], visit["is_live"], visit["steps"]) == ("c1", True, [])


async def test_a_past_call_is_shown_with_its_offers_and_decisions(visited: Visited) -> None:
    visited.hire("1001")
    record = visited.join("c1")
    visited.house.record(record)
    end(visited, record)

    [visit] = (await visited.control.get(f"{CALLS}/uuid-c1")).json()["visits"]

    assert (visit["is_live"], visit["reason"], visit["place"]) == (False, "CALLER_HANGUP", None)
    [decision] = visit["steps"]
    assert (decision["event"], decision["chosen"]) == ("decision", ["1001"])
    assert visit["explanation"] is None


async def test_orders_are_given_to_the_living_call(visited: Visited) -> None:
    visited.join("c1")

    for order, body in (
        ("hangup", {"cause": "CALL_REJECTED"}),
        ("withdraw", None),
        ("transfer", {"extension": "2000", "context": "public"}),
    ):
        answer = await visited.control.post(f"{CALLS}/c1/{order}", json=body)
        assert answer.status_code == 202
    await visited.control.post(f"{CALLS}/uuid-c1/hangup")

    assert visited.calls.done == [
        ("hangup", "c1", "CALL_REJECTED"),
        ("withdraw", "c1"),
        ("transfer", "c1", "2000", "XML", "public"),
        ("hangup", "uuid-c1", "NORMAL_CLEARING"),
    ]


async def test_a_priority_changes_the_place_and_is_noted(visited: Visited) -> None:
    visited.house.record(visited.join("c1"))
    visited.house.record(visited.join("c2"))

    shown = (await visited.control.post(f"{CALLS}/c2/priority", json={"base_score": 60})).json()
    assert (shown["place"]["position"], shown["place"]["base_score"]) == (1, 60)
    shown = (await visited.control.post(f"{CALLS}/c2/priority", json={"base-score": -60.5})).json()
    assert shown["place"]["position"] == 2

    [visit] = (await visited.control.get(f"{CALLS}/c2")).json()["visits"]
    changes = [step["detail"] for step in visit["steps"] if step["event"] == "priority-changed"]
    assert changes == ["base score 60", "base score -60.5"]


@pytest.mark.parametrize(
    ("order", "body", "detail"),
    [
        ("hangup", {"cause": "because"}, "cause: 'because' is no hangup cause"),
        ("hangup", {"cause": "BUSY\n\nexit"}, "cause: must not hold a line break"),
        ("transfer", {}, 'needs "extension"'),
        ("transfer", {"extension": "2000\n"}, "extension: must not hold a line break"),
        ("priority", {}, 'needs "base-score"'),
        ("priority", {"base_score": "high"}, "base-score: must be a number"),
        ("priority", {"base_score": True}, "base-score: must be a number"),
    ],
)
async def test_a_wrong_order_is_refused(
    visited: Visited, order: str, body: dict[str, object], detail: str
) -> None:
    visited.join("c1")
    answer = await visited.control.post(f"{CALLS}/c1/{order}", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)
    assert visited.calls.done == []


@pytest.mark.parametrize(
    ("order", "body"),
    [("hangup", {}), ("withdraw", {}), ("transfer", {"extension": "1"}), ("priority", {"base_score": 1})],
)
async def test_a_call_that_is_not_alive_cannot_be_ordered_about(
    visited: Visited, order: str, body: dict[str, object]
) -> None:
    end(visited, visited.join("c1"))
    answer = await visited.control.post(f"{CALLS}/c1/{order}", json=body)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "no call 'c1' is waiting or talking"


async def test_who_talks_has_no_priority(visited: Visited) -> None:
    record = visited.join("c1", state=CallState.TALKING)
    visited.house.act(lambda d, now: d.leave(record.arrival.call, now))
    answer = await visited.control.post(f"{CALLS}/c1/priority", json={"base_score": 1})
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (WrongMoment("the call c1 waits no more"), 409),
        (CommandRefused("api uuid_transfer", "-ERR No such channel!"), 409),
        (LocalProtocolError("an extension that begins with '-'"), 422),
        (ConnectionLost("switch fs1 is not connected"), 503),
    ],
)
async def test_what_refuses_an_order_decides_the_status(
    visited: Visited, refusal: Exception, status: int
) -> None:
    visited.join("c1")
    visited.calls.refusal = refusal
    answer = await visited.control.post(f"{CALLS}/c1/transfer", json={"extension": "1"})
    assert answer.status_code == status
    assert answer.json()["detail"] == str(refusal)
