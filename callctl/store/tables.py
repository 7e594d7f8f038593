"""The tables as SQLite knows them, with a comment on every column.

The comments stand inside the statements, so that `.schema` in the sqlite3 shell explains itself. A text
that is not known is '', a time or a duration that is not known (yet) is NULL. Which words a column may hold
(the reasons, outcomes, states and results) is not said here but in the model, and checked by `rows`, so that
a new word needs no new table. What once was released here is never changed: a later schema is a later step in
`schema`, and what such a step has rebuilt stands in `old_tables`.
"""

from __future__ import annotations

from collections.abc import Mapping

CALLS = """
CREATE TABLE calls (
  -- One row per visit of a call to a queue; a call that visits two queues has two rows with one uuid.
  -- Times are UTC text (2026-11-22T15:50:01.123Z), durations are seconds.
  id TEXT NOT NULL PRIMARY KEY,             -- our key of the visit; the channel carries it as callctl_call
  uuid TEXT NOT NULL,                       -- the caller's channel on its switch
  original_uuid TEXT NOT NULL,              -- caller_uuid: the channel the call began as
  switch TEXT NOT NULL,                     -- the FreeSWITCH that has the call
  account TEXT NOT NULL DEFAULT 'default',  -- whose call it is: decides who may see it
  account_id TEXT NOT NULL,                 -- from the dialplan, as it was sent
  widget_id TEXT NOT NULL,                  -- from the dialplan
  call_type TEXT NOT NULL,                  -- from the dialplan
  source TEXT NOT NULL,                     -- from the dialplan
  direction TEXT NOT NULL DEFAULT 'incoming',  -- incoming, or outgoing: an agent called
  queue TEXT NOT NULL,                      -- the queue that was visited
  dialled_number TEXT NOT NULL DEFAULT '',  -- the number that the caller dialled
  caller_number TEXT NOT NULL,              -- who calls, as the network says
  person TEXT NOT NULL DEFAULT '',          -- that number in one spelling; '' = it identifies nobody
  caller_name TEXT NOT NULL,                -- who calls, as the network says
  lead_number TEXT NOT NULL,                -- the lead's number, from the dialplan
  base_score REAL NOT NULL,                 -- cc_base_score: seconds ahead of others
  skills TEXT NOT NULL,                     -- what the call asks for: JSON, level by skill
  variables TEXT NOT NULL,                  -- other variables that the dialplan asked to keep: JSON
  moh_sound TEXT NOT NULL,                  -- cc_moh_override: this caller's own music
  exit_keys TEXT NOT NULL,                  -- cc_exit_keys: keys that end this caller's wait
  cid_name_prefix TEXT NOT NULL,            -- cc_outbound_cid_name_prefix: what agents see before the name
  preferred_agent TEXT NOT NULL,            -- the agent this caller should get, if possible
  came_through TEXT NOT NULL,               -- queues the caller brought the place along from: JSON list
  callback INTEGER NOT NULL                 -- 1: nobody is on the line, and the caller is called back
    CHECK (callback IN (0, 1)),
  state TEXT NOT NULL,                      -- where the call stands: waiting, talking, ended, ...
  outcome TEXT,                             -- the reason summed up: handled, abandoned, ...
  reason TEXT,                              -- how the wait ended; NULL while it goes on
  target TEXT NOT NULL DEFAULT '',          -- where the end of the wait led: queue:help, voicemail:1000, ...
  hung_up_by TEXT,                          -- whose hangup ended the call: caller, agent, ...; transferred
  hangup_cause TEXT NOT NULL,               -- FreeSWITCH's cause of the caller's hangup
  agent TEXT NOT NULL,                      -- the agent who answered
  agent_uuid TEXT NOT NULL,                 -- that agent's channel
  arrived_at TEXT NOT NULL,                 -- when the dialplan handed the call over (last time)
  joined_at TEXT NOT NULL,                  -- when the caller joined the queue; kept over reconnections
  place_since TEXT,                         -- since when the place counts, if it was brought along
  answered_at TEXT,                         -- when the agent picked up
  bridged_at TEXT,                          -- when caller and agent heard each other
  ended_at TEXT,                            -- when the visit was over
  wait_seconds REAL CHECK (wait_seconds >= 0),           -- joined to bridged, or to ended if never bridged
  talk_seconds REAL CHECK (talk_seconds >= 0),           -- bridged to ended, without hold
  hold_seconds REAL NOT NULL CHECK (hold_seconds >= 0),  -- on hold while bridged
  wrap_up_seconds REAL NOT NULL DEFAULT 0,  -- the agent's wrap-up after it, summed up from agent_spans
  offers INTEGER NOT NULL CHECK (offers >= 0),           -- how many agents' phones rang for it
  position_at_entry INTEGER NOT NULL,       -- 1 = next; 0 = never stood in the queue
  resumes INTEGER NOT NULL,                 -- how often the caller came back to the same place
  previous_visit TEXT NOT NULL DEFAULT '',  -- calls.id: the visit before this one of the same caller
  transferred_by TEXT NOT NULL DEFAULT '',  -- the agent who sent the caller here
  transferred_to TEXT NOT NULL DEFAULT '',  -- where the caller was sent from here
  recording TEXT NOT NULL DEFAULT '',       -- the file on the switch that the talk was recorded to
  disposition TEXT NOT NULL DEFAULT '',     -- what the call was about, as the agent says
  note TEXT NOT NULL DEFAULT '',            -- the agent's own words about it
  CHECK ((reason IS NULL) = (outcome IS NULL)),
  CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
  CHECK (state <> 'ended' OR reason IS NOT NULL)
) STRICT
"""

OFFERS = """
CREATE TABLE offers (
  -- One row per ring of one agent for one call.
  id TEXT NOT NULL PRIMARY KEY,   -- our key of the offer
  call_id TEXT NOT NULL,          -- calls.id
  agent TEXT NOT NULL,            -- agents.name
  leg_uuid TEXT NOT NULL,         -- the agent's channel
  offered_at TEXT NOT NULL,       -- when the agent was chosen (UTC)
  answered_at TEXT,               -- when the agent picked up (UTC)
  ended_at TEXT,                  -- when the phone rang no more (UTC); NULL while it rings
  ring_seconds REAL               -- offered to ended, in seconds
    CHECK (ring_seconds >= 0),
  result TEXT NOT NULL,           -- what became of it: answered, no-answer, busy, ...
  cause TEXT NOT NULL             -- FreeSWITCH's cause, such as USER_BUSY
) STRICT
"""

CALL_EVENTS = """
CREATE TABLE call_events (
  -- The timeline: one row per thing that happened to a call. The same thing within the same millisecond
  -- is one row, so that writing it twice changes nothing.
  id INTEGER PRIMARY KEY,         -- the order of writing; decides between equal times
  call_id TEXT NOT NULL,          -- calls.id
  at TEXT NOT NULL,               -- when (UTC)
  event TEXT NOT NULL,            -- what: joined, offered, bridged, ...
  detail TEXT NOT NULL,           -- more about it, in words
  UNIQUE (call_id, at, event, detail)
) STRICT
"""

AGENTS = """
CREATE TABLE agents (
  -- One row per agent: the settings, and how the agent stood when last heard of.
  name TEXT NOT NULL PRIMARY KEY,       -- the agent's name
  account TEXT NOT NULL DEFAULT 'default',  -- whose agent it is; * = all share it
  display_name TEXT NOT NULL DEFAULT '',    -- the name that people are shown; '' = the agent's name
  contact TEXT NOT NULL,                -- dial string, such as user/1001; '' = cannot be called
  contacts TEXT NOT NULL,               -- dial strings for single switches: JSON, by switch
  max_no_answer INTEGER NOT NULL,       -- misses in a row until the status changes; 0 = never
  wrap_up_time REAL NOT NULL,           -- seconds after each call
  reject_delay_time REAL NOT NULL,      -- seconds without offers after a rejected one
  busy_delay_time REAL NOT NULL,        -- seconds without offers after a busy one
  no_answer_delay_time REAL NOT NULL,   -- seconds without offers after any other miss
  skills TEXT NOT NULL,                 -- JSON, level by skill
  status TEXT NOT NULL,                 -- chosen by a person: Available, On Break, ...
  state TEXT NOT NULL,                  -- set by the machine: Waiting, Wrap-up, ...
  reason TEXT NOT NULL,                 -- why this status, such as lunch
  misses INTEGER NOT NULL,              -- offers missed in a row
  calls_answered INTEGER NOT NULL,      -- ever
  talk_seconds REAL NOT NULL,           -- ever, hold included
  last_offered_at TEXT,                 -- UTC
  last_call_ended_at TEXT,              -- UTC
  status_until TEXT                     -- when a person wants the status to end by itself (UTC)
) STRICT
"""

TIERS = """
CREATE TABLE tiers (
  -- Who serves which queue.
  queue TEXT NOT NULL,            -- the queue
  agent TEXT NOT NULL,            -- agents.name
  level INTEGER NOT NULL,         -- lower levels are asked first
  position INTEGER NOT NULL,      -- the order within a level
  PRIMARY KEY (queue, agent)
) STRICT, WITHOUT ROWID
"""

AGENT_SPANS = """
CREATE TABLE agent_spans (
  -- Each stretch of one status and state of an agent. They follow each other without gap or overlap.
  agent TEXT NOT NULL,            -- agents.name
  started_at TEXT NOT NULL,       -- when it began (UTC)
  ended_at TEXT                   -- when it ended (UTC); NULL = it is now
    CHECK (ended_at >= started_at),
  status TEXT NOT NULL,           -- chosen by a person: Available, On Break, ...
  state TEXT NOT NULL,            -- set by the machine: Waiting, Wrap-up, ...
  reason TEXT NOT NULL,           -- why this status, such as lunch
  call_id TEXT NOT NULL,          -- calls.id: the call it was about, '' if none
  seconds REAL                    -- how long it lasted; NULL = it is now
    AS (round((julianday(ended_at) - julianday(started_at)) * 86400, 3)) STORED,
  PRIMARY KEY (agent, started_at)
) STRICT, WITHOUT ROWID
"""

DECISIONS = """
CREATE TABLE decisions (
  -- Who was considered for a call, who was chosen, and why not the others.
  id TEXT NOT NULL PRIMARY KEY,   -- our key of the decision
  at TEXT NOT NULL,               -- when (UTC)
  call_id TEXT NOT NULL,          -- calls.id
  queue TEXT NOT NULL,            -- the queue
  strategy TEXT NOT NULL,         -- the queue's strategy then
  chosen TEXT NOT NULL,           -- agents who were offered the call: JSON list
  ranking TEXT NOT NULL,          -- the eligible agents, best first: JSON list
  passed_over TEXT NOT NULL       -- who was not eligible, and why: JSON, reason by agent
) STRICT
"""

QUEUE_TARGETS = """
CREATE TABLE queue_targets (
  -- The thresholds that the views compute each queue with. A change here changes the past as well.
  queue TEXT NOT NULL PRIMARY KEY,       -- the queue
  service_level_seconds REAL NOT NULL,   -- answered within this many seconds is in time
  short_abandon_seconds REAL NOT NULL    -- abandoned sooner than this does not count as abandoned
) STRICT, WITHOUT ROWID
"""

TOKENS = """
CREATE TABLE tokens (
  -- One row per token for the HTTP API that callctl made, or that somebody revoked; not the token itself.
  jti TEXT NOT NULL PRIMARY KEY,  -- the token's own name
  subject TEXT NOT NULL,          -- who holds it; '' = another issuer made it
  account TEXT NOT NULL,          -- whose things it may see; * = all
  scope TEXT NOT NULL,            -- what it may do: read, agent, supervisor, admin
  agent TEXT NOT NULL,            -- the agent that it acts for
  created_at TEXT NOT NULL,       -- when it was made, or became known
  expires_at TEXT,                -- until when it counts
  revoked_at TEXT                 -- since when it does not count any more
) STRICT, WITHOUT ROWID
"""

EVENTS = """
CREATE TABLE events (
  -- What other systems are told, written together with what it tells of.
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of writing; grows, and is never used twice
  id TEXT NOT NULL UNIQUE,        -- a UUID: the same for the same thing, however often it is recorded
  type TEXT NOT NULL,             -- such as call.queued; the catalogue is in the OpenAPI document
  at TEXT NOT NULL,               -- when it happened (UTC)
  account TEXT NOT NULL,          -- who may be told; * = what all accounts share
  call_id TEXT NOT NULL,          -- calls.id, '' for what is about no call
  queue TEXT NOT NULL,            -- the queue, or ''
  agent TEXT NOT NULL,            -- agents.name, or ''
  data TEXT NOT NULL              -- what the type says besides: JSON
) STRICT
"""

META = """
CREATE TABLE meta (
  -- What is to be known about this file itself.
  key TEXT NOT NULL PRIMARY KEY,  -- created_at; opened_at: by the last server; alive_at: it ran until then
  value TEXT NOT NULL             -- a time in UTC
) STRICT, WITHOUT ROWID
"""

QUEUES = """
CREATE TABLE queues (
  -- The queues that were made by command or by the HTTP API; those of callctl.toml are not here.
  name TEXT NOT NULL PRIMARY KEY, -- the queue's name
  account TEXT NOT NULL,          -- whose queue it is; * = all share it
  settings TEXT NOT NULL          -- all parameters: JSON, by their names
) STRICT, WITHOUT ROWID
"""

REBUILT: Mapping[str, str] = {"calls": CALLS, "offers": OFFERS, "agents": AGENTS, "agent_spans": AGENT_SPANS}
"""The tables that the third step rebuilds, by name; all others are as the first step made them."""

TABLES = (
    CALLS,
    OFFERS,
    CALL_EVENTS,
    AGENTS,
    TIERS,
    QUEUES,
    AGENT_SPANS,
    DECISIONS,
    QUEUE_TARGETS,
    TOKENS,
    EVENTS,
    META,
)

INDEXES = (
    "CREATE INDEX calls_by_time ON calls (joined_at)",
    "CREATE INDEX calls_by_queue ON calls (queue, joined_at)",
    "CREATE INDEX calls_by_uuid ON calls (uuid)",
    "CREATE INDEX calls_by_caller ON calls (caller_number, joined_at)",
    "CREATE INDEX calls_reached ON calls (person, bridged_at) WHERE bridged_at IS NOT NULL",
    "CREATE INDEX leads_reached ON calls (lead_number, bridged_at) "
    "WHERE lead_number <> '' AND bridged_at IS NOT NULL",
    "CREATE INDEX calls_by_agent ON calls (agent, joined_at) WHERE agent <> ''",
    "CREATE INDEX calls_by_account ON calls (account_id, joined_at) WHERE account_id <> ''",
    # Most sites have but the one account, and need no index for it.
    "CREATE INDEX calls_of_account ON calls (account, joined_at) WHERE account <> 'default'",
    "CREATE INDEX calls_abandoned ON calls (person, ended_at) WHERE outcome = 'abandoned'",
    "CREATE INDEX calls_called_back ON calls (person, ended_at) WHERE callback = 1",
    "CREATE INDEX calls_open ON calls (joined_at) WHERE ended_at IS NULL",
    "CREATE INDEX offers_by_call ON offers (call_id)",
    "CREATE INDEX offers_by_time ON offers (offered_at, agent, result)",
    "CREATE INDEX offers_open ON offers (id) WHERE ended_at IS NULL",
    "CREATE INDEX spans_by_time ON agent_spans (started_at)",
    "CREATE INDEX spans_open ON agent_spans (agent) WHERE ended_at IS NULL",
    "CREATE INDEX spans_over_midnight ON agent_spans (started_at) "
    "WHERE substr(started_at, 1, 10) <> substr(coalesce(ended_at, ''), 1, 10)",
    "CREATE INDEX wrap_ups_by_call ON agent_spans (call_id) WHERE state = 'Wrap-up'",
    "CREATE INDEX decisions_by_call ON decisions (call_id)",
)

_SUM_WRAP_UPS = """
BEGIN
  UPDATE calls SET wrap_up_seconds =
    (SELECT round(total(seconds), 3) FROM agent_spans WHERE call_id = calls.id AND state = 'Wrap-up')
  WHERE id = {call};
END
"""
_SPAN_IS_WRAP_UP = "WHEN NEW.state = 'Wrap-up' AND NEW.ended_at IS NOT NULL"

# A wrap-up ends long after its call, and reports would have to look each one up: cold, a month took 5 s.
TRIGGERS = (
    f"CREATE TRIGGER wrap_up_written AFTER INSERT ON agent_spans {_SPAN_IS_WRAP_UP}"
    + _SUM_WRAP_UPS.format(call="NEW.call_id"),
    f"CREATE TRIGGER wrap_up_ended AFTER UPDATE OF ended_at ON agent_spans {_SPAN_IS_WRAP_UP}"
    + _SUM_WRAP_UPS.format(call="NEW.call_id"),
    "CREATE TRIGGER call_written AFTER INSERT ON calls"
    " WHEN EXISTS (SELECT 1 FROM agent_spans WHERE call_id = NEW.id AND state = 'Wrap-up')"
    + _SUM_WRAP_UPS.format(call="NEW.id"),
)
