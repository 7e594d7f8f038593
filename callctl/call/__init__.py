"""A call's life, from its arrival to its end.

The rooms, in the order a call passes through them:

- `reception`: leads each socket to its call, and keeps the calls from harming each other.
- `claims`: whether a socket is the call that it says, as its switch confirms it.
- `session`: the nursery of one call; performs what `flow` decides.
- `flow`: decides, as a table: (state, event, time) → (state, effects). What stands in it is in `waiting`,
  `bridging`, `talking` and, for all of them, `life`. Pure, and so are `events` (its two languages),
  `entertainment` (what a waiting caller hears), `ledger` (what is written down about a call) and `variables`
  (what travels with the call).
- `caller`: the caller's leg, with a `hearing` for each socket, and `caller_variables`; `way_back`: callers
  between two sockets. `channel_sockets`: how the socket of an earlier visit ends before the next one begins.
- `recorder`: has the switch record a talk, into the file that `recording` names.
- `switch`: one FreeSWITCH, and agents' legs; `ringing`: what such a leg runs, and how it may end unanswered.
- `dispatcher`: the one way to the distributor, which decides who gets whom; with the `agenda`, the order in
  which calls take in what happens, and their `timers`.
- `recovery`: what is really there, after each connection to a switch, and now and then; `channel_query`
  asks. `absentees`: who was with us before a restart, and is not back yet.
- `phones`: what the switches tell of the agents' phones.
- `control`: what a person can do to a call. `queue_changes`: changes queues while callers wait in them.

Words: a *leg* is a channel of the call, a *visit* one stay in one queue, an *offer* one ring of one agent.
"""
