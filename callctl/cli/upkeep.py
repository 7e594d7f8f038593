"""`callctl backup`, `restore`, `migrate`, `prune` and `export`: looking after the database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from callctl.cli.options import Period, config_option, period_options
from callctl.cli.output import progress_bar
from callctl.config import Config
from callctl.store import backup as store_backup
from callctl.store import upkeep as store_upkeep
from callctl.store.connections import ServerLock
from callctl.store.export import export_csv, export_json
from callctl.store.queue_log import export_queue_log
from callctl.store.reports import Selection
from callctl.store.schema import migrate as store_migrate
from callctl.store.schema import open_history

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@config_option
def backup(config: Config, file: Path) -> None:
    """Copy the database to a new file, also while a server writes.

    The copy is checked, and has its name only when it is complete and on the disk.

    \b
    Example:
      callctl backup /var/backups/callctl-monday.db
    """
    with progress_bar() as progress:
        store_backup.backup(config.server.database, file, progress)
    click.echo(f"wrote {file}")


@click.command()
@click.argument("file", type=FILE)
@config_option
def restore(config: Config, file: Path) -> None:
    """Put a backup in the place of the database, while no server runs; the old file is kept.

    \b
    Example:
      callctl restore /var/backups/callctl-monday.db
    """
    database = config.server.database
    with progress_bar() as progress:
        kept = store_backup.restore(database, file, time.time(), progress)
    click.echo(f"{database} is what {file} was{f'; the old one is {kept}' if kept else ''}")


@click.command()
@config_option
def migrate(config: Config) -> None:
    """Bring the database to this callctl's version, while no server runs; a copy is made first.

    A server does the same at its start.

    \b
    Example:
      callctl migrate
    """
    database = config.server.database
    with ServerLock(database), progress_bar() as progress:
        done = store_migrate(database, progress=progress)
    if done.from_version == done.to_version:
        click.echo(f"{database} has version {done.to_version} already")
    else:
        copy = f"; what it was before is {done.copy}" if done.copy else ""
        click.echo(f"{database} went from version {done.from_version} to {done.to_version}{copy}")


@click.command()
@click.option(
    "--older-than", "days", required=True, type=click.FloatRange(0, min_open=True), help="Days to keep."
)
@config_option
def prune(config: Config, days: float) -> None:
    """Remove calls, agents' time, and events older than so many days; also while a server runs.

    \b
    Example:
      callctl prune --older-than 365
    """
    with progress_bar() as progress:
        pruned = store_upkeep.prune(config.server.database, days, time.time(), progress)
    what = f"{pruned.calls} calls, {pruned.agent_spans} stretches of agents' time, {pruned.events} events"
    click.echo(f"removed {what}")


@click.command()
@click.option(
    "--format", "form", default="csv", type=click.Choice(["csv", "json", "queue-log"]), show_default=True
)
@click.option("--queue", default="", help="Only this queue.")
@click.option("--agent", default="", help="Only calls that this agent answered.")
@period_options("From this time on: 2026-11-22, today.", "Before this time.")
@config_option
def export(config: Config, form: str, queue: str, agent: str, period: Period) -> None:
    """Export calls as CSV, JSON or Asterisk's queue_log, to stdout.

    \b
    Example:
      callctl export --format queue-log --from 2026-11-01 > queue_log
    """
    selection = Selection(since=period.since, until=period.until, queue=queue, agent=agent)
    exports = {"csv": export_csv, "json": export_json, "queue-log": export_queue_log}
    with closing(open_history(config.server.database)) as connection:
        lines: Iterator[str] = exports[form](connection, selection)
        for line in lines:
            click.echo(line, nl=False)
