"""The two streams under load: what 500 clients of /live cost, and how soon an event reaches a client.

    python -m tests.bench.streams [--clients 500] [--seconds 20] [--rate 50]

The server runs in a process of its own, with calls coming in beside. The loop's delay is measured from
outside, by asking `/healthz` again and again on one connection. The lateness of an event is counted from its
timestamp, so it holds the journal's batch and the disk.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import ceil

import click
import psutil
import trio

from callctl.config.paths import control_socket
from tests.api.streams import following
from tests.bench.calls import place_calls
from tests.bench.house import Floor, House, open_house
from tests.bench.lean_people import Plan

AGENTS = 200
PLAN = Plan(ring_seconds=0.2, talk_seconds=1.0)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def watch(house: House, ready: list[int]) -> None:
    """Follow /live, as a wallboard does."""
    stream = await trio.open_unix_socket(control_socket(house.server.database))
    async with following(stream, "/api/v1/live") as client:
        await client.next(60)
        ready.append(1)
        while await client.stream.receive_some(65536):
            pass


async def time_events(house: House, late_ms: list[float]) -> None:
    """Follow the connections of calls, and note how late each is."""
    stream = await trio.open_unix_socket(control_socket(house.server.database))
    async with following(stream, "/api/v1/events?type=offer.created,call.connected") as client:
        while (message := await client.next(60)) is not None:
            at = datetime.fromisoformat(message.data["timestamp"])
            late_ms.append((datetime.now(UTC) - at).total_seconds() * 1000)


async def time_loop(house: House, took_ms: list[float]) -> None:
    """Ask whether the server is alive, over and over, and note how long each answer takes."""
    async with await trio.open_unix_socket(control_socket(house.server.database)) as stream:
        while True:
            began = trio.current_time()
            await stream.send_all(HEALTH)
            await stream.receive_some(65536)
            took_ms.append((trio.current_time() - began) * 1000)
            await trio.sleep(0.02)


def p99(values: list[float]) -> float:
    """Return the 99th percentile."""
    return sorted(values)[ceil(0.99 * len(values)) - 1] if values else float("nan")


async def phase(house: House, seconds: float, rate: float) -> dict[str, float]:
    """Let calls come for so long, and return the costs."""
    process = psutil.Process(house.server.pid)
    late_ms: list[float] = []
    took_ms: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(time_events, house, late_ms)
        nursery.start_soon(time_loop, house, took_ms)
        before = process.cpu_times()
        began = trio.current_time()
        await place_calls(house, ceil(rate * seconds), rate, PLAN)
        lasted = trio.current_time() - began
        after = process.cpu_times()
        nursery.cancel_scope.cancel()
    spent = after.user + after.system - before.user - before.system
    return {
        "core_percent": round(100 * spent / lasted, 1),
        "event_p99_ms": round(p99(late_ms), 1),
        "events": len(late_ms),
        "healthz_p99_ms": round(p99(took_ms), 1),
    }


async def run(clients: int, seconds: float, rate: float) -> dict[str, object]:
    """Measure without and with the clients of /live."""
    async with open_house(Floor(agents=AGENTS)) as house:
        await place_calls(house, 50, rate, PLAN)
        alone = await phase(house, seconds, rate)
        ready: list[int] = []
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(watch, house, ready)
                await trio.sleep(0.01)  # as many at once as are not streams yet would be too many
            with trio.fail_after(60):
                while len(ready) < clients:  # noqa: ASYNC110
                    await trio.sleep(0.1)
            watched = await phase(house, seconds, rate)
            nursery.cancel_scope.cancel()
    cost = round(watched["core_percent"] - alone["core_percent"], 1)
    return {"clients": clients, "without": alone, "with": watched, "live_core_percent": cost}


@click.command()
@click.option("--clients", default=500)
@click.option("--seconds", default=20.0)
@click.option("--rate", default=50.0)
def main(clients: int, seconds: float, rate: float) -> None:
    """Measure the streams; the goals are 15 % of a core for /live, and 50 ms for an event at p99."""
    click.echo(json.dumps(trio.run(run, clients, seconds, rate), indent=2))


if __name__ == "__main__":
    main()
