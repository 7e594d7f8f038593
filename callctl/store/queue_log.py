"""Exports the history as an Asterisk `queue_log`, for the tools that read it.

A line is `epoch|call|queue|agent|event|data…`, as https://docs.asterisk.org/Configuration/Applications/Queue-Logs/
describes it; `NONE` stands where there is no call, queue or agent. Asterisk's events are fewer than our
reasons: TIMEOUT, NO_AGENT_TIMEOUT and OVERFLOW are EXITWITHTIMEOUT, and a caller who was taken away or
lost before an agent came is ABANDON, so that every ENTERQUEUE has its end. A caller who was refused at the
door is JOINEMPTY or, as Asterisk has no event for a full queue, not there. The place in the queue at the
end is not kept, so both places of such a line are the one at entry; nor is the key of EXITWITHKEY.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from callctl.errors import StoreError
from callctl.records.printable import printable
from callctl.store.loading import epoch
from callctl.store.reports import Selection
from callctl.store.rows import Value


def export_queue_log(connection: sqlite3.Connection, selection: Selection) -> Iterator[str]:
    """Yield the lines of a queue_log about the selected calls, and about agents' logins and pauses, by time.

    A selection by queue, agent or account leaves logins and pauses out. Raises what `Selection.check`
    raises, and StoreError.
    """
    selection.check(connection)
    try:
        for row in connection.execute(_sql(selection), selection.parameters):
            at, _, *fields = row
            yield (
                "|".join([str(int(epoch(at))), *(_field(field) for field in fields if field is not None)])
                + "\n"
            )
    except sqlite3.Error as error:
        raise StoreError(f"the database cannot be read: {error}") from error


def _field(value: Value) -> str:
    # Neither a separator nor a new line, nor what steers a terminal, may come from a caller or a reason.
    return printable(str(value)).replace("|", " ")


def _sql(selection: Selection) -> str:
    """Return a query for: time, rank within that time, call, queue, agent, event, and up to five data."""
    calls = _calls_sql(selection.conditions("joined_at"))
    about_all = not (selection.queue or selection.agent or selection.account_id)
    return f"{calls} {_AGENTS if about_all else ''} ORDER BY 1, 2"


_WAS_REFUSED = "(outcome IS 'refused' AND position_at_entry = 0)"

# A caller whose leg outlived the talk was transferred by the agent; where to is not known.
_WAS_TRANSFERRED = (
    "EXISTS (SELECT 1 FROM call_events WHERE call_id = selected.id AND event = 'caller-went-on')"
)


def _calls_sql(conditions: str) -> str:
    return f"""
WITH selected AS MATERIALIZED (
  SELECT *, CAST(wait_seconds AS INTEGER) AS hold_time,
    CAST(talk_seconds + hold_seconds AS INTEGER) AS call_time
  FROM calls WHERE {conditions}
),
changes AS (
  SELECT agent, started_at, status, reason, coalesce((
    SELECT status FROM agent_spans AS earlier
    WHERE earlier.agent = agent_spans.agent AND earlier.started_at < agent_spans.started_at
    ORDER BY started_at DESC LIMIT 1), 'Logged Out') AS before
  FROM agent_spans WHERE started_at >= :since AND started_at < :until
)
SELECT joined_at, 1, uuid, queue, 'NONE', 'ENTERQUEUE', '', caller_number, position_at_entry, NULL, NULL
FROM selected WHERE NOT {_WAS_REFUSED}
UNION ALL
SELECT joined_at, 1, uuid, queue, 'NONE', 'JOINEMPTY', NULL, NULL, NULL, NULL, NULL
FROM selected WHERE {_WAS_REFUSED} AND reason IN ('EMPTY', 'CLOSED')
UNION ALL
SELECT offers.ended_at, 2, uuid, queue, offers.agent, 'RINGNOANSWER',
  CAST(1000 * ring_seconds AS INTEGER), NULL, NULL, NULL, NULL
FROM selected JOIN offers ON call_id = selected.id
WHERE result IN ('busy', 'rejected', 'no-answer', 'unreachable') AND offers.ended_at IS NOT NULL
UNION ALL
SELECT bridged_at, 3, uuid, queue, agent, 'CONNECT', hold_time, agent_uuid,
  (SELECT CAST(total(ring_seconds) AS INTEGER) FROM offers
   WHERE call_id = selected.id AND leg_uuid = selected.agent_uuid), NULL, NULL
FROM selected WHERE bridged_at IS NOT NULL
UNION ALL
SELECT ended_at, 4, uuid, queue, agent, 'TRANSFER', '', '', hold_time, call_time, position_at_entry
FROM selected WHERE bridged_at IS NOT NULL AND ended_at IS NOT NULL AND {_WAS_TRANSFERRED}
UNION ALL
SELECT ended_at, 4, uuid, queue, agent,
  CASE hung_up_by WHEN 'caller' THEN 'COMPLETECALLER' ELSE 'COMPLETEAGENT' END,
  hold_time, call_time, position_at_entry, NULL, NULL
FROM selected WHERE bridged_at IS NOT NULL AND ended_at IS NOT NULL AND NOT {_WAS_TRANSFERRED}
UNION ALL
SELECT ended_at, 4, uuid, queue, 'NONE',
  CASE reason
    WHEN 'EMPTY' THEN 'EXITEMPTY'
    WHEN 'CLOSED' THEN 'EXITEMPTY'
    WHEN 'WITHDRAWN' THEN 'WITHDRAW'
    WHEN 'TIMEOUT' THEN 'EXITWITHTIMEOUT'
    WHEN 'NO_AGENT_TIMEOUT' THEN 'EXITWITHTIMEOUT'
    WHEN 'OVERFLOW' THEN 'EXITWITHTIMEOUT'
    ELSE 'ABANDON' END,
  position_at_entry, position_at_entry, hold_time, NULL, NULL
FROM selected
WHERE bridged_at IS NULL AND ended_at IS NOT NULL AND NOT {_WAS_REFUSED} AND reason <> 'EXIT_WITH_KEY'
UNION ALL
SELECT ended_at, 4, uuid, queue, 'NONE', 'EXITWITHKEY',
  '', position_at_entry, position_at_entry, hold_time, NULL
FROM selected WHERE reason = 'EXIT_WITH_KEY' AND ended_at IS NOT NULL
"""


_AGENTS = """
UNION ALL
SELECT started_at, 0, 'NONE', 'NONE', agent, 'AGENTLOGIN', agent, NULL, NULL, NULL, NULL
FROM changes WHERE before = 'Logged Out' AND status <> 'Logged Out'
UNION ALL
SELECT started_at, 1, 'NONE', 'NONE', agent,
  CASE status WHEN 'On Break' THEN 'PAUSEALL' ELSE 'UNPAUSEALL' END, reason, NULL, NULL, NULL, NULL
FROM changes WHERE (before = 'On Break') <> (status = 'On Break') AND status <> 'Logged Out'
UNION ALL
SELECT started_at, 2, 'NONE', 'NONE', agent, 'AGENTLOGOFF', agent,
  CAST(0.5 + 86400 * (julianday(started_at) - julianday((
    SELECT min(started_at) FROM agent_spans AS shift
    WHERE shift.agent = changes.agent AND shift.started_at > coalesce((
      SELECT max(started_at) FROM agent_spans AS away WHERE away.agent = changes.agent
        AND away.status = 'Logged Out' AND away.started_at < changes.started_at), '')
  ))) AS INTEGER), NULL, NULL, NULL
FROM changes WHERE before <> 'Logged Out' AND status = 'Logged Out'
"""
"""Spans are stretches of a status; only where it changes something happened. A shift lasts since the first
stretch after the last time away."""
