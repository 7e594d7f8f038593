"""Queues are added, changed and removed through the API; they live in the database, as agents do."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from callctl.api.app import control_app
from callctl.config import load_config
from callctl.config.defined import refuse_queue
from callctl.model import OverflowRule, QueueSettings, Strategy
from callctl.store.loading import load_queues
from callctl.store.schema import open_history
from tests.api.house import Visited, _client

NEW = "/api/v1/queues/new"


def stored(visited: Visited) -> list[QueueSettings]:
    with closing(open_history(visited.house.database)) as connection:
        return load_queues(connection)


async def test_a_queue_is_added_and_in_force_at_once(visited: Visited) -> None:
    body = {
        "strategy": "ring-all",
        "max_callers": 3,
        "overflow": [{"to": "queue:sales", "waited": 60}],
        "hours": {"open": ["Mon-Sun 00:00-24:00"]},
    }
    made = await visited.control.put(NEW, json=body)
    assert made.status_code == 201
    assert made.json()["settings"]["strategy"] == "ring-all"
    assert [each["name"] for each in (await visited.control.get("/api/v1/queues")).json()["queues"]] == [
        "caller",
        "sales",
        "new",
    ]
    visited.hire("1001", "new")
    visited.join("c1", "new")
    assert visited.house.act(lambda d, now: d.agent("1001", now)).call == "c1"
    [queue] = stored(visited)
    assert (queue.name, queue.strategy, queue.max_callers) == ("new", Strategy.RING_ALL, 3)
    assert queue.overflow == (OverflowRule(to="queue:sales", waited=60),)


async def test_a_queue_is_replaced_and_changed(visited: Visited) -> None:
    await visited.control.put(NEW, json={"max_callers": 3, "wrap_up_time": 9, "weight": 2})
    changed = await visited.control.patch(NEW, json={"wrap_up_time": None, "ring_timeout": 15})
    assert changed.status_code == 200
    settings = changed.json()["settings"]
    assert (settings["max_callers"], settings["wrap_up_time"], settings["ring_timeout"]) == (3, None, 15)
    replaced = await visited.control.put(NEW, json={})
    assert (replaced.status_code, replaced.json()["settings"]["max_callers"]) == (200, 0)
    assert stored(visited) == [QueueSettings(name="new")]


async def test_a_change_touches_no_caller_who_waits(visited: Visited) -> None:
    await visited.control.put(NEW, json={})
    visited.join("c1", "new")
    visited.join("c2", "new")
    await visited.control.patch(NEW, json={"strategy": "top-down", "max_callers": 1})
    shown = (await visited.control.get(NEW)).json()
    assert [member["call"] for member in shown["members"]] == ["c1", "c2"]


async def test_who_waits_in_a_removed_queue_is_served(visited: Visited) -> None:
    await visited.control.put(NEW, json={})
    visited.join("c1", "new")
    assert (await visited.control.delete(NEW)).status_code == 204
    assert (await visited.control.get(NEW)).status_code == 404
    assert stored(visited) == []
    act = visited.house.act
    [view] = [each for each in act(lambda d, now: d.queues(now)) if each.name == "new"]
    assert (view.is_removed, view.waiting) == (True, 1)
    act(lambda d, now: d.leave("c1", now))
    assert [each.name for each in act(lambda d, now: d.queues(now))] == ["caller", "sales"]


async def test_a_queue_that_comes_back_has_its_tiers_again(visited: Visited) -> None:
    await visited.control.put(NEW, json={})
    visited.hire("1001", "new")
    await visited.control.delete(NEW)
    await visited.control.put(NEW, json={})
    tiers = (await visited.control.get(f"{NEW}/tiers")).json()["tiers"]
    assert [tier["agent"] for tier in tiers] == ["1001"]
    assert visited.house.act(lambda d, now: d.queue("new", now)).present == 1


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"strategy": "no-such"}, "strategy"),
        ({"max_callers": -1}, "max-callers"),
        ({"ring_timeout": "5"}, "ring-timeout"),
        ({"no_such": 1}, "unknown key"),
        ({"name": "other"}, "unknown key"),
        ({"account": "a/b"}, "account"),
        ({"exit_keys": "x"}, "exit-keys"),
        ({"callback_key": "1"}, "callback-dialstring"),
        ({"overflow": [{"to": "queue:nowhere", "waited": 1}]}, "there is no queue 'nowhere' to overflow to"),
        ({"overflow": [{"to": "queue:new", "waited": 1}]}, "loop"),
        ({"overflow": [{"to": "queue:sales"}]}, "no condition"),
        ({"closed_target": "nowhere"}, "is no target"),
        ({"hours": {"open": ["Someday"]}}, "Someday"),
        ({"account": "acme", "closed_target": "queue:sales"}, "cannot send callers to queue sales"),
        ({"strategy": None}, "strategy"),
    ],
)
async def test_a_queue_that_cannot_work_is_refused_and_changes_nothing(
    visited: Visited, body: dict[str, object], detail: str
) -> None:
    for method, path in (("PUT", NEW), ("PUT", "/api/v1/queues/known"), ("PATCH", "/api/v1/queues/known")):
        await visited.control.put("/api/v1/queues/known", json={"max_callers": 7})
        if "queue:new" in str(body):
            body = {"overflow": [{"to": f"queue:{path.rpartition('/')[2]}", "waited": 1}]}
        answer = await visited.control.request(method, path, json=body)
        assert answer.status_code == 422
        assert detail in answer.json()["detail"]
        assert stored(visited) == [QueueSettings(name="known", max_callers=7)]


@pytest.mark.parametrize("name", ["a%7Bb", "%20x", "x" * 101])
async def test_a_name_that_no_queue_can_have_is_refused(visited: Visited, name: str) -> None:
    assert (await visited.control.put(f"/api/v1/queues/{name}", json={})).status_code == 422


async def test_a_queue_that_others_send_callers_to_stays(visited: Visited) -> None:
    await visited.control.put(NEW, json={})
    await visited.control.put("/api/v1/queues/first", json={"closed_target": "queue:new"})
    refused = await visited.control.delete(NEW)
    assert refused.status_code == 409
    assert "queue first sends callers to queue new" in refused.json()["detail"]
    moved = await visited.control.patch(NEW, json={"account": "acme"})
    assert moved.status_code == 422
    assert (await visited.control.delete("/api/v1/queues/first")).status_code == 204
    assert (await visited.control.delete(NEW)).status_code == 204


async def test_a_queue_stays_in_the_account_of_its_agents(visited: Visited) -> None:
    await visited.control.put(NEW, json={})
    visited.hire("1001", "new")
    refused = await visited.control.patch(NEW, json={"account": "acme"})
    assert (refused.status_code, "agent 1001 of account default" in refused.json()["detail"]) == (422, True)
    assert (await visited.control.patch(NEW, json={"account": "*"})).status_code == 200


async def test_a_queue_of_the_file_is_changed_there_alone(visited: Visited, tmp_path: Path) -> None:
    file = tmp_path / "callctl.toml"
    file.write_text("[server]\n[queue.caller]\n", "utf-8")
    config = load_config(file, {})
    house = evolve(visited.house, refuse_queue=lambda name: refuse_queue(config, name))
    async with _client(control_app(house, visited.metrics)) as client:
        for method in ("PUT", "PATCH", "DELETE"):
            body = None if method == "DELETE" else {}
            answer = await client.request(method, "/api/v1/queues/caller", json=body)
            assert answer.status_code == 409
            assert answer.json()["detail"] == f"queue caller stands in {file}:2; change it there"
        assert (await client.put(NEW, json={})).status_code == 201


async def test_the_queue_that_there_is_without_a_file_says_so(visited: Visited) -> None:
    config = load_config(None, {})
    house = evolve(visited.house, refuse_queue=lambda name: refuse_queue(config, name))
    async with _client(control_app(house, visited.metrics)) as client:
        answer = await client.patch("/api/v1/queues/caller", json={"max_callers": 1})
    assert (answer.status_code, "[queue.caller]" in answer.json()["detail"]) == (409, True)


async def test_what_is_not_there_is_not_found(visited: Visited) -> None:
    for method in ("PATCH", "DELETE"):
        body = None if method == "DELETE" else {}
        answer = await visited.control.request(method, NEW, json=body)
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no queue 'new'")


async def test_nobody_overwrites_what_another_has_changed(visited: Visited) -> None:
    made = await visited.control.put(NEW, json={}, headers={"If-None-Match": "*"})
    tag = made.headers["etag"]
    assert (await visited.control.get(NEW)).headers["etag"] == tag
    changed = await visited.control.patch(NEW, json={"ring_timeout": 9}, headers={"If-Match": tag})
    assert (changed.status_code, changed.headers["etag"] == tag) == (200, False)
    for method, body in (("PUT", {}), ("PATCH", {"ring_timeout": 5}), ("DELETE", None)):
        late = await visited.control.request(method, NEW, json=body, headers={"If-Match": tag})
        assert late.status_code == 412
    assert (await visited.control.put(NEW, json={}, headers={"If-None-Match": "*"})).status_code == 412
    assert stored(visited) == [QueueSettings(name="new", ring_timeout=9)]
