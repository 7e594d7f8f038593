"""The stream of events on real sockets: from now on or from the past, filtered, and closed with a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from attrs import evolve
from starlette.applications import Starlette
from starlette.requests import Request

from callctl.api import event_hub, streaming
from callctl.api.access import CONTROL_SOCKET, Principal
from callctl.api.listeners import serve_http
from callctl.api.operations import Operation, operations_of, routes_of
from callctl.api.problems import handlers
from callctl.config.settings import Address
from callctl.model import (
    OUTCOME_OF_REASON,
    AgentStatus,
    CallRecord,
    CallState,
    OfferRecord,
    Reason,
    Scope,
    SwitchChange,
)
from callctl.store.upkeep import DAY_SECONDS, prune
from tests.api.house import Visited
from tests.api.streams import StreamClient, following
from tests.store.samples import waiting

EVENTS = "/api/v1/events"


@asynccontextmanager
async def serving(visited: Visited, who: Principal = CONTROL_SOCKET) -> AsyncIterator[int]:
    """Serve the API to `who` on a port of its own."""

    async def admit(_request: Request, _operation: Operation) -> Principal:
        return who

    routes = routes_of(operations_of(visited.house, visited.metrics), admit)
    app = Starlette(routes=routes, exception_handlers=handlers())
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve_http, app, Address("127.0.0.1", 0))
        yield port
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def follow(port: int, query: str = "", last_id: str = "") -> AsyncIterator[StreamClient]:
    async with following(await trio.open_tcp_stream("127.0.0.1", port), EVENTS + query, last_id) as client:
        yield client


def call(key: str, account: str = "default", queue: str = "caller") -> CallRecord:
    record = evolve(waiting(key, queue=queue), position_at_entry=1)
    return evolve(record, arrival=evolve(record.arrival, account=account))


def ended(record: CallRecord) -> CallRecord:
    return evolve(
        record,
        state=CallState.ENDED,
        reason=Reason.CALLER_HANGUP,
        outcome=OUTCOME_OF_REASON[Reason.CALLER_HANGUP],
        ended_at=record.arrival.joined_at + 5,
    )


async def test_events_come_as_they_happen_with_id_name_and_envelope(visited: Visited) -> None:
    async with serving(visited) as port, follow(port) as client:
        assert client.status == 200
        assert "text/event-stream" in client.head
        visited.house.record(call("c1"))
        message = await client.until("call.queued")
        assert message.id == str(message.data["sequence"])
        assert message.data["schema"] == 1
        assert message.data["data"]["call"] == "c1"


async def test_who_comes_back_goes_on_without_gap_or_double(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the database too, where memory holds only the newest."""
    monkeypatch.setattr(event_hub, "RECENT_EVENTS", 7)
    seen: list[str] = []
    async with serving(visited) as port:
        async with follow(port) as client:
            for number in range(20):
                visited.house.record(call(f"c{number}"))
            for _ in range(10):
                seen.append((await client.until("call.queued")).data["data"]["call"])
            last_id = client.last_id
        for number in range(20, 2000):
            visited.house.record(call(f"c{number}"))
        async with follow(port, last_id=last_id) as client:
            while len(seen) < 2000:
                seen.append((await client.until("call.queued", 20)).data["data"]["call"])
    assert seen == [f"c{number}" for number in range(2000)]


async def test_the_beginning_is_after_0_and_a_wrong_place_is_refused(visited: Visited) -> None:
    async with serving(visited) as port:
        visited.house.record(
            call("c1"),
        )
        await visited.house.written()
        async with follow(port, "?after=0") as client:
            assert (await client.until("call.queued")).data["data"]["call"] == "c1"
        for query, status in [("?after=99", 410), ("?after=x", 422), ("?type=call.nonsense", 422)]:
            async with follow(port, query) as client:
                assert client.status == status
        visited.house.record(ended(call("c1")))
        await visited.house.written()
        now = call("c1").arrival.joined_at + 2 * DAY_SECONDS
        await trio.to_thread.run_sync(partial(prune, visited.house.database, 1, now, pause=lambda _: None))
        async with follow(port, last_id="1") as client:
            assert client.status == 410


async def test_only_what_is_asked_for_comes(visited: Visited) -> None:
    offer = OfferRecord(id="o1", call="c1", agent="anna", leg_uuid="l1", offered_at=1.0)
    async with serving(visited) as port:
        queries = {
            "?type=call.ended": ["call.ended"],
            "?queue=sales": ["call.queued"],
            "?agent=anna": ["offer.created"],
            "?call=c2": ["call.queued"],
            "?type=call.queued,offer.created&queue=caller": ["call.queued", "offer.created"],
        }
        visited.house.record(call("c1"))
        visited.house.record(offer)
        visited.house.record(call("c2", queue="sales"))
        visited.house.record(ended(call("c1")))
        visited.house.record(SwitchChange(switch="fs1", at=1.0, is_ready=True, calls=0))
        await visited.house.written()
        for query, expected in queries.items():
            async with follow(port, f"{query}&after=0") as client:
                for name in expected:
                    message = await client.next()
                    assert message is not None
                    assert message.name == name
                with pytest.raises(trio.TooSlowError):
                    await client.next(0.05)


async def test_a_principal_sees_its_account_alone_and_an_agent_itself_alone(visited: Visited) -> None:
    one = Principal(subject="crm", scopes=frozenset({Scope.READ}), account="one")
    anna = Principal(subject="anna", scopes=frozenset({Scope.AGENT}), account="default", agent="anna")
    offer = OfferRecord(id="o1", call="c3", agent="anna", leg_uuid="l1", offered_at=1.0)
    visited.house.record(call("c1", "one"))
    visited.house.record(call("c2", "two"))
    visited.house.record(call("c3"))
    visited.house.record(SwitchChange(switch="fs1", at=1.0, is_ready=True, calls=0))
    visited.house.record(offer)
    await visited.house.written()
    for who, expected in ((one, ("call.queued", "c1")), (anna, ("offer.created", "c3"))):
        async with serving(visited, who) as port, follow(port, "?after=0") as client:
            message = await client.next()
            assert message is not None
            assert (message.name, message.data["data"]["call"]) == expected
            with pytest.raises(trio.TooSlowError):
                await client.next(0.05)


async def test_a_silent_stream_has_heartbeats_that_say_how_far_it_is(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callctl.api.events.HEARTBEAT_SECONDS", 0.05)
    async with serving(visited) as port, follow(port, "?type=call.ended") as client:
        visited.house.record(call("c1"))
        with pytest.raises(trio.TooSlowError):
            await client.next(0.3)
        assert client.last_id == "1"


async def test_a_stream_ends_with_its_token_and_says_so(visited: Visited) -> None:
    who = evolve(CONTROL_SOCKET, expires_at=visited.house.now() + 0.1)
    async with serving(visited, who) as port, follow(port) as client:
        assert (await client.until("closed")).data == {"reason": streaming.EXPIRED}
        assert await client.next() is None


async def test_a_stop_closes_streams_and_says_so(visited: Visited) -> None:
    with trio.fail_after(5):
        async with serving(visited) as port:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            manager = following(stream, EVENTS)
            client = await manager.__aenter__()
        assert (await client.until("closed")).data == {"reason": streaming.STOPPING}
        await manager.__aexit__(None, None, None)


async def test_a_slow_client_is_dropped_and_told(visited: Visited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "SLOW_SECONDS", 0.2)
    async with serving(visited) as port, follow(port, "?after=0") as client:
        odd = call("c1")
        large = evolve(odd, arrival=evolve(odd.arrival, variables={"notes": "x" * 20_000}))
        for number in range(1000):
            visited.house.record(evolve(large, arrival=evolve(large.arrival, call=f"c{number}")))
        await trio.sleep(1.5)
        reasons = []
        while (message := await client.next()) is not None:
            if message.name == "closed":
                reasons.append(message.data["reason"])
        assert reasons == [streaming.TOO_SLOW]


async def test_a_client_who_is_gone_leaves_no_task_behind(visited: Visited) -> None:
    async with serving(visited) as port:
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(5):
            async with follow(port):
                pass
        with trio.fail_after(3):
            while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_agents_are_told_of_through_the_api(visited: Visited) -> None:
    visited.hire("anna")
    await visited.house.written()
    async with serving(visited) as port, follow(port, "?agent=anna") as client:
        visited.house.act(lambda d, now: d.set_status("anna", AgentStatus.ON_BREAK, now, "lunch"))
        changed = await client.until("agent.status_changed")
        assert (changed.data["data"]["to"], changed.data["data"]["reason"]) == ("On Break", "lunch")
