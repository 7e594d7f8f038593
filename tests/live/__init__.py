"""Tests against a real FreeSWITCH, which they configure, start and stop by themselves (README.md).

A **caller** is a SIP leg that dials in over the profile `trunk`, as calls from a trunk do. A **phone** is an
extension behind the profile `phones` that behaves as its name says (`ring500`, `busy`); an agent's contact
leads to one. The **call centre** is callctl itself between the two, with a database in a temporary directory.

- `configuration`: the files that FreeSWITCH reads. `freeswitch`: its process, and orders to it.
- `patience`: waiting for what another process does.
- `centre`: callctl, agents and callers in one hand, and what must be true when all calls are over.
- `compare_callcenter`: the same calls through callctl and through mod_callcenter, measured.
"""
