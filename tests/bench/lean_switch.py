"""A switch that says what a real one says in a call's life, and does no more: the generator of all load.

It answers every command that callctl sends, with messages of real size (`recorded`) and delays like the real
ones. Its people are simple: a phone rings for a while and answers; the agent hangs up after the talk.

Its dialplan is callctl's own, as far as it matters: who loses the socket before the bridge hears music for
AWAY_SECONDS and comes back.
"""

from __future__ import annotations

import json
import random
import re
import socket
import time
from functools import partial

import trio

from callctl.ids import Ids
from tests.bench import recorded
from tests.bench.lean_api import answer_api
from tests.bench.lean_people import Call, Leg, Plan, Watcher
from tests.bench.lean_wire import Order, Timers, Wire, connect

TICK_SECONDS = 0.02
"""FreeSWITCH looks after its channels and sockets every 20 ms; on average a thing waits half of that."""

BRIDGE_SECONDS = 0.04
"""From the order of a bridge to CHANNEL_BRIDGE: 20 to 60 ms."""

AWAY_SECONDS = 3.0
"""callctl_away_seconds of dialplan/callctl.xml."""

HEARTBEAT_SECONDS = 20.0

OK = b"Content-Type: command/reply\nReply-Text: +OK\n\n"
SUBSCRIBED = b"Content-Type: command/reply\nReply-Text: +OK event listener enabled json\n\n"


class LeanSwitch:
    """One switch. `listen`, then `run`; then calls may be placed."""

    def __init__(self, controller_port: int, *, seed: int = 0, watcher: Watcher | None = None) -> None:
        """`controller_port` is where the `socket` application connects to."""
        self.watcher = watcher or Watcher()
        self.calls: dict[str, Call] = {}
        """The callers who are there."""
        self.legs: dict[str, Leg] = {}
        self.placed = self.handled = self.ended = 0
        self.most_at_once = 0
        self.stranded: list[Call] = []
        """Callers who lost the socket without a way back: always a fault."""
        self.looks = 0
        """How often the controller asked for all channels."""
        self.link_up_at = 0.0
        """When the controller last asked for events, by `time.perf_counter`."""
        self._controller_port = controller_port
        self._ids = Ids(random.Random(seed))
        self._timers = Timers()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._link: Wire | None = None
        self._tells_creation = False
        self.started_at = time.time()
        self._nursery: trio.Nursery | None = None
        self._heartbeat = recorded.heartbeat()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._timers.run)
            self._nursery.start_soon(self._beat)
            task_status.started()
            with self._listener:
                while True:
                    await trio.lowlevel.wait_readable(self._listener)
                    sock, _ = self._listener.accept()
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._nursery.start_soon(self._serve_link, Wire(sock, self._nursery))

    async def _beat(self) -> None:
        while True:
            await trio.sleep(HEARTBEAT_SECONDS)
            if self._link is not None:
                self._link.send(self._heartbeat)

    # --- callers ---

    def place_call(self, plan: Plan) -> Call:
        """Let a call come in."""
        self.placed += 1
        call = Call(self._ids.uuid(), f"4930{self.placed:07d}", plan, time.time())
        call.placed_at = time.perf_counter()
        self.calls[call.uuid] = call
        self.most_at_once = max(self.most_at_once, len(self.calls))
        self._run_socket(call)
        if plan.patience is not None:
            self._timers.later(plan.patience, partial(self._give_up, call))
        return call

    def _run_socket(self, call: Call) -> None:
        assert self._nursery is not None, "run() comes first"
        self._nursery.start_soon(self._lead, call)

    async def _lead(self, call: Call) -> None:
        """The `socket` application, and what the dialplan does when it ends."""
        assert self._nursery is not None
        sock = await connect(self._controller_port)
        if sock is not None:
            call.wire = wire = Wire(sock, self._nursery)
            if call.is_over:
                wire.close()
                return
            await wire.serve(partial(self._obey_on_socket, call))
            if call.wire is wire:
                call.wire = None
        if call.is_over or call.is_talking:
            return
        if call.variables.get("callctl_reason"):
            self._end(call)
        elif call.variables.get("socket_resume", "true") == "true":
            call.music_at = 0.0
            self._timers.later(AWAY_SECONDS, partial(self._come_back, call))
        else:
            self.stranded.append(call)

    def _come_back(self, call: Call) -> None:
        if not call.is_over:
            self._run_socket(call)

    def _give_up(self, call: Call) -> None:
        if not call.is_over and not call.is_talking:
            self.hang_up(call)

    def hang_up(self, call: Call) -> None:
        """The caller puts the phone down."""
        if call.is_over:
            return
        call.gone_at = time.perf_counter()
        leg = call.leg
        if leg is None:
            self._tell(call, recorded.given_up().event(call.values), is_last=True)
        else:
            self._end_talk(call, leg)
        self._end(call)

    def _end(self, call: Call) -> None:
        """The caller's channel is gone."""
        if call.is_over:
            return
        call.is_over = True
        self.calls.pop(call.uuid, None)
        self.ended += 1
        self.handled += call.is_handled
        self.watcher.over(call)

    def _end_talk(self, call: Call, leg: Leg) -> None:
        """Both hear that the talk is over, the agent's leg first."""
        values = call.values
        events = [
            recorded.channel_event(name, "caller").event(values)
            for name in ("CHANNEL_UNBRIDGE", "CHANNEL_HANGUP_COMPLETE")
        ]
        hangup = recorded.channel_event("CHANNEL_HANGUP_COMPLETE", "leg").event(leg.values)
        self.watcher.freed(leg.agent)
        self._tell_link(hangup)
        self._forget_leg(leg)
        self._tell(call, *events, is_last=True)

    def end_talk(self, call: Call) -> None:
        """The agent whom this caller talks with hangs up."""
        if call.leg is not None:
            self._agent_leaves(call, call.leg)

    def _agent_leaves(self, call: Call, leg: Leg) -> None:
        """The agent hangs up, and with hangup_after_bridge the caller's call ends too."""
        if call.is_over or leg.is_gone:
            return
        self._end_talk(call, leg)
        self._end(call)

    # --- events ---

    def _tell(self, call: Call, *events: bytes, is_last: bool = False) -> None:
        """Tell of the caller's channel, on its own socket and to who follows it; `is_last`: it is gone."""
        if call.wire is not None:
            notice = _linger_notice(call) if is_last else b""
            call.wire.send(b"".join(events) + notice)
        if call.is_followed and self._link is not None:
            self._link.send(b"".join(events))

    def _tell_link(self, message: bytes) -> None:
        if self._link is not None:
            self._link.send(message)

    # --- the caller's socket ---

    def _obey_on_socket(self, call: Call, order: Order) -> None:
        wire = call.wire
        assert wire is not None, "a command came on it"
        word = order.line.partition(b" ")[0]
        if word == b"sendmsg":
            wire.send(OK)
            self._execute(call, order)
        elif word == b"connect":
            wire.send(self._connect_reply(call))
        elif word == b"linger":
            wire.send(b"Content-Type: command/reply\nReply-Text: +OK will linger 10 seconds\n\n")
        elif word == b"event":
            wire.send(SUBSCRIBED)
        elif word == b"filter":
            wire.send(_filter_added(order.line))
        elif word == b"api":
            answer = answer_api(self, order.line.partition(b" ")[2].decode())
            wire.send(b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(answer), answer))
        elif word == b"exit":
            wire.send(b"Content-Type: command/reply\nReply-Text: +OK bye\n\n")
            wire.close()
        else:
            raise ValueError(f"the lean switch does not know {order.line!r}")

    def _connect_reply(self, call: Call) -> bytes:
        variables = "".join(f"variable_{name}: {value}\n" for name, value in call.variables.items() if value)
        return recorded.connect_reply().fill(
            {
                "caller": call.uuid.encode(),
                "number": call.number.encode(),
                "queue": call.plan.queue.encode(),
                "created": b"%d" % (call.created_at * 1e6),
                "variables": variables.encode(),
            }
        )

    def _execute(self, call: Call, order: Order) -> None:
        if b"execute-app-name: playback" in order.headers:
            call.music_uuid = re.search(rb"event-uuid: (\S+)", order.headers)[1]  # type: ignore[index]
            call.music_at = time.perf_counter()
        elif b"execute-app-name: answer" in order.headers:
            self._timers.later(TICK_SECONDS / 2, partial(self._tell_completion, call, "answer"))
        elif b"execute-app-name: hangup" in order.headers:
            self.hang_up(call)

    def _tell_completion(self, call: Call, *applications: str) -> None:
        if not call.is_over:
            events = [
                recorded.channel_event("CHANNEL_EXECUTE_COMPLETE", "caller", application).event(
                    call.values | {"application": call.music_uuid if application == "playback" else b""}
                )
                for application in applications
            ]
            self._tell(call, *events)

    # --- the inbound connection ---

    async def _serve_link(self, wire: Wire) -> None:
        wire.send(b"Content-Type: auth/request\n\n")
        await wire.serve(partial(self._obey_on_link, wire))
        if self._link is wire:
            self._link = None
            for call in self.calls.values():
                call.is_followed = False

    def _obey_on_link(self, wire: Wire, order: Order) -> None:
        word, _, rest = order.line.partition(b" ")
        if word == b"api":
            answer = answer_api(self, rest.decode())
            wire.send(b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(answer), answer))
        elif word == b"bgapi":
            self._originate(wire, order, rest)
        elif word == b"filter":
            self._filter(rest.decode().split())
            wire.send(_filter_added(order.line))
        elif word == b"event":
            self._tells_creation = b"CHANNEL_CREATE" in rest
            self._link = wire
            self.link_up_at = time.perf_counter()
            wire.send(SUBSCRIBED)
        elif word == b"auth":
            wire.send(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
        else:
            raise ValueError(f"the lean switch does not know {order.line!r}")

    def _filter(self, words: list[str]) -> None:
        call = self.calls.get(words[-1])
        if call is not None:
            call.is_followed = words[0] != "delete"

    def _originate(self, wire: Wire, order: Order, rest: bytes) -> None:
        """`bgapi originate {name=value,…}user/AGENT &park()`, with our own Job-UUID."""
        found = re.match(rb"originate \{([^}]*)\}user/(\S+) ", rest)
        assert found is not None, rest
        variables = dict(pair.split("=", 1) for pair in found[1].decode().split(","))
        job = order.headers.removeprefix(b"Job-UUID: ")
        call = self.calls.get(variables["cc_member_uuid"])
        leg = Leg(
            variables["origination_uuid"],
            found[2].decode(),
            call,
            job,
            rest.partition(b" ")[2],
            variables,
            time.perf_counter(),
        )
        self.legs[leg.uuid] = leg
        self.watcher.originate(leg)
        wire.send(b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: %b\nJob-UUID: %b\n\n" % (job, job))
        if call is not None:
            call.ringing.append(leg)
            if call.plan.leaves_ringing is not None:
                self._timers.later(call.plan.leaves_ringing, partial(self._give_up, call))
        if self._tells_creation:
            self._tell_link(recorded.channel_event("CHANNEL_CREATE", "leg").event(leg.values))
        ring_seconds = (call.plan if call is not None else Plan()).ring_seconds
        if ring_seconds is not None:
            self._timers.later(ring_seconds, partial(self._answer_leg, leg))

    def _answer_leg(self, leg: Leg) -> None:
        if not leg.is_gone:
            leg.is_answered = True
            self._tell_result(leg, f"+OK {leg.uuid}")

    def _tell_result(self, leg: Leg, result: str) -> None:
        values = {
            "job": leg.job,
            "order": json.dumps(leg.order.decode())[1:-1].encode(),
            "result": result.encode() + b"\\n",
            "variables": b"",
        }
        self._tell_link(recorded.job_result().event(values))

    def _hang_up_leg(self, leg: Leg) -> None:
        self._tell_link(recorded.channel_event("CHANNEL_HANGUP_COMPLETE", "leg").event(leg.values))
        self._forget_leg(leg)

    def _forget_leg(self, leg: Leg) -> None:
        leg.is_gone = True
        del self.legs[leg.uuid]
        if leg.call is not None and leg in leg.call.ringing:
            leg.call.ringing.remove(leg)

    # --- what the api orders ---

    def order_bridge(self, call: Call, leg: Leg) -> None:
        """Join the two in a while, unless one of them is gone by then."""
        self._timers.later(BRIDGE_SECONDS / 2, partial(self._tell_completion, call, "playback", "socket"))
        self._timers.later(BRIDGE_SECONDS, partial(self._bridge, call, leg))

    def _bridge(self, call: Call, leg: Leg) -> None:
        if call.is_over or leg.is_gone:
            return
        call.leg = leg
        call.is_handled = True
        call.bridged_at = time.perf_counter()
        self._tell(call, recorded.channel_event("CHANNEL_BRIDGE", "caller").event(call.values))
        self.watcher.bridged(call)
        if call.plan.talk_seconds is not None:
            self._timers.later(call.plan.talk_seconds, partial(self._agent_leaves, call, leg))

    def kill_leg(self, leg: Leg, cause: str) -> None:
        """End an agent's leg, be it ringing or in a talk, right after the reply to that."""
        if leg.call is not None and leg.call.leg is leg:
            self._timers.later(0.0, partial(self._agent_leaves, leg.call, leg))
        else:
            self.watcher.cancelled(leg)
            self._timers.later(0.0, partial(self._cancel_leg, leg, cause))

    def _cancel_leg(self, leg: Leg, cause: str) -> None:
        if not leg.is_gone:
            if not leg.is_answered:
                self._tell_result(leg, f"-ERR {cause}")
            self._hang_up_leg(leg)

    def kill_caller(self, call: Call) -> None:
        """Hang a caller up, right after the reply to that."""
        self._timers.later(0.0, partial(self.hang_up, call))


def _linger_notice(call: Call) -> bytes:
    return (
        b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: %b\n"
        b"Content-Disposition: linger\nChannel-Name: sofia/external/%b@127.0.0.1\n"
        b"Linger-Time: 10\nContent-Length: 0\n\n" % (call.uuid.encode(), call.number.encode())
    )


def _filter_added(line: bytes) -> bytes:
    header, value = line.split(b" ")[-2:]
    return b"Content-Type: command/reply\nReply-Text: +OK filter added. [%b]=[%b]\n\n" % (header, value)
