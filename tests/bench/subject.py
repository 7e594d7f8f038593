"""What all subjects of measurement have in common: three sizes, a command line, and a place in the list."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

import click
import trio
from attrs import asdict

from tests.bench import machine
from tests.bench.figures import Figure, as_text


class Size(StrEnum):
    """How long a measurement takes: `tiny` shows only that it runs, `full` is what the goals are about."""

    TINY = "tiny"
    SHORT = "short"
    FULL = "full"

    def pick(self, tiny: float, short: float, full: float) -> float:
        """Return the number for this size."""
        return {Size.TINY: tiny, Size.SHORT: short, Size.FULL: full}[self]

    def whole(self, tiny: int, short: int, full: int) -> int:
        """Return the whole number for this size."""
        return int(self.pick(tiny, short, full))


Measure = Callable[[Size], Awaitable[list[Figure]]]


json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures there too."
)


def command(measure: Measure) -> None:
    """Be the command `python -m tests.bench.NAME`: measure, and print."""

    @click.command(help=measure.__doc__)
    @click.option(
        "--size", type=click.Choice([each.value for each in Size]), default=Size.FULL.value, show_default=True
    )
    @json_option
    def run(size: str, json_file: Path | None) -> None:
        report(partial(measure, Size(size)), json_file)

    run()


def report(measure: Callable[[], Awaitable[list[Figure]]], json_file: Path | None) -> None:
    """Measure, and print the figures, with the machine; in a file as JSON too."""
    about = machine.describe()
    click.echo(in_words(about))
    figures = trio.run(measure)
    click.echo(as_text(figures))
    if json_file is not None:
        json_file.write_text(json.dumps({"machine": about, "figures": as_json(figures)}, indent=1), "utf-8")


def as_json(figures: Sequence[Figure]) -> list[dict[str, object]]:
    """Return figures as JSON has them."""
    return [asdict(figure) for figure in figures]


def in_words(about: dict[str, str]) -> str:
    """Return the machine in one line."""
    return ", ".join(f"{name} {value}" for name, value in about.items())
