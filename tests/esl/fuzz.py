"""Fuzzing the wire format for as long as one likes: `python -m tests.esl.fuzz --seconds 60`.

With atheris installed, libFuzzer looks for inputs by coverage, beginning with the recordings. Without it,
recorded streams are damaged at random, by a seed that is printed, so that a find can be repeated. Either way
the rule is: messages or a clean error; no other exception, no hang, no more memory than the bounds allow,
and the same result however the bytes are cut.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import sys
import tempfile
import time
from pathlib import Path

from callctl.errors import RemoteProtocolError
from callctl.esl.wire import CommandDecoder, Decoder, event_of
from tests.recordings import commanded, received, recordings

MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024
SEED_BYTES = 6000
"""How much of a recorded stream one seed takes: the greeting or `connect`, and the first events."""


def check(data: bytes) -> None:
    """Raise whatever comes through where the wire format breaks its word on `data`."""
    whole = _messages([data])
    assert whole == _messages([data[: len(data) // 2], data[len(data) // 2 :]]), "a cut changed the messages"
    assert whole == _messages([data[at : at + 7] for at in range(0, len(data), 7)]), (
        "cuts changed the messages"
    )
    assert _commands([data]) == _commands([data[at : at + 7] for at in range(0, len(data), 7)])


def _messages(pieces: list[bytes]) -> list[object]:
    decoder = Decoder(MAX_HEADER_BYTES, MAX_BODY_BYTES)
    found: list[object] = []
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            while (message := decoder.next_message()) is not None:
                found.append(message)
                try:
                    event = event_of(message)
                    found += [event.name, event.body, event.uuid, dict(event.headers)]
                except RemoteProtocolError as error:
                    found.append(str(error))
            assert decoder.buffered_bytes <= MAX_HEADER_BYTES + MAX_BODY_BYTES, "more memory than the bounds"
    except RemoteProtocolError as error:
        found.append(str(error))
    return found


def _commands(pieces: list[bytes]) -> list[object]:
    decoder = CommandDecoder(MAX_HEADER_BYTES, MAX_BODY_BYTES)
    found: list[object] = []
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            while (command := decoder.next_command()) is not None:
                found.append(command)
    except RemoteProtocolError as error:
        found.append(str(error))
    return found


def seeds() -> list[bytes]:
    """The beginnings of all recorded streams, of both sides."""
    found = []
    for path in recordings():
        for stream in [*received(path).values(), *commanded(path).values()]:
            found.append(stream[:SEED_BYTES])
    return found


def damaged(data: bytes, source: random.Random, others: list[bytes]) -> bytes:
    """`data` with a few random changes: bytes flipped, cut out, doubled, or taken from elsewhere."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 6)):
        at = source.randrange(len(changed) + 1)
        length = source.choice([1, 1, 2, 8, 100])
        match source.randrange(5):
            case 0:
                changed[at : at + length] = source.randbytes(length)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = changed[at : at + length]
            case 3:
                changed[at:at] = source.choice(
                    [b"\n\n", b"\r\n", b": ", b"\0", b'"', b"\\u", b"%", b"\xff", b"9"]
                )
            case _:
                other = source.choice(others)
                start = source.randrange(len(other) + 1)
                changed[at:at] = other[start : start + length]
    return bytes(changed)


def run_random(seconds: float, seed: int) -> int:
    """Check damaged recordings for `seconds`; return how many."""
    source, corpus, count = random.Random(seed), seeds(), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = damaged(source.choice(corpus), source, corpus)
        try:
            check(data)
        except BaseException:
            print(f"--seed {seed}, input {count}: {data!r}", file=sys.stderr)
            raise
        count += 1
    return count


def run_atheris(seconds: float) -> None:
    """Let libFuzzer look for `seconds`; it ends the process itself."""
    atheris = importlib.import_module("atheris")
    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], f"-max_total_time={seconds:.0f}", folder], check)
        atheris.Fuzz()


def main() -> None:
    """Read the command line, and fuzz."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier run without atheris")
    arguments = parser.parse_args()
    if arguments.seed is None and importlib.util.find_spec("atheris") is not None:
        run_atheris(arguments.seconds)
        return
    seed = random.randrange(2**32) if arguments.seed is None else arguments.seed
    print(f"fuzzing for {arguments.seconds:g} s with --seed {seed}")
    print(f"{run_random(arguments.seconds, seed)} inputs, nothing found")


if __name__ == "__main__":
    main()
