"""Records conversations with a real FreeSWITCH, as tests/recordings has them.

`unshare -nu python -m tests.live.record --freeswitch PREFIX` writes the scenarios of this module anew, from a
namespace of its own: the names and addresses of the machine stand in every event.
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import click
import trio
from attrs import evolve

from tests.live.freeswitch import FreeSwitch
from tests.live.patience import until
from tests.recordings import FOLDER

EVENTS = (
    "CHANNEL_CREATE CHANNEL_ANSWER CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_BRIDGE CHANNEL_UNBRIDGE "
    "CHANNEL_PARK CHANNEL_UNPARK CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY CHANNEL_ORIGINATE "
    "CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_STATE CHANNEL_OUTGOING BACKGROUND_JOB DTMF HEARTBEAT "
    "PLAYBACK_START PLAYBACK_STOP"
)
LEG = "641c16c2-c60c-42b4-b3d2-1fc107047e0b"
"""The far end of the caller's leg."""

MUSIC = "tone_stream://%(1000,0,440);loops=-1"

EXTENSIONS = """
  <extension name="resume"><condition field="destination_number" expression="^resume$">
    <action application="set" data="socket_resume=true"/>
    <action application="socket" data="127.0.0.1:{port} async full"/>
    <action application="playback" data="tone_stream://%(500,0,800);loops=2"/>
    <action application="socket" data="127.0.0.1:{port} async full"/>
  </condition></extension>
  <extension name="answer"><condition field="destination_number" expression="^answer$">
    <action application="answer"/>
    <action application="playback" data="tone_stream://%(1000,0,350);loops=-1"/>
  </condition></extension>
"""
"""What the dialplan of the recordings has, as far as it is needed here."""


def execute(application: str, argument: str = "", *, lock: bool = False) -> str:
    lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}"]
    if argument:
        lines.append(f"execute-app-arg: {argument}")
    if lock:
        lines.append("event-lock: true")
    return "\n".join([*lines, "", ""])


class Recorder:
    """One conversation: what is said and heard on every connection, with its time."""

    def __init__(self, freeswitch: FreeSwitch) -> None:
        self._freeswitch = freeswitch
        self._began = trio.current_time()
        self._lines: list[dict[str, object]] = []
        self._streams: dict[str, trio.SocketStream] = {}
        self.heard: dict[str, str] = {}
        self.closed: set[str] = set()
        self.caller = ""

    async def take(self, stream: trio.SocketStream) -> None:
        """Take a connection that FreeSWITCH makes."""
        await self._listen(f"outbound-{sum(name != 'inbound' for name in self._streams) + 1}", stream)

    async def log_in(self, nursery: trio.Nursery) -> None:
        """Connect to FreeSWITCH, and ask for everything."""
        stream = await trio.open_tcp_stream("127.0.0.1", self._freeswitch.ports.event_socket)
        nursery.start_soon(self._listen, "inbound", stream)
        await until(lambda: "auth/request" in self.heard.get("inbound", ""))
        await self.say("inbound", "auth ClueCon", f"event json {EVENTS}")

    async def _listen(self, name: str, stream: trio.SocketStream) -> None:
        self._streams[name] = stream
        self.heard[name] = ""
        try:
            async for data in stream:
                text = data.decode("utf-8", "surrogateescape")
                self._note(name, "<", text)
                self.heard[name] += text
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # We have dropped it ourselves.
        self._note(name, "<", None)
        self.closed.add(name)

    def _note(self, name: str, direction: str, text: str | None) -> None:
        at = round(trio.current_time() - self._began, 4)
        self._lines.append({"t": at, "conn": name, "dir": direction, "data": text})

    async def say(self, name: str, *commands: str) -> None:
        """Say commands one by one, each after the reply to the one before."""
        for command in commands:
            replies = self._replies(name)
            self._note(name, ">", f"{command}\n\n")
            await self._streams[name].send_all(f"{command}\n\n".encode())
            await until(lambda replies=replies: self._replies(name) > replies or name in self.closed)

    def _replies(self, name: str) -> int:
        return len(re.findall(r"Content-Type: (?:command/reply|api/response)", self.heard[name]))

    async def drop(self, name: str) -> None:
        """Be gone without a word."""
        self._note(name, ">", None)
        await self._streams[name].aclose()

    async def arrive(self) -> None:
        """Let a caller in, who waits with music on the first connection for a second."""
        order = (
            f"bgapi originate {{origination_uuid={LEG},origination_caller_id_name='Ada Caller',"
            f"origination_caller_id_number=4930123456}}sofia/internal/resume@127.0.0.1:"
            f"{self._freeswitch.ports.trunk} &park()"
        )
        await self.say("inbound", order)
        await until(lambda: "outbound-1" in self._streams)
        await self.say("outbound-1", "connect", "linger 10", "myevents json", execute("answer"))
        found = re.search(r"^Unique-ID: ([0-9a-f-]{36})", self.heard["outbound-1"], re.MULTILINE)
        assert found is not None
        self.caller = found[1]
        await self.say("outbound-1", execute("playback", MUSIC))
        await trio.sleep(1)

    async def come_again(self, number: int) -> None:
        """Take the caller on the next connection."""
        name = f"outbound-{number}"
        await until(lambda: name in self._streams)
        await self.say(name, "connect", "linger 10", "myevents json")

    async def leave(self) -> None:
        """Let the caller hang up, and hear the last events."""
        await self.say("inbound", f"api uuid_kill {LEG}")
        await trio.sleep(1)

    def write(self, name: str, about: str) -> None:
        """Write it all down, with the usual ports and the usual password."""
        head = {
            "scenario": name,
            "about": about,
            "events": "json",
            "switch": "FreeSWITCH 1.10.12",
            "socket": "plain TCP on loopback",
        }
        with gzip.GzipFile(FOLDER / "json" / f"{name}.jsonl.gz", "wb", mtime=0) as file:
            for line in (head, *self._lines):
                file.write(f"{json.dumps(line, ensure_ascii=True)}\n".encode())


async def transfer_old_socket_ends_late(recorder: Recorder) -> None:
    """A waiting caller is transferred into a queue again; the old socket ends while the new one leads."""
    await recorder.arrive()
    await recorder.say("inbound", f"api uuid_transfer {recorder.caller} resume XML public")
    await recorder.come_again(2)
    await recorder.say("outbound-2", execute("playback", MUSIC))
    await trio.sleep(0.5)
    await recorder.say("outbound-1", "exit")
    await recorder.come_again(3)
    await recorder.say("outbound-3", execute("playback", MUSIC))
    await trio.sleep(0.5)
    await recorder.leave()


async def transfer_old_socket_bows_out(recorder: Recorder) -> None:
    """The same; the old socket ends with socket_resume=false, and the new one parks its channel again."""
    await recorder.arrive()
    uuid = recorder.caller
    await recorder.say("inbound", f"api uuid_transfer {uuid} resume XML public")
    await recorder.come_again(2)
    await recorder.say("outbound-2", execute("sleep", "1000", lock=True))
    await trio.sleep(0.1)
    await recorder.say("outbound-1", f"api uuid_setvar {uuid} socket_resume false", "exit")
    await until(lambda: "outbound-1" in recorder.closed)
    await trio.sleep(0.1)
    await recorder.say("outbound-2", execute("park"), f"api uuid_break {uuid}")
    await trio.sleep(0.1)
    await recorder.say("outbound-2", execute("playback", "tone_stream://%(700,0,440)"))
    await trio.sleep(1.2)
    await recorder.say("outbound-2", f"api uuid_setvar {uuid} socket_resume true")
    await recorder.say("outbound-2", execute("playback", MUSIC))
    await trio.sleep(0.5)
    await recorder.drop("outbound-2")
    await recorder.come_again(3)
    await trio.sleep(0.5)
    await recorder.leave()


async def transfer_elsewhere_old_socket_ends_late(recorder: Recorder) -> None:
    """A waiting caller is sent elsewhere; the old socket's end leaves it in CS_RESET, until a transfer."""
    await recorder.arrive()
    uuid = recorder.caller
    await recorder.say("inbound", f"api uuid_transfer {uuid} answer XML public")
    await trio.sleep(1)
    await recorder.say("outbound-1", "exit")
    await trio.sleep(1)
    await recorder.say("inbound", f"api uuid_dump {uuid} json")
    await recorder.say("inbound", f"api uuid_transfer {uuid} answer XML public")
    await trio.sleep(1)
    await recorder.say("inbound", f"api uuid_dump {uuid} json")
    await recorder.leave()


SCENARIOS: tuple[Callable[[Recorder], Awaitable[None]], ...] = (
    transfer_old_socket_ends_late,
    transfer_old_socket_bows_out,
    transfer_elsewhere_old_socket_ends_late,
)


def prepare(freeswitch: FreeSwitch, directory: Path) -> None:
    """Give it the names, the password and the ports of the recordings, and their dialplan."""
    file = directory / "conf" / "freeswitch.xml"
    text = file.read_text()
    ports = freeswitch.ports
    for old, new in {
        '"trunk"': '"external"',
        '"phones"': '"internal"',
        '"live-password"': '"ClueCon"',
        'name="switchname" value="live"': 'name="switchname" value="vm"',
        f'"{ports.event_socket}"': '"8021"',
        f'"{ports.trunk}"': '"5080"',
        f'"{ports.phones}"': '"5060"',
        '<param name="enable-timer"': '<param name="inbound-late-negotiation" value="true"/>'
        '<param name="enable-timer"',
        '<context name="public">': f'<context name="public">{EXTENSIONS.format(port=8084)}',
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text)
    freeswitch.ports = evolve(ports, event_socket=8021, trunk=5080, phones=5060, callctl=8084)


async def record(freeswitch: FreeSwitch) -> None:
    """Record every scenario."""
    await until(freeswitch.is_listening, 60)
    await trio.sleep(3)
    for scenario in SCENARIOS:
        async with trio.open_nursery() as nursery:
            recorder = Recorder(freeswitch)
            await nursery.start(partial(trio.serve_tcp, recorder.take, 8084, host="127.0.0.1"))
            await recorder.log_in(nursery)
            await scenario(recorder)
            recorder.write(scenario.__name__, str(scenario.__doc__))
            click.echo(f"recorded {scenario.__name__}")
            nursery.cancel_scope.cancel()


@click.command()
@click.option("--freeswitch", "prefix", required=True, type=click.Path(path_type=Path))
def main(prefix: Path) -> None:
    """Record the scenarios of this module with the FreeSWITCH under PREFIX."""
    with tempfile.TemporaryDirectory() as directory:
        freeswitch = FreeSwitch(prefix, Path(directory))
        prepare(freeswitch, Path(directory))
        freeswitch.start()
        try:
            trio.run(record, freeswitch)
        finally:
            freeswitch.stop()


if __name__ == "__main__":
    main()
