"""The live picture on real sockets: a snapshot, then only what changed, of one's own account alone."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import evolve

from callctl.api import live_hub, streaming
from callctl.api.access import Principal
from callctl.api.live_hub import MOST_BEHIND
from callctl.model import AgentStatus, Scope
from tests.api.house import Visited
from tests.api.streams import following
from tests.api.test_events import serving

LIVE = "/api/v1/live"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_hub, "EVERY_SECONDS", 0.05)


async def test_a_snapshot_comes_first_and_then_only_what_changed(visited: Visited) -> None:
    visited.hire("anna")
    visited.join("c1")
    async with (
        serving(visited) as port,
        following(await trio.open_tcp_stream("127.0.0.1", port), LIVE) as client,
    ):
        snapshot = (await client.until("snapshot")).data
        assert set(snapshot["queues"]) == {"caller", "sales"}
        assert snapshot["queues"]["caller"]["waiting"] == 1
        assert snapshot["queues"]["caller"]["oldest_joined_at"] == snapshot["members"]["c1"]["joined_at"]
        assert snapshot["members"]["c1"]["offered_to"] == ["anna"]
        assert snapshot["calls"]["c1"]["state"] == "waiting"
        assert snapshot["switches"]["fs1"]["is_ready"]
        with pytest.raises(trio.TooSlowError):
            await client.next(0.3)  # nothing changes but the time
        visited.house.act(lambda d, now: d.leave("c1", now))
        visited.calls.records.clear()
        change: dict[str, Any] = {}
        while not {"members", "calls", "queues"} <= set(change):
            # A look is taken in parts, so that what happens meanwhile may be told in two.
            change |= (await client.until("change")).data
        assert change["members"] == {"c1": None}
        assert change["calls"] == {"c1": None}
        assert set(change["queues"]) == {"caller"}
        assert "agents" not in change, "the phone is silenced first"
        assert "switches" not in change


async def test_a_token_sees_its_own_account_alone(visited: Visited) -> None:
    visited.hire("anna", account="default")
    visited.hire("bert", account="*")
    record = visited.join("c1")
    visited.calls.records[:] = [evolve(record, arrival=evolve(record.arrival, account="other"))]
    who = Principal(subject="wall", scopes=frozenset({Scope.READ}), account="default")
    async with (
        serving(visited, who) as port,
        following(await trio.open_tcp_stream("127.0.0.1", port), LIVE) as client,
    ):
        snapshot = (await client.until("snapshot")).data
        assert set(snapshot["agents"]) == {"anna"}
        assert "calls" not in snapshot
        assert "switches" not in snapshot
        visited.house.act(lambda d, now: d.set_status("bert", AgentStatus.ON_BREAK, now))
        visited.house.act(lambda d, now: d.set_status("anna", AgentStatus.ON_BREAK, now))
        change = (await client.until("change")).data
        assert set(change["agents"]) == {"anna"}


async def test_many_clients_are_told_the_same_and_those_who_leave_are_forgotten(visited: Visited) -> None:
    visited.hire("anna")
    async with serving(visited) as port:

        async def watch() -> None:
            async with following(await trio.open_tcp_stream("127.0.0.1", port), LIVE) as client:
                await client.until("snapshot")
                started.append(1)
                reason = ""
                while reason != "x":
                    change = (await client.until("change")).data
                    reason = change.get("agents", {}).get("anna", {}).get("reason")

        started: list[int] = []
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(watch)
            with trio.fail_after(5):
                while len(started) < 30:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            visited.house.act(lambda d, now: d.set_status("anna", AgentStatus.ON_BREAK, now, "x"))
        with trio.fail_after(5):
            while visited.house.live._watchers:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_client_who_falls_behind_is_told_so(visited: Visited) -> None:
    """Its pieces are not gathered without an end."""
    hub = visited.house.live
    async with (
        serving(visited) as port,
        following(await trio.open_tcp_stream("127.0.0.1", port), LIVE) as client,
    ):
        await client.until("snapshot")
        [watcher] = hub._watchers
        for _ in range(MOST_BEHIND + 1):
            watcher.take(streaming.message("change", b"{}"))
        assert (await client.until("closed")).data == {"reason": streaming.TOO_SLOW_LIVE}
        assert await client.next() is None
