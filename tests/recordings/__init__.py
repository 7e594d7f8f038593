"""Reading the recordings of a real FreeSWITCH; README.md beside this says what they are."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

FOLDER = Path(__file__).parent


@frozen
class Step:
    """One read (`<`) or write (`>`) of the controller; `data` is None where that side closed."""

    at: float
    connection: str
    direction: str
    data: bytes | None


def recordings(form: str = "") -> list[Path]:
    """Every recording, or those of one form: `plain` or `json`."""
    return sorted(FOLDER.glob(f"{form or '*'}/*.jsonl.gz"))


def steps(path: Path) -> Iterator[Step]:
    """The conversation in `path`, in order, without its title and remarks."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry.get("dir") in ("<", ">"):
                text = entry["data"]
                data = None if text is None else text.encode("utf-8", "surrogateescape")
                yield Step(entry["t"], entry["conn"], entry["dir"], data)


def received(path: Path) -> dict[str, bytes]:
    """All that FreeSWITCH sent in `path`, by connection."""
    return _sent(path, "<")


def commanded(path: Path) -> dict[str, bytes]:
    """All that the controller sent in `path`, by connection."""
    return _sent(path, ">")


def _sent(path: Path, direction: str) -> dict[str, bytes]:
    streams: dict[str, bytes] = {}
    for step in steps(path):
        if step.direction == direction and step.data is not None:
            streams[step.connection] = streams.get(step.connection, b"") + step.data
    return streams
