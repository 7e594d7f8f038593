"""`/queues`: how each queue stands, and who serves it."""

from __future__ import annotations

import pytest

from tests.api.house import Visited

TIER = "/api/v1/queues/caller/tiers/1001"


async def test_the_list_says_of_each_queue_how_it_stands(visited: Visited) -> None:
    visited.hire("1001", "sales")
    visited.join("c1")
    visited.join("c2")

    caller, sales = (await visited.control.get("/api/v1/queues")).json()["queues"]

    assert (caller["name"], caller["waiting"], caller["present"]) == ("caller", 2, 0)
    assert caller["agentless_since"].endswith("Z")
    assert (sales["name"], sales["waiting"], sales["free"]) == ("sales", 0, 1)
    assert sales["agents"]["Waiting"] == 1
    assert sales["strategy"] == "longest-idle-agent"


async def test_a_queue_is_shown_with_its_parameters_and_who_waits_and_serves(visited: Visited) -> None:
    visited.hire("1001", "sales")
    visited.join("c1")
    visited.join("c2")
    visited.join("c3", "sales")

    shown = (await visited.control.get("/api/v1/queues/caller")).json()

    assert shown["settings"]["ring_timeout"] == 20
    assert [(member["call"], member["position"]) for member in shown["members"]] == [("c1", 1), ("c2", 2)]
    assert shown["serving"] == []
    serving = (await visited.control.get("/api/v1/queues/sales")).json()["serving"]
    assert [(agent["name"], agent["state"], agent["call"]) for agent in serving] == [
        ("1001", "Reserved", "c3")
    ]


async def test_a_place_in_a_queue_is_given_changed_and_taken(visited: Visited) -> None:
    visited.hire("1001", "sales")

    assert (await visited.control.get(TIER)).status_code == 404
    assert (await visited.control.put(TIER, json={})).status_code == 201
    changed = await visited.control.put(TIER, json={"level": 2, "position": 5})
    assert changed.status_code == 200
    expected = {"queue": "caller", "agent": "1001", "level": 2, "position": 5}
    assert (await visited.control.get(TIER)).json() == changed.json() == expected
    assert (await visited.control.delete(TIER)).status_code == 204
    assert (await visited.control.get(TIER)).status_code == 404


async def test_tiers_are_listed_by_level_and_position(visited: Visited) -> None:
    for name, level, position in (("1001", 2, 1), ("1002", 1, 2), ("1003", 1, 1)):
        visited.hire(name, "sales")
        await visited.control.put(
            f"/api/v1/queues/caller/tiers/{name}", json={"level": level, "position": position}
        )

    tiers = (await visited.control.get("/api/v1/queues/caller/tiers")).json()["tiers"]

    assert [tier["agent"] for tier in tiers] == ["1003", "1002", "1001"]


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/api/v1/queues/nowhere", "'nowhere'"),
        ("GET", "/api/v1/queues/nowhere/tiers", "'nowhere'"),
        ("GET", "/api/v1/queues/nowhere/tiers/1001", "'nowhere'"),
        ("PUT", "/api/v1/queues/nowhere/tiers/1001", "'nowhere'"),
        ("PUT", "/api/v1/queues/caller/tiers/nobody", "'nobody'"),
        ("DELETE", "/api/v1/queues/caller/tiers/nobody", "'nobody'"),
        ("DELETE", "/api/v1/queues/caller/tiers/1001", "no tier in the queue 'caller'"),
    ],
)
async def test_what_is_not_there_is_not_found(visited: Visited, method: str, path: str, detail: str) -> None:
    visited.hire("1001", "sales")
    answer = await visited.control.request(method, path, json={} if method == "PUT" else None)
    assert answer.status_code == 404
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize("body", [{"level": 0}, {"position": "1"}, {"levle": 1}, {"queue": "sales"}])
async def test_a_wrong_place_is_refused(visited: Visited, body: dict[str, object]) -> None:
    visited.hire("1001", "sales")
    assert (await visited.control.put(TIER, json=body)).status_code == 422
    assert (await visited.control.get(TIER)).status_code == 404
