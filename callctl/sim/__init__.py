"""A stand-in for FreeSWITCH: a verified fake, which says what the recordings of a real one say.

It speaks Event Socket on real or in-memory streams. Its time is Trio's, its chance a seeded generator, so
that a day passes in seconds under a virtual clock and comes out the same for the same seed.

The words of this room: a *channel* is one leg of a call inside the switch; its *far end* is whoever holds
the other end of that wire: a *caller* on the trunk, an agent's phone (*endpoint*), or another channel of
the same switch, as in the recordings. A *session* is the thread that runs a channel through its states. A
*listener* is one Event Socket connection, seen from the switch. A *fault* is what may go wrong on purpose.

The way through it: `switch` holds everything together; `people` are callers and phones (those are found in
the `directory`), whose calls enter through `dialplan` and `originate` as `channel`s; `session` takes these
through their states, and `execution` runs the `applications` on them, until a `bridge` lets two of them talk;
what happens is told by `events`. `inbound` and `outbound` connect the two sides of Event Socket, whose common
part is `listener`, where a client's words become `commands` and `api` calls, taken apart by `separate`.
`faults` spoil it all, and `torture` lives through days of that.
"""
