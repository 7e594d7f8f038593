"""Who gets whom: queues, their members, agents and tiers, all pure, with the time as an argument.

A **member** waits in a **queue**; an **agent** serves it through a **tier**. An agent is *present* who
is Available and can be reached somewhere, *free* who could take a call now, and *eligible* for a member
who is free and fits what that member needs. A **reservation** is the distributor's side of an offer: it
ties one agent to one member and ends by itself when its lease is over.

The way through:

- `distributor` takes every event, and `effects` are what follows from it, as data.
- `floor` holds all that is live and keeps it in step: members and reservations itself, the agents and
  their written trace through the `roster`. `queue`, `member` and `agent` are the live records, `timers`
  what is due.
- `needs` is what a caller needs and an agent can take. A queue's `lines` hold the members who want an
  offer, those of equal needs in one line; its `benches` the free agents, those of one kind on one bench;
  each in an `ordered` table. What a decision costs does not grow with those who wait, talk or are away.
- `choose` finds the next pair from the heads of the lines and the benches, in the order of a `strategy`,
  and `explain` says why everybody else was passed over.
- `review` asks whether a wait is over: by the `limits`, by an `overflow`. `admission` asks who may join,
  `hours` when; `memory` knows callers who come back, `estimate` how long they may have to wait, and
  `delays` what follows from an offer that came to nothing; `unreached` says who waits, the agent or the
  caller, where no phone was reached.
- `views` are frozen pictures for others, `invariants` what must be true of them; `check` looks at queues
  and agents before they are used. `queue_sources`: the queues of callctl.toml and those of the database.
"""
