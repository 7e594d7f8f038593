"""All subjects one after the other, `python -m tests.bench`, and the README's table of what they found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click
import trio
from attrs import frozen

from tests.bench import machine
from tests.bench.figures import Figure, as_markdown, as_text
from tests.bench.subject import Measure, Size, as_json, in_words

SUBJECTS = (
    "wire",
    "peers",
    "calls",
    "concurrency",
    "waiting",
    "latencies",
    "messages",
    "restart",
    "history",
    "start",
    "acd",
    "growth",
    "soak",
)


def measure_of(subject: str) -> Measure:
    """Return what takes the figures of a subject."""
    measure: Measure = import_module(f"tests.bench.{subject}").measure
    return measure


@click.command()
@click.option(
    "--size", type=click.Choice([each.value for each in Size]), default=Size.SHORT.value, show_default=True
)
@click.option("--only", help="These subjects alone, with commas between them.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures there too.")
@click.option(
    "--markdown",
    type=click.Path(path_type=Path, exists=True),
    help="Measure nothing: print the table of what was written there.",
)
def command(size: str, only: str | None, json_file: Path | None, markdown: Path | None) -> None:
    """Measure everything, and print each figure beside its goal."""
    if markdown is not None:
        click.echo(table(json.loads(markdown.read_text("utf-8"))))
        return
    about = machine.describe()
    click.echo(in_words(about))
    found: dict[str, list[dict[str, object]]] = {}
    for subject in only.split(",") if only else SUBJECTS:
        click.echo(f"\n{subject}")
        figures = trio.run(measure_of(subject), Size(size))
        click.echo(as_text(figures))
        found[subject] = as_json(figures)
        if json_file is not None:
            run = {"machine": about, "size": size, "figures": found}
            json_file.write_text(json.dumps(run, indent=1), "utf-8")


@frozen
class _Run:
    """What a run of all subjects wrote down."""

    machine: dict[str, str]
    size: str
    figures: dict[str, Sequence[Figure]]


def table(written: dict[str, object]) -> str:
    """Return the table of the README: what has a goal, by subject, and below it the machine."""
    run = _Run(**written)  # type: ignore[arg-type]  # as `command` wrote it
    rows = [
        as_markdown([Figure(**figure) for figure in figures], f"python -m tests.bench.{subject}")  # type: ignore[arg-type]
        for subject, figures in run.figures.items()
    ]
    head = "| what | goal | measured | command |\n|---|---|---|---|"
    return "\n".join([head, *filter(None, rows), "", f"Taken in {run.size} size on {in_words(run.machine)}."])


if __name__ == "__main__":
    command()
