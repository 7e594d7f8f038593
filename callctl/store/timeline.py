"""Finds calls, and tells the story of one: every step with its time, each offer, and why this agent."""

from __future__ import annotations

import json
import sqlite3

from attrs import frozen

from callctl.clock import iso_utc
from callctl.errors import ReportError, UnknownCall
from callctl.model import (
    CallEvent,
    CallRecord,
    CallState,
    Decision,
    OfferRecord,
    Outcome,
    PassedOver,
    Reason,
    Strategy,
)
from callctl.store.loading import call_of, epoch, offer_of, select
from callctl.store.rows import Value

SHORTEST_PREFIX = 4
"""How much of a uuid must be given at least; `history` shows eight characters."""

LAST_CHARACTER = "\U0010ffff"
"""Sorts behind whatever else follows a prefix."""

OF_ACCOUNT = "(:account = '' OR account = :account)"
"""The condition on calls of one account, or of any."""

MOST_CALLS = 1000
"""The longest page of calls: what a screen, a script or one answer of the HTTP API may want at once."""


@frozen(kw_only=True)
class Visit:
    """One visit of a call to a queue: its row, its offers, and every step of it in order.

    `wait_seconds` and `talk_seconds` are None while they are not known.
    """

    call: CallRecord
    wait_seconds: float | None
    talk_seconds: float | None
    offers: tuple[OfferRecord, ...]
    steps: tuple[CallEvent | Decision, ...]


@frozen(kw_only=True)
class CallFilter:
    """Which calls are listed; "" and None do not restrict. Times are of joining, in epoch seconds.

    `live` is True for calls that have not ended, False for those that have.
    """

    queue: str = ""
    agent: str = ""
    account: str = ""
    account_id: str = ""
    caller_number: str = ""
    dialled_number: str = ""
    state: CallState | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    since: float | None = None
    until: float | None = None
    live: bool | None = None


@frozen(kw_only=True)
class Page:
    """Some calls, newest first, and where the next page begins; "" if there is none."""

    calls: tuple[CallRecord, ...]
    next_cursor: str


def call_timeline(connection: sqlite3.Connection, name: str, account: str = "") -> list[Visit]:
    """Return the visits of the call with this uuid, or key, or beginning of either, in order of joining.

    With an `account`, calls of others count as none. Raises UnknownCall when there is none, or when several
    calls begin so.
    """
    rows = select(
        connection,
        f"SELECT * FROM calls WHERE (uuid = :name OR id = :name) AND {OF_ACCOUNT} ORDER BY joined_at, id",
        {"name": name, "account": account},
    )
    return [_visit(connection, row) for row in rows or _by_prefix(connection, name, account)]


def _by_prefix(connection: sqlite3.Connection, prefix: str, account: str) -> list[sqlite3.Row]:
    rows: list[sqlite3.Row] = []
    if len(prefix) >= SHORTEST_PREFIX:
        rows = select(
            connection,
            "SELECT * FROM calls WHERE (uuid BETWEEN :first AND :last OR id BETWEEN :first AND :last)"
            f" AND {OF_ACCOUNT} ORDER BY joined_at, id LIMIT 100",
            {"first": prefix, "last": prefix + LAST_CHARACTER, "account": account},
        )
    uuids = sorted({str(row["uuid"]) for row in rows})
    if len(uuids) > 1:
        raise UnknownCall(f"several calls begin with {prefix!r}, such as {uuids[0]} and {uuids[1]}")
    if not uuids:
        raise UnknownCall(f"there is no call {prefix!r} in the history")
    return rows


def _visit(connection: sqlite3.Connection, row: sqlite3.Row) -> Visit:
    key = (row["id"],)
    offers = select(connection, "SELECT * FROM offers WHERE call_id = ? ORDER BY offered_at, rowid", key)
    decisions = select(connection, "SELECT * FROM decisions WHERE call_id = ? ORDER BY at, rowid", key)
    events = select(connection, "SELECT * FROM call_events WHERE call_id = ? ORDER BY at, id", key)
    # A decision comes before what follows from it in the same millisecond; sorting keeps the rest as it is.
    steps: list[CallEvent | Decision] = [*map(_decision, decisions), *map(_event, events)]
    return Visit(
        call=call_of(row),
        wait_seconds=row["wait_seconds"],
        talk_seconds=row["talk_seconds"],
        offers=tuple(map(offer_of, offers)),
        steps=tuple(sorted(steps, key=lambda step: step.at)),
    )


def _event(row: sqlite3.Row) -> CallEvent:
    return CallEvent(call=row["call_id"], at=epoch(row["at"]), event=row["event"], detail=row["detail"])


def _decision(row: sqlite3.Row) -> Decision:
    return Decision(
        id=row["id"],
        at=epoch(row["at"]),
        call=row["call_id"],
        queue=row["queue"],
        strategy=Strategy(row["strategy"]),
        chosen=tuple(json.loads(row["chosen"])),
        order=tuple(json.loads(row["ranking"])),
        passed_over=tuple(
            PassedOver(agent=agent, why=why) for agent, why in json.loads(row["passed_over"]).items()
        ),
    )


def list_calls(
    connection: sqlite3.Connection, calls: CallFilter, *, limit: int = 50, cursor: str = ""
) -> Page:
    """Return the calls that pass the filter, newest first, from `cursor` (an earlier page's) on.

    Raises ReportError for a cursor that no page gave, or a limit that is none.
    """
    if not 1 <= limit <= MOST_CALLS:
        raise ReportError(f"a page has 1 to {MOST_CALLS} calls, not {limit}")
    conditions, parameters = _conditions(calls)
    if cursor:
        joined_at, comma, key = cursor.partition(",")
        if not comma:
            raise ReportError(f"{cursor!r} is not where a page of calls begins")
        conditions.append("(joined_at, id) < (:after_time, :after_key)")
        parameters |= {"after_time": joined_at, "after_key": key}
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = select(
        connection,
        f"SELECT * FROM calls {where} ORDER BY joined_at DESC, id DESC LIMIT :limit",
        parameters | {"limit": limit + 1},
    )
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(
        calls=tuple(call_of(row) for row in rows[:limit]),
        next_cursor="" if last is None else f"{last['joined_at']},{last['id']}",
    )


def _conditions(calls: CallFilter) -> tuple[list[str], dict[str, Value]]:
    equal: dict[str, Value] = {
        "queue": calls.queue or None,
        "agent": calls.agent or None,
        "account": calls.account or None,
        "account_id": calls.account_id or None,
        "caller_number": calls.caller_number or None,
        "dialled_number": calls.dialled_number or None,
        "state": calls.state,
        "outcome": calls.outcome,
        "reason": calls.reason,
    }
    parameters: dict[str, Value] = {name: value for name, value in equal.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in parameters]
    if calls.since is not None:
        conditions.append("joined_at >= :since")
        parameters["since"] = iso_utc(calls.since)
    if calls.until is not None:
        conditions.append("joined_at < :until")
        parameters["until"] = iso_utc(calls.until)
    if calls.live is not None:
        conditions.append("ended_at IS NULL" if calls.live else "ended_at IS NOT NULL")
    return conditions, parameters
