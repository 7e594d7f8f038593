"""Tables for people and JSON for programs: how commands that list print their rows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from callctl.records.printable import printable, printable_json

Row = Mapping[str, object]

WIDTH_OF_A_LINE = 10_000
"""A row is one line, never cut: some program reads it, or somebody copies from it."""

LINES_OF_A_ROW = 2
"""So many lines of a terminal may a row take; where it would take more, its values stand below each other."""


def say(line: str, *, error: bool = False) -> None:
    """Print a line for people, on stdout or stderr; what in it could steer a terminal is replaced."""
    click.echo(printable(line), err=error)


def print_rows(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool) -> None:
    """Print `rows` as a table with these columns, or everything in them as a JSON list."""
    if as_json:
        print_json(rows)
        return
    is_terminal = sys.stdout.isatty()
    shown = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        shown.add_column(column, no_wrap=True)
    for row in rows:
        shown.add_row(*(Text(text_of(row[column])) for column in columns))
    console = Console(width=WIDTH_OF_A_LINE, highlight=False)
    if is_terminal and console.measure(shown).maximum > LINES_OF_A_ROW * Console().width:
        _print_below_each_other(rows, columns)
        return
    with console.capture() as capture:
        console.print(shown)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def _print_below_each_other(rows: Sequence[Row], columns: Sequence[str]) -> None:
    for number, row in enumerate(rows):
        if number:
            click.echo()
        print_record({column: row[column] for column in columns}, as_json=False)


def print_record(record: Row, *, as_json: bool) -> None:
    """Print one thing, a line for each of its values, or as a JSON object."""
    if as_json:
        print_json(record)
        return
    width = max(len(name) for name in record)
    for name, value in record.items():
        say(f"{name:<{width}}  {text_of(value)}".rstrip())


def print_json(value: object) -> None:
    """Print `value` as JSON that people can read, too: what cannot be seen is spelt out."""
    click.echo(printable_json(json.dumps(value, ensure_ascii=False, indent=2)))


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
            say(f"{what} …", error=True)

    return show


def day_and_time(at: str | None) -> str:
    """Return a time of the history to the second, as `2026-11-22 15:50:01`; "" for none."""
    return "" if at is None else at.replace("T", " ")[:19]


def clock(seconds: float | None) -> str:
    """Return a duration as 0:07, 12:34 or 1:02:03; "" for none."""
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def text_of(value: object) -> str:
    """Return a value as a cell of a table: nothing for None, whole numbers without a point.

    Whatever cannot be seen is replaced, as most texts here were chosen by others.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() else f"{value:.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{text_of(key)}: {text_of(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(text_of(each) for each in value)
    return printable(str(value))
