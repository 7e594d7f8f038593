"""Which calls a GET asks for: its parameters become a filter, and the same filter looks at living calls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from attrs import frozen
from msgspec import Meta

from callctl.errors import ConfigError
from callctl.model import CallRecord, CallState, Outcome, Reason
from callctl.store.timeline import MOST_CALLS, CallFilter

PAGE_CALLS = 50
"""How many calls a page has when nobody says."""

AS_TIME = Meta(extra_json_schema={"format": "date-time"})
"""Says in the OpenAPI document that a text is a time."""


@frozen(kw_only=True)
class CallsQuery:
    """Which calls are wanted; what is not given does not restrict.

    `since` and `until` are times of joining, such as 2026-11-22T15:50:01Z; without an offset they are UTC.
    `live` is true for those that have not ended, all of which come at once, and false for those that have. Of
    the others come `limit`, from `cursor` (an earlier page's `next_cursor`) on.
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
    since: Annotated[str, AS_TIME] = ""
    until: Annotated[str, AS_TIME] = ""
    live: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_CALLS)] = PAGE_CALLS
    cursor: str = ""


@frozen(kw_only=True)
class Selection:
    """The calls that are wanted: `limit` of those that pass the filter, from `cursor` (of a page) on."""

    calls: CallFilter
    limit: int
    cursor: str


def selection_of(query: CallsQuery) -> Selection:
    """Return what the parameters of a GET ask for. Raises ConfigError, which names the wrong one."""
    if not 1 <= query.limit <= MOST_CALLS:
        raise ConfigError(f"limit: must be from 1 to {MOST_CALLS}, not {query.limit}")
    calls = CallFilter(
        queue=query.queue,
        agent=query.agent,
        account=query.account,
        account_id=query.account_id,
        caller_number=query.caller_number,
        dialled_number=query.dialled_number,
        state=query.state,
        outcome=query.outcome,
        reason=query.reason,
        since=_moment("since", query.since) if query.since else None,
        until=_moment("until", query.until) if query.until else None,
        live=query.live,
    )
    return Selection(calls=calls, limit=query.limit, cursor=query.cursor)


def passes(call: CallRecord, wanted: CallFilter) -> bool:
    """Say whether a living call passes the filter."""
    arrival = call.arrival
    equal = (
        (wanted.queue, arrival.queue),
        (wanted.agent, call.agent),
        (wanted.account, arrival.account),
        (wanted.account_id, arrival.account_id),
        (wanted.caller_number, arrival.caller_number),
        (wanted.dialled_number, arrival.dialled_number),
        (wanted.state, call.state),
        (wanted.outcome, call.outcome),
        (wanted.reason, call.reason),
    )
    return (
        all(not condition or condition == value for condition, value in equal)
        and (wanted.since is None or arrival.joined_at >= wanted.since)
        and (wanted.until is None or arrival.joined_at < wanted.until)
    )


def _moment(name: str, text: str) -> float:
    """Return a time in epoch seconds; one without an offset is UTC, as in the database."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{name}: must be a time such as 2026-11-22T15:50:01Z, not {text[:40]!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
