"""Reports: the figures of `metrics`, computed by SQLite from the raw rows of any period.

As nothing is summed up beforehand, a threshold or a formula that is chosen today holds for the past as
well. A call counts in the period in which it joined, whatever became of it later.
"""

from __future__ import annotations

import json
import math
import sqlite3
from enum import StrEnum

from attrs import frozen

from callctl.clock import iso_utc
from callctl.errors import ReportError, UnknownAgent, UnknownQueue
from callctl.model import DOWN
from callctl.store.loading import select
from callctl.store.metrics import AgentFigures, CallFigures, Formula, percentile
from callctl.store.rows import Value
from callctl.store.views import (
    DEFAULT_SERVICE_LEVEL_SECONDS,
    DEFAULT_SHORT_ABANDON_SECONDS,
    IS_CLOSED,
    IS_COMPLETED,
    IS_OFFERED,
    IS_SHORT_ABANDON,
    LINE_WAIT,
    is_within_t,
    open_span_end,
)

PERCENTILES = (50, 80, 95, 99)

FIRST_TIME, LAST_TIME = "0000", "9999"
"""Before and after every time in the database, as text."""


class By(StrEnum):
    """What the calls are grouped by; NOTHING gives one group of all."""

    NOTHING = "nothing"
    DAY = "day"
    HOUR = "hour"
    HALF_HOUR = "half-hour"
    QUEUE = "queue"


@frozen(kw_only=True)
class Selection:
    """Which calls a report is about: those that joined from `since` on and before `until` (epoch seconds).

    None and "" do not restrict. With `agent` only calls that this agent answered are in it.
    """

    since: float | None = None
    until: float | None = None
    queue: str = ""
    agent: str = ""
    account_id: str = ""

    def check(self, connection: sqlite3.Connection) -> None:
        """Raise ReportError, UnknownQueue or UnknownAgent if this cannot select anything, ever."""
        for at in (self.since, self.until):
            if at is not None and not math.isfinite(at):
                raise ReportError("a report begins and ends at a time")
        if self.since is not None and self.until is not None and self.until < self.since:
            raise ReportError(
                f"the report would end ({iso_utc(self.until)}) before it begins ({iso_utc(self.since)})"
            )
        if self.queue and not _is_known(connection, _QUEUE_IS_KNOWN, self.queue):
            raise UnknownQueue(f"no call ever came to a queue {self.queue!r}")
        if self.agent and not _is_known(connection, _AGENT_IS_KNOWN, self.agent):
            raise UnknownAgent(f"there was never an agent {self.agent!r}")

    def conditions(self, time: str) -> str:
        """Return as SQL what the selected rows of `calls` fulfil, with `time` as the column in the period."""
        conditions = [f"{time} >= :since", f"{time} < :until"]
        if self.queue:
            conditions.append("calls.queue = :queue")
        if self.agent:
            conditions.append("calls.agent = :agent")
        if self.account_id:
            conditions.append("calls.account_id = :account_id")
        return " AND ".join(conditions)

    @property
    def parameters(self) -> dict[str, Value]:
        """The selection as parameters of SQL."""
        return {
            "since": FIRST_TIME if self.since is None else iso_utc(self.since),
            "until": LAST_TIME if self.until is None else iso_utc(self.until),
            "queue": self.queue,
            "agent": self.agent,
            "account_id": self.account_id,
        }


_QUEUE_IS_KNOWN = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM calls WHERE queue = :name)"
    " OR EXISTS (SELECT 1 FROM queue_targets WHERE queue = :name)"
    " OR EXISTS (SELECT 1 FROM tiers WHERE queue = :name)"
)
_AGENT_IS_KNOWN = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM agents WHERE name = :name)"
    " OR EXISTS (SELECT 1 FROM agent_spans WHERE agent = :name)"
    " OR EXISTS (SELECT 1 FROM calls WHERE agent = :name AND agent <> '')"
)


def _is_known(connection: sqlite3.Connection, sql: str, name: str) -> bool:
    return bool(select(connection, sql, {"name": name}))


def report_calls(
    connection: sqlite3.Connection,
    selection: Selection,
    *,
    now: float,
    by: By = By.NOTHING,
    formula: Formula = Formula.ABANDONS_AGAINST,
    t_seconds: float | None = None,
    short_abandon_seconds: float | None = None,
    local_time: bool = False,
) -> list[CallFigures]:
    """Return the figures of the selected calls, one for each group that has calls, in order.

    `now` (epoch seconds) says who still waits within T, and may be answered in time. A threshold that is
    None is each queue's own. Days and hours are UTC, or with `local_time` those of this machine's time zone.
    Raises what `Selection.check` raises, and StoreError.
    """
    selection.check(connection)
    parameters = selection.parameters | {"t": t_seconds, "short": short_abandon_seconds, "now": iso_utc(now)}
    rows = select(connection, _calls_sql(selection, by, local_time=local_time), parameters)
    return [_call_figures(row, formula) for row in rows]


def report_agents(connection: sqlite3.Connection, selection: Selection, *, now: float) -> list[AgentFigures]:
    """Return the figures of each agent who was there in the selected time, by name.

    `now` (epoch seconds) is where stretches end that have not ended yet, unless the server died before. A
    queue or an account restricts calls and offers, not the agents' time. Raises what `Selection.check`
    raises, and StoreError.
    """
    selection.check(connection)
    [[seen_until]] = select(connection, f"SELECT {open_span_end(':now')}", {"now": iso_utc(now)})
    parameters = selection.parameters | {"now": seen_until}
    return [AgentFigures(**dict(row)) for row in select(connection, _agents_sql(selection), parameters)]


def _group(by: By, *, local_time: bool) -> str:
    moment = "strftime('%Y-%m-%dT%H:%M', joined_at, 'localtime')" if local_time else "joined_at"
    match by:
        case By.NOTHING:
            return "'all'"
        case By.QUEUE:
            return "queue"
        case By.DAY:
            return f"substr({moment}, 1, 10)"
        case By.HOUR:
            return f"replace(substr({moment}, 1, 13), 'T', ' ') || ':00'"
        case By.HALF_HOUR:
            half = f"CASE WHEN substr({moment}, 15, 2) < '30' THEN '00' ELSE '30' END"
            return f"replace(substr({moment}, 1, 14), 'T', ' ') || {half}"


def _calls_sql(selection: Selection, by: By, *, local_time: bool) -> str:
    return f"""
SELECT "group",
  count(*) AS offered,
  count(*) FILTER (WHERE is_answered) AS answered,
  count(*) FILTER (WHERE outcome = 'handled') AS handled,
  count(*) FILTER (WHERE outcome = 'abandoned') AS abandoned,
  count(*) FILTER (WHERE outcome = 'overflowed') AS overflowed,
  count(*) FILTER (WHERE outcome = 'refused') AS refused,
  count(*) FILTER (WHERE outcome = 'failed') AS failed,
  count(*) FILTER (WHERE outcome IS NULL) AS unfinished,
  count(*) FILTER (WHERE is_answered AND line_wait <= t) AS answered_in_t,
  count(*) FILTER (WHERE outcome = 'abandoned' AND wait_seconds <= t AND NOT is_short) AS abandoned_in_t,
  count(*) FILTER (WHERE is_short) AS short_abandons,
  count(*) FILTER (WHERE {IS_CLOSED}) AS closed,
  count(*) FILTER (WHERE {is_within_t(":now")}) AS waiting_in_t,
  count(*) FILTER (WHERE is_completed) AS completed,
  CASE WHEN min(t) = max(t) THEN t END AS t_seconds,
  CASE WHEN min(short) = max(short) THEN short END AS short_abandon_seconds,
  avg(line_wait) FILTER (WHERE is_answered) AS asa_seconds,
  total(talk_seconds + hold_seconds + wrap_up_seconds) FILTER (WHERE is_completed) AS handling_seconds,
  max(line_wait) AS longest_wait_seconds,
  json_group_array(CAST(round(1000 * line_wait) AS INTEGER))
    FILTER (WHERE is_answered AND line_wait IS NOT NULL) AS waits
FROM (
  SELECT *, {IS_SHORT_ABANDON} AS is_short
  FROM (
    SELECT {_group(by, local_time=local_time)} AS "group",
      outcome, reason, joined_at, bridged_at, wait_seconds, {LINE_WAIT} AS line_wait,
      talk_seconds, hold_seconds, wrap_up_seconds,
      bridged_at IS NOT NULL AS is_answered, {IS_COMPLETED} AS is_completed,
      coalesce(:t, service_level_seconds, {DEFAULT_SERVICE_LEVEL_SECONDS}) AS t,
      coalesce(:short, short_abandon_seconds, {DEFAULT_SHORT_ABANDON_SECONDS}) AS short
    FROM calls LEFT JOIN queue_targets USING (queue)
    WHERE {selection.conditions("joined_at")} AND {IS_OFFERED}
  )
)
GROUP BY "group" ORDER BY "group"
"""


def _call_figures(row: sqlite3.Row, formula: Formula) -> CallFigures:
    values = dict(row)
    # Sorted here: SQLite's window functions take several times as long over a year.
    milliseconds = sorted(json.loads(values.pop("waits")))
    waits = {percent: percentile(milliseconds, percent) for percent in PERCENTILES}
    return CallFigures(
        formula=formula,
        wait_percentile_seconds={
            percent: None if wait is None else wait / 1000 for percent, wait in waits.items()
        },
        **values,
    )


def _times(spans: str) -> str:
    return f"""
  SELECT agent,
    total(seconds) FILTER (WHERE status <> 'Logged Out' OR state IN ('In a queue call', 'Wrap-up'))
      AS logged_in,
    total(seconds) FILTER (WHERE state IN ('Waiting', 'Reserved', 'Receiving')) AS available,
    total(seconds) FILTER (WHERE state IN ('In a queue call', 'Wrap-up')) AS busy,
    total(seconds) FILTER (WHERE status = 'On Break' AND state = 'Idle') AS on_break
  FROM {spans} GROUP BY agent"""


def _agents_sql(selection: Selection) -> str:
    of_agent = "AND agent = :agent" if selection.agent else ""
    of_calls = (
        "AND call_id IN (SELECT id FROM calls"
        " WHERE :queue IN ('', calls.queue) AND :account_id IN ('', calls.account_id))"
        if selection.queue or selection.account_id
        else ""
    )
    # Read in the order of the table, so that nothing needs to be sorted.
    whole = (
        "agent_spans WHERE agent IN (SELECT agent FROM names) AND started_at >= :since"
        f" AND started_at < :until AND ended_at <= min(:until, :now) AND reason <> '{DOWN}'"
    )
    return f"""
WITH RECURSIVE
names (agent) AS (  -- every agent ever, found by steps through the index instead of reading it
  SELECT min(agent) FROM agent_spans
  UNION ALL
  SELECT (SELECT min(agent) FROM agent_spans WHERE agent > names.agent) FROM names WHERE agent IS NOT NULL
),
cut (agent, status, state, seconds) AS (  -- of each agent the stretches that reach over the ends
  SELECT agent, status, state, 86400 * max(0,
    julianday(min(coalesce(ended_at, :now), :until)) - julianday(max(started_at, :since)))
  FROM names JOIN agent_spans USING (agent)
  WHERE started_at IN (
      (SELECT max(started_at) FROM agent_spans WHERE agent = names.agent AND started_at < :since),
      (SELECT max(started_at) FROM agent_spans WHERE agent = names.agent AND started_at < :until))
    AND reason <> '{DOWN}' AND (started_at < :since OR ended_at IS NULL OR ended_at > min(:until, :now))
),
times AS (
  SELECT agent, total(logged_in) AS logged_in, total(available) AS available, total(busy) AS busy,
    total(on_break) AS on_break
  FROM ({_times(whole)} UNION ALL {_times("cut")}) WHERE true {of_agent} GROUP BY agent
),
talks AS (
  SELECT agent, count(*) AS answered, total(talk_seconds) AS talk, total(hold_seconds) AS hold,
    total(wrap_up_seconds) AS wrap_up, count(*) FILTER (WHERE {IS_COMPLETED}) AS completed,
    total(talk_seconds + hold_seconds + wrap_up_seconds) FILTER (WHERE {IS_COMPLETED}) AS handling
  FROM calls WHERE bridged_at IS NOT NULL AND {selection.conditions("joined_at")}
  GROUP BY agent
),
rings AS (
  SELECT agent, count(*) AS offered,
    count(*) FILTER (WHERE result IN ('busy', 'rejected', 'no-answer', 'unreachable')) AS missed
  FROM offers WHERE offered_at >= :since AND offered_at < :until {of_agent} {of_calls}
  GROUP BY agent
)
SELECT agent,
  coalesce(offered, 0) AS offered,
  coalesce(missed, 0) AS missed,
  coalesce(answered, 0) AS answered,
  coalesce(completed, 0) AS completed,
  coalesce(handling, 0) AS handling_seconds,
  coalesce(talk, 0) AS talk_seconds,
  coalesce(hold, 0) AS hold_seconds,
  coalesce(wrap_up, 0) AS wrap_up_seconds,
  round(coalesce(logged_in, 0), 3) AS logged_in_seconds,
  round(coalesce(available, 0), 3) AS available_seconds,
  round(coalesce(busy, 0), 3) AS busy_seconds,
  round(coalesce(on_break, 0), 3) AS break_seconds
FROM (SELECT agent FROM times UNION SELECT agent FROM talks UNION SELECT agent FROM rings)
  LEFT JOIN times USING (agent) LEFT JOIN talks USING (agent) LEFT JOIN rings USING (agent)
WHERE coalesce(logged_in, 0) > 0 OR answered > 0 OR offered > 0
ORDER BY agent
"""
