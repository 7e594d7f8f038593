"""Which calls a GET asks for: its parameters become a filter, and the same filter looks at living calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from attrs import frozen

from callctl.api.reading import NOWHERE, key_of_name
from callctl.config.convert import EnvironmentText, convert, record
from callctl.errors import ConfigError
from callctl.model import CallRecord
from callctl.store.timeline import MOST_CALLS, CallFilter

PAGE_CALLS = 50
"""How many calls a page has when nobody says."""


@frozen(kw_only=True)
class Selection:
    """The calls that are wanted: `limit` of those that pass the filter, from `cursor` (of a page) on."""

    calls: CallFilter
    limit: int
    cursor: str


def selection_of(query: Mapping[str, str]) -> Selection:
    """Return what the parameters of a GET ask for. Raises ConfigError, which names the wrong one."""
    texts = {key_of_name(name): EnvironmentText(text) for name, text in query.items()}
    limit = convert(texts.pop("limit", PAGE_CALLS), int, ("limit",), NOWHERE)
    if not 1 <= limit <= MOST_CALLS:
        raise ConfigError(f"limit: must be from 1 to {MOST_CALLS}, not {limit}")
    cursor = str(texts.pop("cursor", ""))
    times: dict[str, object] = {
        name: _moment(name, texts.pop(name)) for name in ("since", "until") if name in texts
    }
    calls = record(CallFilter, texts, (), NOWHERE, given=times)
    return Selection(calls=calls, limit=limit, cursor=cursor)


def passes(call: CallRecord, wanted: CallFilter) -> bool:
    """Say whether a living call passes the filter."""
    arrival = call.arrival
    equal = (
        (wanted.queue, arrival.queue),
        (wanted.agent, call.agent),
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
