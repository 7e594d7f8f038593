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
from collections.abc import Callable, Mapping
from functools import partial

import trio

from callctl.model import Ids
from tests.bench import recorded
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
NO_CHANNEL = b"-ERR No such channel!\n"


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
        self._started_at = time.time()
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
            self._tell(call, recorded.given_up().event(self._values(call)))
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
        if call.wire is not None:
            call.wire.send(
                b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: %b\n"
                b"Content-Disposition: linger\nChannel-Name: sofia/external/%b@127.0.0.1\n"
                b"Linger-Time: 10\nContent-Length: 0\n\n" % (call.uuid.encode(), call.number.encode())
            )
        self.watcher.over(call)

    def _end_talk(self, call: Call, leg: Leg) -> None:
        """Both hear that the talk is over, the agent's leg first."""
        self.watcher.freed(leg.agent)
        self._hang_up_leg(leg)
        values = self._values(call)
        self._tell(call, recorded.channel_event("CHANNEL_UNBRIDGE", "caller").event(values))
        self._tell(call, recorded.channel_event("CHANNEL_HANGUP_COMPLETE", "caller").event(values))

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

    def _values(self, call: Call) -> dict[str, bytes]:
        return {
            "caller": call.uuid.encode(),
            "leg": call.leg.uuid.encode() if call.leg is not None else b"",
            "number": call.number.encode(),
            "variables": b"",
            "application": b"",
        }

    def _tell(self, call: Call, message: bytes) -> None:
        """Tell of the caller's channel, on its own socket and to who follows it."""
        call.events += 1
        if call.wire is not None:
            call.wire.send(message)
        if call.is_followed and self._link is not None:
            self._link.send(message)

    def _tell_link(self, call: Call | None, message: bytes) -> None:
        if call is not None:
            call.events += 1
        if self._link is not None:
            self._link.send(message)

    # --- the caller's socket ---

    def _obey_on_socket(self, call: Call, order: Order) -> None:
        call.commands += 1
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

    def _tell_completion(self, call: Call, application: str) -> None:
        if not call.is_over:
            template = recorded.channel_event("CHANNEL_EXECUTE_COMPLETE", "caller", application)
            values = self._values(call)
            if application == "playback":
                values["application"] = call.music_uuid
            self._tell(call, template.event(values))

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
            name, _, argument = rest.decode().partition(" ")
            answer = _API[name](self, argument)
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
            call.commands += 1
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
            call.commands += 1
            call.ringing.append(leg)
            if call.plan.leaves_ringing is not None:
                self._timers.later(call.plan.leaves_ringing, partial(self._give_up, call))
        if self._tells_creation:
            self._tell_link(
                call, recorded.channel_event("CHANNEL_CREATE", "leg").event(self._leg_values(leg))
            )
        ring_seconds = (call.plan if call is not None else Plan()).ring_seconds
        if ring_seconds is not None:
            self._timers.later(ring_seconds, partial(self._answer_leg, leg))

    def _leg_values(self, leg: Leg) -> dict[str, bytes]:
        shown = {"cc_side": "agent", "callctl_call": leg.variables["callctl_call"]}
        members = _json_members({f"variable_{name}": value for name, value in shown.items()})
        return {
            "caller": leg.call.uuid.encode() if leg.call is not None and leg.call.leg is leg else b"",
            "leg": leg.uuid.encode(),
            "number": leg.call.number.encode() if leg.call is not None else b"",
            "variables": members + b',"Channel-Presence-ID":"%b@127.0.0.1"' % leg.agent.encode(),
            "application": b"",
        }

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
        self._tell_link(leg.call, recorded.job_result().event(values))

    def _hang_up_leg(self, leg: Leg) -> None:
        leg.is_gone = True
        del self.legs[leg.uuid]
        event = recorded.channel_event("CHANNEL_HANGUP_COMPLETE", "leg")
        self._tell_link(leg.call, event.event(self._leg_values(leg)))
        if leg.call is not None and leg in leg.call.ringing:
            leg.call.ringing.remove(leg)

    # --- api ---

    def _uuid_setvar_multi(self, argument: str) -> bytes:
        uuid, _, settings = argument.partition(" ")
        call = self.calls.get(uuid)
        if call is None:
            return NO_CHANNEL
        call.commands += 1
        for setting in settings.split(";"):
            name, _, value = setting.partition("=")
            call.variables[name] = value
        return b"+OK\n"

    def _uuid_answer(self, argument: str) -> bytes:
        call = self.calls.get(argument)
        if call is None:
            return NO_CHANNEL
        call.commands += 1
        return b"+OK\n"

    def _uuid_bridge(self, argument: str) -> bytes:
        caller_uuid, leg_uuid = argument.split()
        call, leg = self.calls.get(caller_uuid), self.legs.get(leg_uuid)
        if call is None or leg is None:
            return b"-ERR Invalid uuid\n"
        call.commands += 1
        self._timers.later(BRIDGE_SECONDS, partial(self._bridge, call, leg))
        return b"+OK %b\n" % leg_uuid.encode()

    def _bridge(self, call: Call, leg: Leg) -> None:
        if call.is_over or leg.is_gone:
            return
        self._tell_completion(call, "playback")
        self._tell_completion(call, "socket")
        call.leg = leg
        call.is_handled = True
        call.bridged_at = time.perf_counter()
        self._tell(call, recorded.channel_event("CHANNEL_BRIDGE", "caller").event(self._values(call)))
        self.watcher.bridged(call)
        if call.plan.talk_seconds is not None:
            self._timers.later(call.plan.talk_seconds, partial(self._agent_leaves, call, leg))

    def _uuid_kill(self, argument: str) -> bytes:
        uuid, _, cause = argument.partition(" ")
        if (leg := self.legs.get(uuid)) is not None:
            if leg.call is not None:
                leg.call.commands += 1
            if leg.call is not None and leg.call.leg is leg:
                self._agent_leaves(leg.call, leg)
                return b"+OK\n"
            self.watcher.cancelled(leg)
            self._timers.later(0.0, partial(self._cancel_leg, leg, cause or "NORMAL_CLEARING"))
        elif (call := self.calls.get(uuid)) is not None:
            self._timers.later(0.0, partial(self.hang_up, call))
        else:
            return NO_CHANNEL
        return b"+OK\n"

    def _cancel_leg(self, leg: Leg, cause: str) -> None:
        if not leg.is_gone:
            if not leg.is_answered:
                self._tell_result(leg, f"-ERR {cause}")
            self._hang_up_leg(leg)

    def _uuid_exists(self, argument: str) -> bytes:
        return b"true" if argument in self.calls or argument in self.legs else b"false"

    def _uuid_dump(self, argument: str) -> bytes:
        uuid = argument.split()[0]
        if (call := self.calls.get(uuid)) is not None:
            return recorded.dump("caller", call.leg is not None).fill(
                self._values(call) | _times(call.bridged_at) | {"variables": _variables(call.variables)}
            )
        if (leg := self.legs.get(uuid)) is not None:
            call = leg.call if leg.call is not None and leg.call.leg is leg else None
            return recorded.dump("leg", call is not None).fill(
                self._leg_values(leg)
                | _times(0.0 if call is None else call.bridged_at)
                | {"variables": _variables(leg.variables)}
            )
        return NO_CHANNEL

    def _uptime(self, argument: str) -> bytes:
        return b"%d" % (time.time() - self._started_at)

    def _show(self, argument: str) -> bytes:
        if argument.startswith("registrations"):
            return b'{"row_count":0}\n'
        self.looks += 1
        return recorded.shown_channels((*self.calls, *self.legs))


_API: Mapping[str, Callable[[LeanSwitch, str], bytes]] = {
    "global_getvar": lambda switch, argument: recorded.CORE_UUID.encode(),
    "uptime": LeanSwitch._uptime,
    "show": LeanSwitch._show,
    "uuid_answer": LeanSwitch._uuid_answer,
    "uuid_bridge": LeanSwitch._uuid_bridge,
    "uuid_dump": LeanSwitch._uuid_dump,
    "uuid_exists": LeanSwitch._uuid_exists,
    "uuid_kill": LeanSwitch._uuid_kill,
    "uuid_setvar_multi": LeanSwitch._uuid_setvar_multi,
}


def _filter_added(line: bytes) -> bytes:
    header, value = line.split(b" ")[-2:]
    return b"Content-Type: command/reply\nReply-Text: +OK filter added. [%b]=[%b]\n\n" % (header, value)


def _json_members(values: dict[str, str]) -> bytes:
    """Return members of a JSON object, each with a comma ahead of it."""
    return b"".join(b",%b:%b" % (json.dumps(n).encode(), json.dumps(v).encode()) for n, v in values.items())


def _variables(variables: dict[str, str]) -> bytes:
    return _json_members({f"variable_{name}": value for name, value in variables.items() if value})


def _times(bridged_at: float) -> dict[str, bytes]:
    """Return since when a talk lasts, by a moment of `time.perf_counter`, and the time now; in µs."""
    now = time.time()
    return {
        "bridged": b"%d" % ((now - (time.perf_counter() - bridged_at)) * 1e6),
        "now": b"%d" % (now * 1e6),
    }
