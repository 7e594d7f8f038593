"""The views: what a person asks the database for with `sqlite3`, without having to know the tables.

Their figures are computed from the raw rows, with the formulas of `reports` and each queue's thresholds
in `queue_targets`; where a queue has none there, the defaults stand. Days and half-hours are UTC. What
views and reports must judge alike stands here as SQL, once.
"""

from __future__ import annotations

from collections.abc import Mapping

from callctl.model import CALLBACK_TARGET, DOWN, Reason

DEFAULT_SERVICE_LEVEL_SECONDS = 20.0
"""The threshold T of a queue that says nothing else (`service-level-seconds`)."""

DEFAULT_SHORT_ABANDON_SECONDS = 6.0
"""Abandoned sooner is a wrong number, for a queue that says nothing else (`short-abandon-seconds`)."""

ALIVE_SECONDS = 5.0
"""How often a server writes that it is alive (`meta.alive_at`), if it has nothing else to write, and looks
whether the database is still there."""

IS_OFFERED = f"target <> '{CALLBACK_TARGET}'"
"""Of a caller who is called back the visit of the callback counts, and not the one before (`is_offered`)."""

LINE_WAIT = "CASE WHEN callback = 0 THEN wait_seconds END"
"""How long a caller waited on the line; NULL for a callback, which waits with nobody on the line."""

IS_SHORT_ABANDON = "outcome IS 'abandoned' AND wait_seconds < short"
"""A wrong number: it counts in no ratio, neither as abandoned nor as offered. `short` is the threshold."""

IS_CLOSED = "reason IS 'CLOSED'"
"""Nobody was to serve the call, so it counts in no ratio. (`reason` is NULL while a call goes on.)"""


def is_within_t(now: str) -> str:
    """Return as SQL whether a caller waits who may still be answered in `t` seconds; `now` is SQL, too."""
    return f"outcome IS NULL AND bridged_at IS NULL AND 86400 * (julianday({now}) - julianday(joined_at)) < t"


IS_COMPLETED = (
    "bridged_at IS NOT NULL AND ended_at IS NOT NULL"
    " AND id NOT IN (SELECT call_id FROM agent_spans WHERE ended_at IS NULL AND state = 'Wrap-up')"
)
"""The talk is over, and so is the wrap-up: how long it was handled is known."""


def open_span_end(now: str) -> str:
    """Return as SQL until when a span lasts that has not ended: `now` (a time as SQL), or the server's death.

    A server that died, or was stopped, left the spans open; it is known to have lived until `alive_at`.
    """
    alive = (
        f"strftime('%Y-%m-%dT%H:%M:%fZ', (SELECT value FROM meta WHERE key = 'alive_at'),"
        f" '+{2 * ALIVE_SECONDS:g} seconds')"
    )
    return f"min({now}, coalesce({alive}, {now}))"


HISTORY = """
CREATE VIEW history AS
  -- The calls, newest first, one line each that fits a terminal. Times are UTC; wait and talk are
  -- minutes:seconds. `call` is the beginning of the uuid: enough for callctl call show.
SELECT
  replace(substr(joined_at, 1, 19), 'T', ' ') AS joined,
  queue,
  CASE WHEN caller_number <> '' THEN caller_number ELSE lead_number END AS caller,
  coalesce(reason, state) AS reason,
  agent,
  CASE WHEN wait_seconds IS NULL THEN ''
       ELSE printf('%d:%02d', wait_seconds / 60, CAST(wait_seconds AS INTEGER) % 60) END AS wait,
  CASE WHEN talk_seconds IS NULL THEN ''
       ELSE printf('%d:%02d', talk_seconds / 60, CAST(talk_seconds AS INTEGER) % 60) END AS talk,
  offers AS rings,
  coalesce(hung_up_by, '') AS hung_up,
  substr(uuid, 1, 8) AS call
FROM calls
ORDER BY joined_at DESC
"""

_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

QUEUE_INTERVALS = f"""
CREATE VIEW queue_intervals AS
  -- Half-hours per queue, newest first. A call counts where it entered. Service level: answered in T /
  -- offered (abandons-against). Abandonment: abandoned / offered. In both, short abandons (sooner than
  -- short_abandon_seconds) and calls outside opening hours count not at all, and in the service level
  -- neither do callers who still wait within T; it is NULL where nobody counts. AHT: of answered calls that
  -- have ended. abandoned_in_t is without short abandons. A caller who is called back counts once, by the
  -- callback, which is never answered in T and counts in no wait.
SELECT
  interval, queue,
  count(*) AS offered,
  count(*) FILTER (WHERE is_answered) AS answered,
  count(*) FILTER (WHERE outcome = 'abandoned') AS abandoned,
  count(*) FILTER (WHERE outcome = 'overflowed') AS overflowed,
  count(*) FILTER (WHERE outcome = 'refused') AS refused,
  count(*) FILTER (WHERE outcome = 'failed') AS failed,
  count(*) FILTER (WHERE outcome IS NULL) AS unfinished,
  count(*) FILTER (WHERE is_answered AND line_wait <= t) AS answered_in_t,
  count(*) FILTER (WHERE outcome = 'abandoned' AND wait_seconds <= t AND NOT is_short) AS abandoned_in_t,
  t AS t_seconds,
  round(100.0 * count(*) FILTER (WHERE is_answered AND line_wait <= t)
    / nullif(count(*) FILTER (WHERE NOT (is_short OR is_closed OR is_within_t)), 0), 1)
    AS service_level_percent,
  round(avg(line_wait) FILTER (WHERE is_answered), 1) AS asa_seconds,
  round(avg(talk_seconds + hold_seconds + wrap_up_seconds) FILTER (WHERE is_completed), 1) AS aht_seconds,
  count(*) FILTER (WHERE is_short) AS short_abandons,
  round(100.0 * count(*) FILTER (WHERE outcome = 'abandoned' AND NOT is_short)
    / nullif(count(*) FILTER (WHERE NOT (is_short OR is_closed)), 0), 1) AS abandonment_percent,
  max(line_wait) AS longest_wait_seconds,
  count(*) FILTER (WHERE is_closed) AS closed
FROM (
  SELECT *, bridged_at IS NOT NULL AS is_answered, {LINE_WAIT} AS line_wait,
    {IS_SHORT_ABANDON} AS is_short, {IS_CLOSED} AS is_closed, {is_within_t(_NOW)} AS is_within_t,
    {IS_COMPLETED} AS is_completed
  FROM (
    SELECT calls.*,
      replace(substr(joined_at, 1, 14), 'T', ' ')
        || CASE WHEN substr(joined_at, 15, 2) < '30' THEN '00' ELSE '30' END AS interval,
      coalesce(service_level_seconds, {DEFAULT_SERVICE_LEVEL_SECONDS}) AS t,
      coalesce(short_abandon_seconds, {DEFAULT_SHORT_ABANDON_SECONDS}) AS short
    FROM calls LEFT JOIN queue_targets USING (queue)
    WHERE {IS_OFFERED}
  )
)
GROUP BY interval, queue
ORDER BY interval DESC, queue
"""

AGENT_DAYS = f"""
CREATE VIEW agent_days AS
  -- Each agent's days, newest first, in seconds; a stretch over midnight is cut there. in_calls: talk and
  -- hold. available: ready for a call, or being offered one. occupancy = (in calls + wrap-up) / (the same +
  -- available); utilisation = (in calls + wrap-up) / logged in, breaks included. While callctl was down,
  -- nobody was any of these but in a call.
WITH RECURSIVE
crossing (agent, status, state, started_at, ended_at) AS (
  SELECT agent, status, state, started_at, coalesce(ended_at, {open_span_end(_NOW)})
  FROM agent_spans WHERE reason <> '{DOWN}'
    AND substr(started_at, 1, 10) <> substr(coalesce(ended_at, ''), 1, 10)
  UNION ALL
  SELECT agent, status, state, date(started_at, '+1 day') || 'T00:00:00.000Z', ended_at
  FROM crossing WHERE date(started_at, '+1 day') || 'T00:00:00.000Z' < ended_at
),
pieces (day, agent, status, state, seconds) AS (
  SELECT substr(started_at, 1, 10), agent, status, state, seconds
  FROM agent_spans WHERE reason <> '{DOWN}'
    AND substr(started_at, 1, 10) = substr(coalesce(ended_at, ''), 1, 10)
  UNION ALL
  SELECT substr(started_at, 1, 10), agent, status, state,
    86400 * max(0, julianday(min(ended_at, date(started_at, '+1 day') || 'T00:00:00.000Z'))
      - julianday(started_at))
  FROM crossing
),
sums (day, agent, logged_in, available, in_calls, wrap_up, on_break) AS (
  SELECT day, agent,
    total(CASE WHEN status <> 'Logged Out' OR state IN ('In a queue call', 'Wrap-up') THEN seconds END),
    total(CASE WHEN state IN ('Waiting', 'Reserved', 'Receiving') THEN seconds END),
    total(CASE WHEN state = 'In a queue call' THEN seconds END),
    total(CASE WHEN state = 'Wrap-up' THEN seconds END),
    total(CASE WHEN status = 'On Break' AND state = 'Idle' THEN seconds END)
  FROM pieces GROUP BY day, agent
)
SELECT
  day, agent,
  round(logged_in, 1) AS logged_in,
  round(available, 1) AS available,
  round(in_calls, 1) AS in_calls,
  round(wrap_up, 1) AS wrap_up,
  round(on_break, 1) AS on_break,
  round(100 * (in_calls + wrap_up) / nullif(in_calls + wrap_up + available, 0), 1) AS occupancy_pct,
  round(100 * (in_calls + wrap_up) / nullif(logged_in, 0), 1) AS utilisation_pct
FROM sums
ORDER BY day DESC, agent
"""

ABANDONED_CALLERS = f"""
CREATE VIEW abandoned_callers AS
  -- Who gave up waiting, or was promised a callback and not reached, and has not talked with an agent since,
  -- by whomever the call was made. Newest first.
  -- A withheld, anonymous or empty number identifies nobody: of those callers nobody can say it.
SELECT
  caller_number,                      -- of the last time
  caller_name,
  queue,                              -- of the last time
  count(*) AS times,
  max(ended_at) AS abandoned_at,      -- the last time
  wait_seconds,                       -- the last time
  uuid                                -- the last time
FROM (
  SELECT * FROM calls WHERE outcome = 'abandoned'
  UNION ALL
  SELECT * FROM calls WHERE callback = 1 AND reason = '{Reason.TIMEOUT.value}'
) AS given_up
WHERE person <> ''
  AND NOT EXISTS (SELECT 1 FROM calls AS reached
    WHERE reached.person = given_up.person AND reached.bridged_at > given_up.ended_at)
  AND NOT EXISTS (SELECT 1 FROM calls AS reached
    WHERE reached.lead_number IN (given_up.caller_number, given_up.person) AND reached.lead_number <> ''
      AND reached.bridged_at > given_up.ended_at)
GROUP BY person
ORDER BY abandoned_at DESC
"""

VIEWS: Mapping[str, str] = {
    "history": HISTORY,
    "queue_intervals": QUEUE_INTERVALS,
    "agent_days": AGENT_DAYS,
    "abandoned_callers": ABANDONED_CALLERS,
}
"""All views, by name."""
