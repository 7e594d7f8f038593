"""callctl, its agents and its callers in one hand, and what must be true when all calls are over."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TypeVar

import trio
from attrs import field, frozen

from callctl.acd.distributor import Distributor
from callctl.acd.views import AgentView
from callctl.config import load_config
from callctl.model import (
    OUTCOME_OF_REASON,
    AgentSettings,
    AgentState,
    AgentStatus,
    Outcome,
    Reason,
    Tier,
)
from callctl.server import Server
from callctl.store.loading import open_reader
from tests.floor import violations
from tests.live.configuration import PASSWORD
from tests.live.freeswitch import Console, FreeSwitch
from tests.live.patience import until

T = TypeVar("T")

IS_OVER = "EXISTS (SELECT 1 FROM call_events WHERE call_id = calls.id AND event = 'ended')"
"""Of a row of `calls`; that the talk has ended is written a moment before who hung up."""

QUEUES = """
[queue.caller]
ring-timeout = 2

[queue.needed]
join-when-empty = false

[queue.brief]
max-wait-time = 2
ring-timeout = 2

[queue.quiet]
wait-media = "ring-ready"
max-wait-time = 2
ring-timeout = 2
"""


@frozen(kw_only=True)
class Caller:
    """Somebody who called in: the far end of the trunk's leg."""

    number: str
    uuid: str


@frozen(kw_only=True)
class Row:
    """A row of `calls`, as it stands in the database."""

    values: dict[str, object] = field(repr=False)

    def __getitem__(self, column: str) -> object:
        return self.values[column]

    def text(self, column: str) -> str:
        """Return a column that holds text."""
        value = self.values[column]
        assert isinstance(value, str), f"{column} is {value!r}"
        return value

    def seconds(self, column: str) -> float:
        """Return a column that holds a duration."""
        value = self.values[column]
        assert isinstance(value, float | int), f"{column} is {value!r}"
        return float(value)


class CallCentre:
    """One callctl on one FreeSWITCH, and everybody who is concerned with it."""

    def __init__(
        self, freeswitch: FreeSwitch, console: Console, directory: Path, nursery: trio.Nursery, queues: str
    ) -> None:
        self.freeswitch = freeswitch
        self.console = console
        self._directory = directory
        self._database = directory / "callctl.db"
        self._nursery = nursery
        self._server: Server | None = None
        self._server_scope = trio.CancelScope()
        self._server_is_gone = trio.Event()
        self._process: trio.Process | None = None
        self._numbers = iter(range(4_930_000_001, 4_930_999_999))
        self._configuration = directory / "callctl.toml"
        self.configure(queues)

    def configure(self, queues: str, password: str = PASSWORD) -> None:
        """Write callctl.toml."""
        ports = self.freeswitch.ports
        self._configuration.write_text(
            f'[server]\nlisten = "127.0.0.1:{ports.callctl}"\ndatabase = "{self._database}"\n'
            f'[http]\nlisten = "127.0.0.1:{ports.http}"\n'
            f'[[freeswitch]]\nname = "live"\nport = {ports.event_socket}\npassword = "{password}"\n{queues}'
        )

    # --- callctl ---

    @property
    def server(self) -> Server:
        """The callctl that runs in this process."""
        assert self._server is not None, "callctl does not run in this process"
        return self._server

    async def start(self) -> None:
        """Start callctl in this process, on the database that is there."""
        self._server_scope, self._server_is_gone = trio.CancelScope(), trio.Event()
        self._server = await self._nursery.start(self._serve)

    async def _serve(self, *, task_status: trio.TaskStatus[Server]) -> None:
        server = Server(load_config(self._configuration, {}))
        try:
            with self._server_scope:
                await server.run(task_status=task_status)
        finally:
            self._server = None
            self._server_is_gone.set()

    async def stop(self) -> None:
        """Stop callctl in good order."""
        self.server.stop()
        await self._server_is_gone.wait()

    async def cancel(self) -> None:
        """End callctl without a word to anybody; only the history is written to its end."""
        self._server_scope.cancel()
        await self._server_is_gone.wait()

    async def spawn(self) -> None:
        """Start `callctl serve` as a process of its own, on the database that is there."""
        log = self._directory / "serve.log"
        with log.open("wb") as output:
            self._process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "callctl", "serve", "--config", str(self._configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        await until(lambda: "serving" in log.read_text())

    async def kill(self) -> None:
        """Kill that process: nothing of callctl's is closed, said or written any more."""
        assert self._process is not None, "callctl does not run as a process"
        self._process.kill()
        await self._process.wait()
        self._process = None

    def stand_still(self) -> None:
        """Have that process do nothing, as a machine does that is overloaded or suspended."""
        assert self._process is not None, "callctl does not run as a process"
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have that process go on."""
        assert self._process is not None, "callctl does not run as a process"
        self._process.send_signal(signal.SIGCONT)

    # --- agents ---

    def agent(
        self, name: str, phone: str, *, queue: str = "caller", delay_seconds: float = 0, skill: str = ""
    ) -> None:
        """Let an agent with this phone be available to a queue; a known one gets the phone.

        After a call that was not taken the agent is not offered another for `delay_seconds`.
        """
        contact = self.freeswitch.phone(phone)
        self.agent_at(name, contact, queue=queue, delay_seconds=delay_seconds, skill=skill)

    def agent_at(
        self,
        name: str,
        contact: str,
        *,
        queue: str = "caller",
        delay_seconds: float = 0,
        skill: str = "",
        max_no_answer: int = 0,
    ) -> None:
        """Let an agent with this dial string be available to a queue."""
        settings = AgentSettings(
            name=name,
            contact=contact,
            busy_delay_time=delay_seconds,
            reject_delay_time=delay_seconds,
            no_answer_delay_time=delay_seconds,
            skills={skill: 1} if skill else {},
            max_no_answer=max_no_answer,
        )
        self._act(lambda distributor, now: distributor.put_agent(settings, now))
        self._act(lambda distributor, now: distributor.put_tier(Tier(queue=queue, agent=name), now))
        self._act(lambda distributor, now: distributor.set_status(name, AgentStatus.AVAILABLE, now))

    def log_out(self, name: str) -> None:
        """Let an agent go home; a talk goes on."""
        self._act(lambda distributor, now: distributor.set_status(name, AgentStatus.LOGGED_OUT, now))

    def agent_view(self, name: str) -> AgentView:
        """Return how an agent stands."""
        agents = self._act(lambda distributor, now: distributor.agents(now))
        return next(agent for agent in agents if agent.name == name)

    def _act(self, action: Callable[[Distributor, float], T]) -> T:
        return self.server.dispatcher.act(action)

    # --- callers ---

    async def call(self, destination: str = "callctl", *, wait: bool = True) -> Caller:
        """Call in, and return once somebody has answered; at once without `wait`."""
        caller = Caller(number=str(next(self._numbers)), uuid=await self.console.api("create_uuid"))
        order = (
            f"originate {{origination_uuid={caller.uuid},origination_caller_id_number={caller.number},"
            f"originate_timeout=30,ignore_early_media=true}}"
            f"sofia/trunk/{destination}@127.0.0.1:{self.freeswitch.ports.trunk} &park()"
        )
        if wait:
            result = await self.console.job(order)
            assert result.startswith("+OK"), result
        else:
            self._nursery.start_soon(self.console.job, order)
        return caller

    async def hang_up(self, caller: Caller) -> None:
        """Let a caller hang up."""
        await self.console.api(f"uuid_kill {caller.uuid}")

    async def press(self, caller: Caller, key: str) -> None:
        """Let a caller press a key."""
        await self.console.api(f"uuid_send_dtmf {caller.uuid} {key}")

    async def press_on_phone(self, phone: str, key: str) -> None:
        """Let the agent who has just answered this phone press a key."""
        [uuid] = [
            channel["uuid"]
            for channel in await self.console.channels()
            if channel["dest"] == phone and channel["direction"] == "inbound"
        ]
        await self.console.api(f"uuid_send_dtmf {uuid} {key}")

    async def is_on_the_line(self, caller: Caller) -> bool:
        """Say whether a caller has neither hung up nor been hung up."""
        return await self.console.exists(caller.uuid)

    async def is_kept(self, uuid: str) -> bool:
        """Say whether a channel goes on in its dialplan if callctl dies."""
        return await self.console.variable(uuid, "socket_resume") == "true"

    async def is_gone(self, uuid: str) -> bool:
        """Say whether a channel is no more."""
        return not await self.console.exists(uuid)

    async def is_at(self, uuid: str, place: str) -> bool:
        """Say whether a channel has come to this place of the dialplan."""
        return await self.console.variable(uuid, "live_place") == place

    async def has_no_channels(self) -> bool:
        """Say whether nobody is on the line."""
        return not await self.console.channels()

    # --- the history ---

    def rows(self, sql: str, *parameters: str) -> list[sqlite3.Row]:
        """Ask the database, as it stands on the disk."""
        with closing(open_reader(self._database)) as connection:
            return connection.execute(sql, parameters).fetchall()

    async def row(self, caller: Caller, condition: str = IS_OVER) -> Row:
        """Wait until a call's row fulfils `condition`, and return it."""
        found: list[sqlite3.Row] = []

        def look() -> bool:
            found[:] = self.rows(
                f"SELECT * FROM calls WHERE caller_number = ? AND ({condition})", caller.number
            )
            return bool(found)

        try:
            await until(look)
        except trio.TooSlowError:
            stand = [dict(row) for row in self.rows("SELECT * FROM calls")]
            raise AssertionError(f"no call of {caller.number} with {condition}, but {stand}") from None
        assert len(found) == 1, f"{len(found)} rows for {caller}"
        return Row(values=dict(found[0]))

    def offers(self, caller: Caller) -> list[tuple[str, str]]:
        """Return the agents who were rung for a caller, each with the result, in order."""
        found = self.rows(
            "SELECT offers.agent, result FROM offers JOIN calls ON calls.id = call_id"
            " WHERE caller_number = ? ORDER BY offered_at",
            caller.number,
        )
        return [(row["agent"], row["result"]) for row in found]

    def timeline(self, caller: Caller) -> list[str]:
        """Return what happened to a caller, in order."""
        found = self.rows(
            "SELECT event FROM call_events JOIN calls ON calls.id = call_id"
            " WHERE caller_number = ? ORDER BY call_events.at, call_events.rowid",
            caller.number,
        )
        return [row["event"] for row in found]

    # --- when all is over ---

    async def check_all_is_over(self) -> None:
        """See that no leg, no reservation and no open row is left, and that the history adds up."""
        if self._server is None:
            await self.start()
        await self._check_channels()
        sessions = self.server.reception.sessions
        await until(lambda: not sessions)
        await self.server.journal.flush()
        assert self._act(violations) == []
        await until(lambda: not self._busy_agents(), 2)
        self._check_rows()

    def _busy_agents(self) -> list[str]:
        busy = (AgentState.RESERVED, AgentState.RECEIVING, AgentState.IN_A_QUEUE_CALL)
        agents = self._act(lambda distributor, now: distributor.agents(now))
        return [agent.name for agent in agents if agent.state in busy]

    async def _check_channels(self) -> None:
        try:
            await until(self.has_no_channels)
        except trio.TooSlowError:
            left = await self.console.channels()
            assert [(row["direction"], row["dest"], row["application"]) for row in left] == []

    def _check_rows(self) -> None:
        calls = self.rows("SELECT * FROM calls")
        for row in calls:
            assert row["state"] == "ended", dict(row)
            assert row["ended_at"] is not None, dict(row)
            assert row["outcome"] == OUTCOME_OF_REASON[Reason(row["reason"])], dict(row)
            rung = self.rows("SELECT * FROM offers WHERE call_id = ?", row["id"])
            assert row["offers"] == len(rung), dict(row)
        assert self.rows("SELECT * FROM offers WHERE result = 'ringing' OR ended_at IS NULL") == []
        outcomes = Counter(row["outcome"] for row in calls)
        assert sum(outcomes[outcome] for outcome in Outcome) == len(calls)

    async def close(self) -> None:
        """Stop whatever runs, after a failure too."""
        if self._server is not None:
            await self.stop()
        if self._process is not None:
            await self.kill()
        if await self.console.channels():
            await self.console.api("hupall")


@asynccontextmanager
async def open_centre(
    freeswitch: FreeSwitch, directory: Path, queues: str = QUEUES
) -> AsyncIterator[CallCentre]:
    """Open a call centre whose callctl is not started yet, and close everything at the end."""
    async with freeswitch.console() as console, trio.open_nursery() as nursery:
        centre = CallCentre(freeswitch, console, directory, nursery, queues)
        try:
            yield centre
        finally:
            with trio.CancelScope(shield=True):
                await centre.close()
                nursery.cancel_scope.cancel()
