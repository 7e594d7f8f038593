"""`/healthz` and `/readyz`: what monitoring asks."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from attrs import evolve

from callctl.api.health import reasons_not_ready
from tests.api.house import Visited


async def test_a_server_with_a_switch_and_a_store_is_ready(visited: Visited) -> None:
    answer = await visited.public.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})


async def test_one_connected_switch_is_enough(visited: Visited) -> None:
    visited.switches.append(evolve(visited.switches[0], name="fs2", is_ready=False))
    assert (await visited.public.get("/readyz")).status_code == 200


async def test_without_a_switch_nothing_should_be_sent_here(visited: Visited) -> None:
    visited.switches[0] = evolve(visited.switches[0], is_ready=False, last_error="the password is refused")
    answer = await visited.public.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "reasons": ["no switch is connected: fs1 (the password is refused)"],
    }


async def test_a_store_that_does_not_write_is_a_reason(visited: Visited) -> None:
    with closing(sqlite3.connect(visited.house.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        visited.hire("1001")
        await visited.house.written()
        answer = await visited.public.get("/readyz")
        other.execute("ROLLBACK")

    assert answer.status_code == 503
    [reason] = answer.json()["reasons"]
    assert reason.startswith("the history cannot be written: ")


@pytest.mark.fault(25)
async def test_a_database_that_was_deleted_is_a_reason_and_a_metric(visited: Visited) -> None:
    assert "callctl_store_writable 1.0" in (await visited.public.get("/metrics")).text
    visited.house.database.unlink()
    visited.hire("1001")
    await visited.house.written()
    answer = await visited.public.get("/readyz")
    assert answer.status_code == 503
    [reason] = answer.json()["reasons"]
    assert f"the database {visited.house.database} was deleted" in reason
    assert "callctl_store_writable 0.0" in (await visited.public.get("/metrics")).text


async def test_a_server_that_stops_is_alive_and_not_ready(visited: Visited) -> None:
    visited.stopping.set()
    answer = await visited.public.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["callctl is stopping"])
    assert (await visited.public.get("/healthz")).status_code == 200


@pytest.mark.fault(28)
async def test_a_server_that_starts_is_not_ready(visited: Visited) -> None:
    starting = evolve(visited.house, is_serving=lambda: False)
    assert reasons_not_ready(starting) == ["callctl is starting, and takes no calls yet"]


async def test_monitoring_may_ask_with_head(visited: Visited) -> None:
    answer = await visited.public.head("/readyz")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_public_listener_shows_health_to_everybody(visited: Visited) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await visited.public.get(path)).status_code == 200
        assert (await visited.control.get(path)).status_code == 200
