"""`callctl call`: calls of now and of the past, and orders for those that are alive."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import click
import msgspec

from callctl.api.client import path_of
from callctl.api.shapes import call_shape, offer_shape, step_shape
from callctl.cli.options import Period, config_option, json_option, period_options
from callctl.cli.output import Row, day_and_time, print_json, print_rows, say
from callctl.cli.story import tell
from callctl.cli.target import need_server
from callctl.config import Config
from callctl.model import CallRecord, Outcome, Reason
from callctl.store.schema import open_history
from callctl.store.timeline import MOST_CALLS, CallFilter, Visit, call_timeline, list_calls

COLUMNS = (
    *("joined", "call", "queue", "number", "dialled"),
    *("state", "reason", "target", "agent", "wait", "talk", "offers"),
)

SHOWN_OF_UUID = 8
"""As many characters as the view `history` shows; every command takes them for the whole."""

LENGTH_OF_UUID = 36


@click.group()
def command() -> None:
    """List and steer calls, and show what happened to one."""


@command.command("list")
@click.option("--live", "is_live", is_flag=True, help="Only calls that have not ended.")
@click.option("--queue", default="", help="Only this queue.")
@click.option("--agent", default="", help="Only calls that this agent answered.")
@click.option("--number", default="", help="Only this caller's number.")
@click.option("--dialled", default="", help="Only calls to this number of yours.")
@click.option(
    "--outcome", type=click.Choice([each.value for each in Outcome]), help="Only with this outcome."
)
@click.option("--reason", type=click.Choice([each.value for each in Reason]), help="Only with this reason.")
@period_options("Joined at this time or later: 2026-11-22, today.", "Joined before this time.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, MOST_CALLS), help="At most so many."
)
@json_option
@config_option
def list_(
    config: Config,
    is_live: bool,
    queue: str,
    agent: str,
    number: str,
    dialled: str,
    outcome: str | None,
    reason: str | None,
    period: Period,
    limit: int,
    as_json: bool,
) -> None:
    """List calls, newest first.

    \b
    Example:
      callctl call list --queue caller --outcome abandoned --from today
    """
    wanted = CallFilter(
        queue=queue,
        agent=agent,
        caller_number=number,
        dialled_number=dialled,
        outcome=Outcome(outcome) if outcome else None,
        reason=Reason(reason) if reason else None,
        since=period.since,
        until=period.until,
        live=is_live or None,
    )
    with closing(open_history(config.server.database)) as connection:
        page = list_calls(connection, wanted, limit=limit)
    rows = [_row(record) for record in page.calls]
    if as_json:
        print_json(rows)
    else:
        print_rows([_for_people(row) for row in rows], COLUMNS, as_json=False)


@command.command()
@click.argument("uuid")
@json_option
@config_option
def show(config: Config, uuid: str, as_json: bool) -> None:
    """Show every step of a call, each offer with its result, and why this agent.

    The UUID is the channel's or the visit's, or the beginning of either.

    \b
    Example:
      callctl call show 0b03ae27
    """
    with closing(open_history(config.server.database)) as connection:
        visits = call_timeline(connection, uuid)
    if as_json:
        print_json([_visit(visit) for visit in visits])
        return
    for visit in visits:
        for line in tell(visit):
            say(line)


@command.command()
@click.argument("uuid")
@click.option("--cause", default="NORMAL_CLEARING", show_default=True, help="The hangup cause.")
@config_option
def hangup(config: Config, uuid: str, cause: str) -> None:
    """Hang a caller up.

    \b
    Example:
      callctl call hangup 0b03ae27
    """
    _order(config, uuid, "hangup", {"cause": cause})
    say(f"call {uuid} is being hung up")


@command.command()
@click.argument("uuid")
@click.argument("extension")
@click.option("--context", default="default", show_default=True, help="The dialplan's context.")
@config_option
def transfer(config: Config, uuid: str, extension: str, context: str) -> None:
    """Send a caller to an extension of the dialplan.

    \b
    Example:
      callctl call transfer 0b03ae27 1000
    """
    _order(config, uuid, "transfer", {"extension": extension, "context": context})
    say(f"call {uuid} is being transferred to {extension} in {context}")


@command.command(context_settings={"ignore_unknown_options": True})  # a negative number is no option
@click.argument("uuid")
@click.argument("base_score", type=float)
@config_option
def priority(config: Config, uuid: str, base_score: float) -> None:
    """Give a waiting caller another base score: seconds ahead of the others, or behind them.

    \b
    Example:
      callctl call priority 0b03ae27 300
      callctl call priority 0b03ae27 -30
    """
    _order(config, uuid, "priority", {"base_score": base_score})
    say(f"call {uuid} has the base score {base_score:g}")


@command.command()
@click.argument("uuid")
@config_option
def withdraw(config: Config, uuid: str) -> None:
    """End a caller's wait; the dialplan goes on with the caller.

    \b
    Example:
      callctl call withdraw 0b03ae27
    """
    _order(config, uuid, "withdraw")
    say(f"call {uuid} is being withdrawn")


def _order(config: Config, uuid: str, order: str, body: Mapping[str, object] | None = None) -> None:
    """Give the server an order for the call that has this UUID, or the only one that begins so."""
    client = need_server(config)
    if len(uuid) < LENGTH_OF_UUID:
        with closing(open_history(config.server.database)) as connection:
            uuid = call_timeline(connection, uuid)[-1].call.arrival.uuid
    client.post(path_of("calls", uuid, order), body)


def _row(record: CallRecord) -> Row:
    """Return a call as the HTTP API shows it."""
    shape: Row = msgspec.to_builtins(call_shape(record, None, is_live=record.ended_at is None))
    return shape


def _visit(visit: Visit) -> Row:
    return {
        **_row(visit.call),
        "offers": [msgspec.to_builtins(offer_shape(offer)) for offer in visit.offers],
        "steps": [msgspec.to_builtins(step_shape(step)) for step in visit.steps],
    }


def _for_people(row: Row) -> Row:
    return {
        "joined": day_and_time(str(row["joined_at"])),
        "call": str(row["uuid"])[:SHOWN_OF_UUID],
        "queue": row["queue"],
        "number": row["caller_number"],
        "dialled": row["dialled_number"],
        "state": row["state"],
        "reason": row["reason"],
        "target": row["target"],
        "agent": row["agent"],
        "wait": row["wait_seconds"],
        "talk": row["talk_seconds"],
        "offers": row["offers"],
    }
