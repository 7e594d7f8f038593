"""The rules that every entrance and every exit asks: each stands here once. Pure; texts in, texts out.

- `printable`: text that others chose becomes safe for people to read, on a terminal and in a CSV cell.

The file, the command line, the HTTP API, the dialplan's variables and an import are entrances; terminals,
log lines, reports and exports are exits.
"""
