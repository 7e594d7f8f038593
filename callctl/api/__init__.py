"""HTTP: what a server shows of itself, and what may be changed in it from outside.

A **resource** is what a path names. A **problem** is an answer that says what was wrong, as RFC 9457 has
it. The **control socket** is a Unix socket beside the database; whoever may open it may do everything. The
way through:

- `serve`: makes a server visible. `listeners`: the sockets, and keeping connections from harming it; below
  them hypercorn speaks HTTP.
- `operations`: the one table of all routes, with who may use each, what it takes and what it gives. `app`:
  the two applications made of it. `access`: who asks, and what that one may do.
- `visible`: what of agents, queues and calls somebody sees.
- `http_access`: lets in those who come over TCP. Below it are `keys` and `key_store` (what tokens are checked
  with), `claims` (what a token says), `known_tokens` (which were made and revoked), `sessions`, `passwords`
  and `browsers` (logins), `limits` and `rates` (how often). `tls`: the certificate. `request_ids`: a name for
  each request.
- `tokens` and `login` are resources as well. `etags`: nobody overwrites what another has just changed.
- `agents`, `queues`, `calls`, `health`: the resources. `house`: what they may ask of the server and do.
- `reading` (JSON bodies become checked records), `selection` (parameters become a filter of calls),
  `shapes` (records become JSON), `problems` (errors become answers).
- `openapi`: the table of operations as an OpenAPI document.
- `metrics`: the figures for Prometheus. `watch`: looks for broken invariants while the server runs.
- `events` and `live`: the two streams. `event_hub` and `live_hub`: what all their clients share; `streaming`:
  answers without an end.
- `client`: a small client of the control socket for the commands.
"""
