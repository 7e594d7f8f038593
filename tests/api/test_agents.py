"""`/agents`: who takes calls, and changing that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from callctl.model import AgentSettings, Arrival
from tests.api.house import Visited

AGENT = "/api/v1/agents/1001"


def rows(visited: Visited, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(visited.house.database)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


async def test_a_new_agent_is_created_with_its_settings_and_logged_out(visited: Visited) -> None:
    answer = await visited.control.put(AGENT, json={"contact": "user/1001", "wrap_up_time": 3})

    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["name"], shown["contact"], shown["wrap_up_time"]) == ("1001", "user/1001", 3)
    assert (shown["status"], shown["state"], shown["tiers"]) == ("Logged Out", "Idle", {})
    assert (await visited.control.get(AGENT)).json() == shown


async def test_what_was_changed_stands_in_the_database_when_the_answer_comes(visited: Visited) -> None:
    await visited.control.put(AGENT, json={"contact": "user/1001", "skills": {"english": 3}})
    [row] = rows(visited, "agents")
    assert (row["name"], row["contact"], row["skills"]) == ("1001", "user/1001", '{"english": 3}')

    await visited.control.post(f"{AGENT}/status", json={"status": "On Break", "reason": "lunch"})
    [row] = rows(visited, "agents")
    assert (row["status"], row["reason"]) == ("On Break", "lunch")

    assert (await visited.control.delete(AGENT)).status_code == 204
    assert rows(visited, "agents") == []


async def test_putting_an_agent_again_replaces_its_settings_and_leaves_its_status(visited: Visited) -> None:
    await visited.control.put(AGENT, json={"contact": "user/1001", "max_no_answer": 3})
    await visited.control.post(f"{AGENT}/status", json={"status": "Available"})

    answer = await visited.control.put(AGENT, json={"contact": "user/2002"})

    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["contact"], shown["max_no_answer"]) == ("user/2002", 0)
    assert (shown["status"], shown["state"]) == ("Available", "Waiting")


async def test_patching_an_agent_leaves_what_is_not_given(visited: Visited) -> None:
    await visited.control.put(
        AGENT, json={"contact": "user/1001", "contacts": {"fs2": "user/1"}, "skills": {"english": 3}}
    )

    shown = (await visited.control.patch(AGENT, json={"wrap-up-time": 7.5})).json()

    assert (shown["contact"], shown["contacts"], shown["skills"]) == (
        "user/1001",
        {"fs2": "user/1"},
        {"english": 3},
    )
    assert shown["wrap_up_time"] == 7.5


async def test_a_status_may_end_by_itself(visited: Visited) -> None:
    await visited.control.put(AGENT, json={"contact": "user/1001"})
    before = visited.house.now()

    shown = (
        await visited.control.post(f"{AGENT}/status", json={"status": "On Break", "for_seconds": 60})
    ).json()

    view = visited.house.act(lambda d, now: d.agent("1001", now))
    assert view.status_until is not None
    assert before + 60 <= view.status_until <= visited.house.now() + 60
    assert shown["status_until"].endswith("Z")


async def test_the_list_can_be_cut_down_to_those_who_serve_a_queue(visited: Visited) -> None:
    visited.hire("1001")
    visited.hire("1002", "sales")

    everybody = (await visited.control.get("/api/v1/agents")).json()["agents"]
    sellers = (await visited.control.get("/api/v1/agents", params={"queue": "sales"})).json()["agents"]

    assert [agent["name"] for agent in everybody] == ["1001", "1002"]
    assert [agent["name"] for agent in sellers] == ["1002"]
    assert sellers[0]["tiers"] == {"sales": {"level": 1, "position": 1}}


async def test_an_agent_with_an_odd_name_is_reached_by_its_escaped_path(visited: Visited) -> None:
    path = "/api/v1/agents/J%C3%BCrgen%20%25%3F%40home"
    assert (await visited.control.put(path, json={})).status_code == 201
    assert (await visited.control.get(path)).json()["name"] == "Jürgen %?@home"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_agent_is_not_found(visited: Visited, method: str) -> None:
    answer = await visited.control.request(method, "/api/v1/agents/nobody")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no agent 'nobody'"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"contact": 5}, "contact: must be a text in quotes, not 5"),
        ({"contact": "user/1\nuuid_kill 2"}, "contact: must not hold a line break or NUL"),
        ({"wrap_up_time": -1}, "wrap-up-time: must not be negative, not -1"),
        ({"max_no_answer": 1.5}, "max-no-answer: must be a whole number, not 1.5"),
        ({"wrap_up_tim": 1}, 'wrap-up-tim: unknown key; did you mean "wrap-up-time"?'),
        ({"skills": ["english"]}, "skills: must be a table, not ['english']"),
        ({"name": "1002"}, "name: unknown key"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_key_and_changes_nothing(
    visited: Visited, body: dict[str, object], detail: str
) -> None:
    await visited.control.put(AGENT, json={"contact": "user/1001"})
    before = (await visited.control.get(AGENT)).json()

    for method in ("PUT", "PATCH"):
        answer = await visited.control.request(method, AGENT, json=body)
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(detail)

    assert (await visited.control.get(AGENT)).json() == before


@pytest.mark.fault(17)
@pytest.mark.parametrize("contact", ["1001", "user/a:_:b", "user/${x}", "user/a{b"])
async def test_a_contact_that_could_never_be_rung_is_refused(visited: Visited, contact: str) -> None:
    await visited.control.put(AGENT, json={"contact": "user/1001"})
    for method, body in (
        ("PUT", {"contact": contact}),
        ("PATCH", {"contact": contact}),
        ("PATCH", {"contacts": {"fs1": contact}}),
    ):
        answer = await visited.control.request(method, AGENT, json=body)
        assert answer.status_code == 422
        assert "must be a dial string" in answer.json()["detail"]


@pytest.mark.fault(17)
@pytest.mark.parametrize("name", ["$%7Bx%7D", "a%7Bb", "a:_:b"])
async def test_a_name_that_could_never_be_rung_is_refused(visited: Visited, name: str) -> None:
    answer = await visited.control.put(f"/api/v1/agents/{name}", json={"contact": "user/1"})
    assert answer.status_code == 422
    assert "a name has no brace" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["%20", "a%0Ab", "%20x", "y" * 101])
async def test_a_name_that_cannot_stand_in_a_line_is_refused(visited: Visited, name: str) -> None:
    answer = await visited.control.put(f"/api/v1/agents/{name}", json={})
    assert answer.status_code == 422
    assert "name" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, 'needs "status"'),
        ({"status": "on break"}, "status: 'on break' is none of Logged Out"),
        ({"status": "Available", "for_seconds": -1}, "for-seconds: must not be negative"),
    ],
)
async def test_a_wrong_status_is_refused(visited: Visited, body: dict[str, object], detail: str) -> None:
    visited.hire("1001")
    answer = await visited.control.post(f"{AGENT}/status", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)


async def test_a_change_is_answered_also_while_the_database_takes_no_rows(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(visited.house.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("callctl.api.house.WRITTEN_SECONDS", 0.05)
        answer = await visited.control.put(AGENT, json={"contact": "user/1001"})
        other.execute("ROLLBACK")
    assert answer.status_code == 201
    assert (await visited.control.get(AGENT)).status_code == 200


async def test_a_wrap_up_can_be_lengthened_and_ended_and_only_when_there_is_one(visited: Visited) -> None:
    visited.hire("1001")
    refused = await visited.control.post(f"{AGENT}/wrap-up", json={})
    assert refused.status_code == 409
    assert "not in wrap-up" in refused.json()["detail"]
    arrival = Arrival(call="c", uuid="u", switch="fs1", queue="caller", arrived_at=0, joined_at=0)
    act = visited.house.act
    settings = AgentSettings(name="1001", contact="user/1001", wrap_up_time=30)
    act(lambda d, now: d.put_agent(settings, now))
    offer = act(lambda d, now: d.adopt_talk(arrival, "1001", "leg", now, now))
    act(lambda d, now: d.talk_ended(offer.id, now))
    before = (await visited.control.get(AGENT)).json()["wrap_up_until"]
    longer = await visited.control.post(f"{AGENT}/wrap-up", json={"extend_seconds": 60})
    assert longer.json()["wrap_up_until"] > before
    ended = await visited.control.post(f"{AGENT}/wrap-up", json={})
    assert ended.json()["state"] == "Waiting"
