"""Who gets whom: queues, their members, agents and tiers, all pure, with the time as an argument.

A **member** waits in a **queue**; an **agent** serves it through a **tier**. An agent is *present* who
is Available and can be reached somewhere, *free* who could take a call now, and *eligible* for a member
who is free and fits what that member needs. A **reservation** is the distributor's side of an offer: it
ties one agent to one member and ends by itself when its lease is over.

The way through: `distributor` takes every event and owns everything. `roster` keeps the agents and
writes down their spans, `queue` and `agent` are the records, `limits` says how long a member may wait
and which tiers are open, `choose` finds the next pair in the order of a `strategy` and says why, `timers`
remembers what falls due. What follows comes out as `effects`; `views` are frozen pictures for others.
"""
