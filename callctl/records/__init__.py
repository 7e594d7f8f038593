"""The rules that every entrance and every exit asks: each stands here once. Pure; texts in, texts out.

- `printable`: text that others chose becomes safe for people to read, on a terminal and in a CSV cell.
- `accounts`: who belongs to whom, who may serve which queue, and where callers may go. `targets`: where a
  queue's rule sends callers.
- `names`: what an agent or a queue may be called, and what is the key of a visit. `contacts`: what the dial
  string of a phone may be. `telephone_keys`: which keys a queue may give a meaning.
- `caller_identity`: whether a caller's number says who calls, and whether it can be dialled.
  `caller_id`: what a phone is told of a caller's name and number.
- `record_template`: what the path of a recording may hold, and what it becomes.
- `tokens`: what a token for the HTTP API may be.

The file, the command line, the HTTP API, the dialplan's variables and an import are entrances; terminals,
log lines, reports and exports are exits.
"""
