"""Tables for people and JSON for programs: how commands that list print their rows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

Row = Mapping[str, object]

WIDTH_OF_A_PIPE = 10_000
"""Where nobody looks at the output it is never cut: some program reads it."""


def print_rows(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool) -> None:
    """Print `rows` as a table with these columns, or everything in them as a JSON list."""
    if as_json:
        print_json(rows)
        return
    is_terminal = sys.stdout.isatty()
    shown = Table(box=box.SIMPLE_HEAD if is_terminal else None, header_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(text_of(row[column])) for column in columns))
    console = Console(width=None if is_terminal else WIDTH_OF_A_PIPE, highlight=False)
    with console.capture() as capture:
        console.print(shown)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def print_record(record: Row, *, as_json: bool) -> None:
    """Print one thing, a line for each of its values, or as a JSON object."""
    if as_json:
        print_json(record)
        return
    width = max(len(name) for name in record)
    for name, value in record.items():
        click.echo(f"{name:<{width}}  {text_of(value)}".rstrip())


def print_json(value: object) -> None:
    """Print `value` as JSON that people can read, too."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that is told what is being done, how much, and of how much; it shows that on stderr.

    On a terminal it is a bar; elsewhere a line for each thing that is begun.
    """
    if not sys.stderr.isatty():
        yield _progress_lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def _progress_lines() -> Callable[[str, int, int], None]:
    begun: set[str] = set()

    def show(what: str, done: int, total: int) -> None:
        if what not in begun:
            begun.add(what)
            click.echo(f"{what} …", err=True)

    return show


def text_of(value: object) -> str:
    """Return a value as a cell of a table: nothing for None, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() else f"{value:.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text_of(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(text_of(each) for each in value)
    return str(value)
