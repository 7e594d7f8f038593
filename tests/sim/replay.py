"""Replay: say to the stand-in what the controller of a recording said, and compare what comes back.

`python -m tests.sim.replay` prints the list of recordings and the table of differences.
"""

from __future__ import annotations

import difflib
import random
from collections import Counter
from pathlib import Path

import trio
from attrs import frozen
from trio.testing import MockClock, memory_stream_pair

from callctl.esl.wire import Event
from callctl.ids import Ids
from callctl.sim.dialplan import recorded_dialplan
from callctl.sim.switch import Switch
from tests.recordings import recordings
from tests.sim.recorded import (
    UUID,
    Connection,
    Names,
    Recording,
    Turn,
    name_of,
    read,
    tell_event,
    tell_message,
)

PATIENCE_SECONDS = 3.0
"""How long what came in the recording is waited for, before the controller goes on."""

AFTERMATH_SECONDS = 2.0
"""How long the stand-in may be later than the recording at its end."""


class FullTicks(random.Random):
    """Every delay takes its whole time, which is what FreeSWITCH's 20 ms mostly are in the recordings."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


@frozen
class Difference:
    """One thing that came otherwise: where, what was recorded, and what the stand-in said instead."""

    recording: str
    connection: str
    channel: str
    event: str
    what: str
    recorded: str
    simulated: str


class Replay:
    """One recording, replayed."""

    def __init__(self, recording: Recording, seed: int = 1) -> None:
        self.recording = recording
        self.heard: dict[str, Connection] = {}
        self.closed: set[str] = set()
        """The connections that the stand-in closed."""
        self._streams: dict[str, trio.abc.Stream] = {}
        self._news = trio.Event()
        self._chosen = recording.chosen()
        self._recorded_names = Names(recording.heard.values(), self._chosen)
        self._source = FullTicks(seed)

    async def run(self) -> None:
        """Say everything at its point, and listen to the end."""
        async with trio.open_nursery() as nursery:

            async def dial(_host: str, port: int) -> trio.abc.Stream:
                if port != 8084:
                    raise OSError("nobody listens")
                number = sum(name.startswith("outbound") for name in self._streams) + 1
                return self._connect(nursery, f"outbound-{number}")

            switch = Switch(
                name="vm",
                random=self._source,
                ids=Ids(self._source),
                dial=dial,
                dialplan=recorded_dialplan(),
                hold_music="tone_stream://%(1000,0,440);loops=-1",
                wire_seconds=0.01,
                heartbeat_seconds=5.0 if "heartbeat" in self.recording.name else 1e9,
            )
            await nursery.start(switch.run)
            nursery.start_soon(switch.serve_inbound, self._connect(nursery, "inbound"))
            for turn in self.recording.turns:
                await self._until_heard(turn.heard)
                await trio.sleep(max(0.0, turn.said.at - trio.current_time()))
                await self._say(turn)
            everything = {name: heard.counts for name, heard in self.recording.heard.items()}
            left = self.recording.seconds - trio.current_time() + AFTERMATH_SECONDS
            await self._until_heard(everything, max(AFTERMATH_SECONDS, left))
            await trio.sleep(max(0.0, self.recording.seconds - trio.current_time()))
            nursery.cancel_scope.cancel()

    def _connect(self, nursery: trio.Nursery, name: str) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self._streams[name] = ours
        self.heard[name] = Connection()
        self._tell()
        nursery.start_soon(self._listen, name)
        return theirs

    async def _listen(self, name: str) -> None:
        try:
            async for data in self._streams[name]:
                self.heard[name].take(data)
                self._tell()
            self.closed.add(name)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # A connection that we dropped ourselves.

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _until_heard(
        self, wanted: dict[str, Counter[str]], patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until at least as much came as in the recording; what never comes is a difference later."""
        with trio.move_on_after(patience_seconds):
            while not all(self._has_heard(name, kinds) for name, kinds in wanted.items()):
                await self._news.wait()

    def _has_heard(self, name: str, kinds: Counter[str]) -> bool:
        if name not in self.heard:
            return False
        counts = self.heard[name].counts
        return all(counts[kind] >= count for kind, count in kinds.items() if kind != "HEARTBEAT")

    async def _say(self, turn: Turn) -> None:
        stream = self._streams.get(turn.said.connection)
        if stream is None:
            return
        try:
            if turn.said.text is None:
                await trio.aclose_forcefully(stream)
            else:
                text = self._translated(turn.said.text)
                await stream.send_all(text.encode("utf-8", "surrogateescape"))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # The switch closed first, as in the recording.

    def _translated(self, text: str) -> str:
        """Put our channels' UUIDs in place of the recorded ones."""
        ours = Names(self.heard.values(), self._chosen)
        for uuid in set(UUID.findall(text)):
            name = self._recorded_names.name_of(uuid)
            if name is not None:
                text = text.replace(uuid, ours.uuid_of(name) or uuid)
        return text

    # --- comparing ------------------------------------------------------------------------------

    def differences(self) -> list[Difference]:
        """Return everything that came otherwise."""
        ours = Names(self.heard.values(), self._chosen)
        found: list[Difference] = []
        for name, recorded in self.recording.heard.items():
            simulated = self.heard.get(name, Connection())
            found += self._compare_words(name, recorded, simulated, ours)
            found += self._compare_ends(name, recorded)
            found += self._compare_events(name, recorded, simulated, ours)
        return found

    def _compare_ends(self, name: str, recorded: Connection) -> list[Difference]:
        """Compare who closes: FreeSWITCH says goodbye before it does, the recorder does not."""
        last = recorded.words[-1].headers if recorded.words else {}
        is_over = last.get("Content-Type") == "text/disconnect-notice" and "Linger-Time" not in last
        if is_over == (name in self.closed):
            return []
        return [Difference(self.recording.name, name, "", "closed", "", str(is_over), str(not is_over))]

    def _compare_words(
        self, name: str, recorded: Connection, simulated: Connection, ours: Names
    ) -> list[Difference]:
        """Compare replies, responses and notices in their order."""
        theirs = [tell_message(m, self._recorded_names.of) for m in recorded.words]
        told = [tell_message(m, ours.of) for m in simulated.words]
        own = self._chosen
        theirs = [_anonymous(line, own) for line in theirs]
        told = [_anonymous(line, own) for line in told]
        return [
            Difference(self.recording.name, name, "", "said", "", a, b) for a, b in _aligned(theirs, told)
        ]

    def _compare_events(
        self, name: str, recorded: Connection, simulated: Connection, ours: Names
    ) -> list[Difference]:
        """Compare the events of each channel in the order in which they were made."""
        own = self._chosen
        theirs = _by_channel(recorded.events, self._recorded_names)
        told = _by_channel(simulated.events, ours)
        found = []
        for channel in sorted(theirs.keys() | told.keys()):
            a, b = theirs.get(channel, []), told.get(channel, [])
            matcher = difflib.SequenceMatcher(
                None, [_key(e) for e in a], [_key(e) for e in b], autojunk=False
            )
            for kind, a1, a2, b1, b2 in matcher.get_opcodes():
                if kind == "equal":
                    for one, two in zip(a[a1:a2], b[b1:b2], strict=True):
                        x = tell_event(one, self._recorded_names.of)
                        y = tell_event(two, ours.of)
                        found += [
                            Difference(
                                self.recording.name,
                                name,
                                channel,
                                one.name,
                                field,
                                _anonymous(x.get(field, ""), own),
                                _anonymous(y.get(field, ""), own),
                            )
                            for field in sorted(x.keys() | y.keys())
                            if _anonymous(x.get(field, ""), own) != _anonymous(y.get(field, ""), own)
                        ]
                else:
                    found += [
                        Difference(
                            self.recording.name, name, channel, e.name, "missing", " ".join(_key(e)), ""
                        )
                        for e in a[a1:a2]
                    ]
                    found += [
                        Difference(self.recording.name, name, channel, e.name, "extra", "", " ".join(_key(e)))
                        for e in b[b1:b2]
                    ]
        return found


def _by_channel(events: list[Event], names: Names) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda event: event.sequence):
        if event.name == "HEARTBEAT" and not event.get("Event-Info"):
            continue
        found.setdefault(names.of(event.uuid) or event.name, []).append(event)
    return found


def _key(event: Event) -> tuple[str, ...]:
    """What says which event of a channel this is."""
    if event.name == "CHANNEL_STATE":
        return (event.name, event.get("Channel-State"))
    return (event.name, event.get("Application"))


def _anonymous(text: str, own: set[str]) -> str:
    """Return `text` with every UUID hidden that the switch chose."""
    return UUID.sub(lambda found: found[0] if found[0] in own else "<uuid>", text)


def _aligned(theirs: list[str], told: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of lines that differ, in order; a missing or extra one has "" beside it."""
    pairs: list[tuple[str, str]] = []
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, theirs, told, autojunk=False).get_opcodes():
        if kind != "equal":
            a, b = theirs[a1:a2], told[b1:b2]
            length = max(len(a), len(b))
            pairs += zip(a + [""] * (length - len(a)), b + [""] * (length - len(b)), strict=True)
    return pairs


def replayed(path: Path) -> list[Difference]:
    """Replay a recording under a virtual clock, and return everything that came otherwise."""
    recording = read(path)

    async def main() -> list[Difference]:
        replay = Replay(recording)
        await replay.run()
        return replay.differences()

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def report() -> None:
    """Print which recordings are replayed, what differs, and why it may."""
    from tests.sim.differences import NOT_REPLAYED, TABLE  # It is made of the differences found here.

    counts = [0] * len(TABLE)
    print("Recordings replayed, and how many things came otherwise:")
    for path in recordings():
        if name_of(path) in NOT_REPLAYED:
            print(f"  {name_of(path):55} not replayed: {NOT_REPLAYED[name_of(path)]}")
            continue
        found = replayed(path)
        unexplained = [difference for difference in found if not any(row.allows(difference) for row in TABLE)]
        for index, row in enumerate(TABLE):
            counts[index] += sum(row.allows(difference) for difference in found)
        print(f"  {name_of(path):55} {len(found) or 'none'}{', UNEXPLAINED:' if unexplained else ''}")
        for difference in unexplained:
            print(f"    {difference}")
    print("\nThe table of differences:")
    for row, count in zip(TABLE, counts, strict=True):
        print(f"  {row.recording} | {row.connection} | {row.event} | {row.what}: {count} times")
        print(f"    {row.reason}")


if __name__ == "__main__":
    report()
