"""The whole server: real calls are looked at and ordered about, by real sockets."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from attrs import define, evolve
from prometheus_client.parser import text_string_to_metric_families

from callctl.cli.stage import Stage, open_stage
from callctl.config import Config
from callctl.config.paths import control_socket
from callctl.config.settings import Address
from callctl.errors import ConfigError
from callctl.model import AgentSettings, CallState, QueueSettings
from callctl.server import Server
from callctl.sim.people import Caller, Endpoint
from tests.api.house import until
from tests.api.issuer import bearer, own_issuer

QUEUE = QueueSettings(name="caller", ring_timeout=5)
ANSWERS = Endpoint(answer_after=0.05)


@define
class Centre:
    """A stage with a door for visitors."""

    stage: Stage
    database: Path
    control: httpx2.AsyncClient

    def hire(self, name: str, phone: Endpoint) -> None:
        self.stage.hire(AgentSettings(name=name, contact=f"user/{name}"), "caller", phone)

    async def call(self, state: str, caller: Caller | None = None) -> dict[str, Any]:
        """Place a call, and return it when it has come to `state`."""
        self.stage.switch.place_call(caller or Caller(patience=60))
        return await self.until(state)

    async def until(self, state: str) -> dict[str, Any]:
        with trio.fail_after(10):
            while True:
                answer = await self.control.get("/api/v1/calls", params={"live": "true", "state": state})
                for call in answer.json()["calls"]:
                    return dict(call)

    async def order(self, call: dict[str, Any], order: str, body: object = None) -> httpx2.Response:
        return await self.control.post(f"/api/v1/calls/{call['uuid']}/{order}", json=body)

    async def end(self, call: dict[str, Any]) -> dict[str, Any]:
        """Wait until nothing is left of the call, and return what the history says of it."""
        with trio.fail_after(10):
            await self.stage.server.reception.wait_empty()
        [visit] = (await self.control.get(f"/api/v1/calls/{call['id']}")).json()["visits"]
        return dict(visit)


@asynccontextmanager
async def open_centre(database: Path) -> AsyncIterator[Centre]:
    transport = httpx2.AsyncHTTPTransport(uds=str(control_socket(database)))
    async with (
        open_stage(database, QUEUE, seed=1) as stage,
        httpx2.AsyncClient(transport=transport, base_url="http://callctl") as control,
    ):
        yield Centre(stage, database, control)


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with open_centre(tmp_path / "callctl.db") as opened:
        yield opened


async def test_a_waiting_call_is_withdrawn_and_goes_on_in_the_dialplan(centre: Centre) -> None:
    call = await centre.call("waiting")
    assert (await centre.order(call, "withdraw")).status_code == 202
    ended = await centre.end(call)
    assert (ended["reason"], ended["outcome"], ended["is_live"]) == ("WITHDRAWN", "overflowed", False)
    again = await centre.order(call, "withdraw")
    assert again.status_code == 404


async def test_a_ringing_call_is_withdrawn_and_the_phone_falls_silent(centre: Centre) -> None:
    centre.hire("1001", Endpoint.silent())
    call = await centre.call("ringing")
    assert (await centre.order(call, "withdraw")).status_code == 202
    ended = await centre.end(call)
    assert [ring["result"] for ring in ended["rings"]] == ["cancelled"]
    agent = (await centre.control.get("/api/v1/agents/1001")).json()
    assert (agent["state"], agent["misses"]) == ("Waiting", 0)


@pytest.mark.parametrize(("state", "reason"), [("waiting", "WITHDRAWN"), ("talking", "BRIDGED")])
async def test_a_call_is_hung_up_with_the_cause_that_was_asked_for(
    centre: Centre, state: str, reason: str
) -> None:
    if state == "talking":
        centre.hire("1001", ANSWERS)
    call = await centre.call(state)
    assert (await centre.order(call, "hangup", {"cause": "CALL_REJECTED"})).status_code == 202
    ended = await centre.end(call)
    assert (ended["reason"], ended["hung_up_by"], ended["hangup_cause"]) == (
        reason,
        "callctl",
        "CALL_REJECTED",
    )
    assert "hangup-ordered" in [step["event"] for step in ended["steps"]]


async def test_a_waiting_call_is_transferred(centre: Centre) -> None:
    call = await centre.call("waiting")
    assert (await centre.order(call, "transfer", {"extension": "answer"})).status_code == 202
    ended = await centre.end(call)
    assert ended["reason"] == "TRANSFERRED"
    assert ("transfer-ordered", "answer XML default") in [
        (step["event"], step["detail"]) for step in ended["steps"]
    ]
    assert centre.stage.switch.channels(), "the caller talks on elsewhere"


async def test_a_talking_caller_is_transferred_and_the_agent_is_free(centre: Centre) -> None:
    centre.hire("1001", ANSWERS)
    call = await centre.call("talking")
    assert (await centre.order(call, "transfer", {"extension": "answer"})).status_code == 202
    ended = await centre.end(call)
    assert (ended["reason"], ended["agent"]) == ("BRIDGED", "1001")
    assert (await centre.control.get("/api/v1/agents/1001")).json()["state"] == "Waiting"
    assert len(centre.stage.switch.channels()) == 1


async def test_a_transfer_to_nowhere_in_the_protocol_is_refused(centre: Centre) -> None:
    call = await centre.call("waiting")
    answer = await centre.order(call, "transfer", {"extension": "-bleg"})
    assert answer.status_code == 422
    assert (await centre.until("waiting"))["id"] == call["id"]


async def test_who_talks_is_not_withdrawn(centre: Centre) -> None:
    centre.hire("1001", ANSWERS)
    call = await centre.call("talking")
    answer = await centre.order(call, "withdraw")
    assert answer.status_code == 409
    assert "waits no more" in answer.json()["detail"]
    assert (await centre.until("talking"))["id"] == call["id"]


async def test_an_agent_who_is_made_available_gets_the_waiting_call(centre: Centre) -> None:
    centre.stage.switch.add_endpoint("user/1001", ANSWERS)
    call = await centre.call("waiting")
    for method, path, body in (
        ("PUT", "agents/1001", {"contact": "user/1001"}),
        ("PUT", "queues/caller/tiers/1001", {}),
        ("POST", "agents/1001/status", {"status": "Available"}),
    ):
        answer = await centre.control.request(method, f"/api/v1/{path}", json=body)
        assert answer.status_code in (200, 201)
    talking = await centre.until("talking")
    assert (talking["id"], talking["agent"]) == (call["id"], "1001")


async def test_metrics_and_history_say_the_same(centre: Centre) -> None:
    centre.hire("1001", Endpoint(answer_after=0.02, talk_seconds=0.05))
    await centre.end(await centre.call("talking"))
    await centre.control.post("/api/v1/agents/1001/status", json={"status": "On Break"})
    await centre.end(await centre.call("waiting", Caller(patience=0.2)))

    families = text_string_to_metric_families((await centre.control.get("/metrics")).text)
    samples = {(s.name, *sorted(s.labels.values())): s.value for f in families for s in f.samples}

    with closing(sqlite3.connect(centre.database)) as connection:
        counted = connection.execute(
            "SELECT queue, outcome, reason, count(*) FROM calls GROUP BY queue, outcome, reason"
        ).fetchall()
        rings = connection.execute("SELECT result, count(*) FROM offers GROUP BY result").fetchall()
        [(waits,)] = connection.execute("SELECT sum(wait_seconds) FROM calls")
    assert len(counted) == 2
    for *labels, number in counted:
        assert samples[("callctl_calls_total", *sorted(labels))] == number
    assert rings == [("answered", 1)]
    assert samples[("callctl_offers_total", "answered", "caller")] == 1
    assert samples[("callctl_queue_wait_seconds_count", "caller")] == 2
    assert samples[("callctl_queue_wait_seconds_sum", "caller")] == pytest.approx(waits, abs=0.01)
    assert samples[("callctl_offer_seconds_count",)] == 1
    assert samples[("callctl_switch_up", "fs1")] == 1
    assert samples[("callctl_switch_events_total", "BACKGROUND_JOB", "fs1")] >= 1
    assert not [key for key in samples if key[0] == "callctl_invariant_violations_total"]


async def test_a_server_that_drains_still_answers_and_says_so(centre: Centre) -> None:
    server = centre.stage.server
    server._config = evolve(server._config, server=evolve(server._config.server, drain_timeout=30))
    call = await centre.call("waiting")
    server.stop()

    answer = await centre.control.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["callctl is stopping"])
    assert (await centre.until("waiting"))["id"] == call["id"]
    assert (await centre.order(call, "hangup")).status_code == 202


async def test_the_http_listener_without_keys_has_health_alone(centre: Centre) -> None:
    base = f"http://127.0.0.1:{centre.stage.server.http_port}"
    async with httpx2.AsyncClient(base_url=base) as public:
        assert (await public.get("/readyz")).json() == {"ready": True, "reasons": []}
        assert (await public.get("/metrics")).status_code == 200
        refusal = await public.get("/api/v1/agents")
        assert refusal.status_code == 401
        assert "jwt-secret-file" in refusal.json()["detail"]


async def test_nothing_is_left_when_the_server_has_stopped(tmp_path: Path) -> None:
    async with open_centre(tmp_path / "callctl.db") as centre:
        port = centre.stage.server.http_port
        idle = await trio.open_tcp_stream("127.0.0.1", port)
    async with idle:
        assert await idle.receive_some(1) == b""
    assert not control_socket(centre.database).exists()
    with pytest.raises(OSError, match=r"connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_systemd_hears_of_the_servers_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        async with open_centre(tmp_path / "callctl.db") as centre:
            assert (await centre.control.get("/readyz")).status_code == 200
            assert {systemd.recv(100), systemd.recv(100)} == {b"WATCHDOG=1", b"READY=1"}
        assert systemd.recv(100) == b"STOPPING=1"


async def test_a_port_that_is_taken_is_a_clear_error(centre: Centre, tmp_path: Path) -> None:
    server = centre.stage.server
    config = evolve(
        server._config,
        server=evolve(server._config.server, database=tmp_path / "other.db", listen=Address("127.0.0.1", 0)),
        http=evolve(server._config.http, listen=Address("127.0.0.1", server.http_port)),
    )
    refusal = await refusal_of(config)
    assert refusal.startswith(f"http.listen: cannot listen on 127.0.0.1:{server.http_port}: ")
    assert not control_socket(tmp_path / "other.db").exists()


async def test_so_is_the_port_for_calls(centre: Centre, tmp_path: Path) -> None:
    server = centre.stage.server
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = Address("127.0.0.1", port)
        config = evolve(
            server._config,
            server=evolve(server._config.server, database=tmp_path / "other.db", listen=listen),
            http=evolve(server._config.http, listen=Address("127.0.0.1", 0)),
        )
        refusal = await refusal_of(config)
    assert refusal.startswith(f"server.listen: cannot listen on 127.0.0.1:{port}: ")


async def refusal_of(config: Config) -> str:
    """Return why a server with this configuration does not begin."""
    with pytest.raises(ExceptionGroup) as error:
        await Server(config).run()
    refusal: Exception = error.value
    while isinstance(refusal, ExceptionGroup):
        [refusal] = refusal.exceptions
    assert isinstance(refusal, ConfigError)
    return str(refusal)


async def test_a_key_that_cannot_be_used_costs_no_call(tmp_path: Path) -> None:
    issuer, http = own_issuer(tmp_path)
    assert http.jwt_secret_file is not None
    secret = http.jwt_secret_file.read_text()
    http.jwt_secret_file.write_text("short")
    async with open_stage(tmp_path / "callctl.db", QUEUE, seed=1, http=http) as stage:
        stage.hire(AgentSettings(name="1001", contact="user/1001"), "caller", ANSWERS)
        base = f"http://127.0.0.1:{stage.server.http_port}"
        async with httpx2.AsyncClient(base_url=base, headers=bearer(issuer.token())) as public:
            assert (await public.get("/api/v1/agents")).status_code == 503
            ready = (await public.get("/readyz")).json()
            assert ready["ready"]
            assert "has 5 bytes, and needs 32" in ready["warnings"][0]
            stage.switch.place_call(Caller(patience=60))

            async def is_talking() -> bool:
                calls = stage.server.reception.sessions.values()
                await trio.lowlevel.checkpoint()
                return any(each.record.state is CallState.TALKING for each in calls)

            await until(is_talking)

            http.jwt_secret_file.write_text(secret)
            await stage.server.reload(stage.server.config)

            async def is_open() -> bool:
                return (await public.get("/api/v1/agents")).status_code == 200

            await until(is_open)
            assert "warnings" not in (await public.get("/readyz")).json()
