"""How fast and how large callctl is: figures, each beside its goal. Nothing here passes or fails.

    python -m tests.bench              # all of them, short
    python -m tests.bench.calls        # one of them, in full; --size short, --json FILE

The way through it: a subject (`calls`, `waiting`, …) opens a `house`, which is a `callctl serve` in a process
of its own, joined by real sockets with a `lean_switch` in this process, so that each has a core. The lean
switch speaks with the words of the recordings (`recorded`) over its own sockets (`lean_wire`). What was
measured is a list of `figures`, printed with the `machine`.
"""
