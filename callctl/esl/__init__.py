"""Event Socket: how callctl and FreeSWITCH talk, from bytes up to the two kinds of connection.

The way through the rooms, from the wire upwards:

- `framing`: bytes in, messages out, in both directions; no I/O, and a bound on everything it keeps.
- `headers`: a message's headers, decoded when they are asked for.
- `event`: a message becomes an event (JSON, plain, or the reply to `connect`), and back.
- `wire`: the one door to these.
- `table`: the rows of an answer to `show …`.
- `commands`: what callctl says, typed, and safe from values that a caller chose.
- `connection`: one stream with one reader, one writer, and a slot for each reply.
- `inbound`: callctl calls FreeSWITCH: login, subscription, jobs, reconnection.
- `outbound`: FreeSWITCH calls callctl: the listener, one connection for each call.
- `call_socket`: what such a connection is to the session of the call.

Words: a *message* is what FreeSWITCH sends, a header block and perhaps a body. A *reply* is the message
that answers a command, an *event* one that answers nothing, a *notice* one about the connection itself.
A *job* is a command that runs in FreeSWITCH's background and reports by an event.
"""
