"""The table of all commands, and the group that imports a command's module only when it is run.

`callctl --help` must come at once; trio, the HTTP server and the database would make it wait.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence

import click

COMMANDS: Mapping[str, str] = {
    "serve": "Run the server in the foreground.",
    "demo": "Show the real server with invented calls, on this machine alone.",
    "init": "Write a commented callctl.toml and the dialplan files.",
    "config": "Show the configuration that is in force.",
    "check": "Check configuration, database, switches and dialplan.",
    "agent": "List and change the agents.",
    "tier": "List and change who serves which queue.",
    "top": "Show queues, agents and calls live, until Ctrl-C.",
    "queue": "Show how the queues stand.",
    "call": "List and steer calls, and show what happened to one.",
    "token": "Make, list and revoke tokens for the HTTP API.",
    "report": "Report calls and agents.",
    "export": "Export calls as CSV, JSON or Asterisk's queue_log, to stdout.",
    "backup": "Copy the database to a new file, also while a server writes.",
    "restore": "Put a backup in the place of the database.",
    "migrate": "Bring the database to this callctl's version.",
    "import": "Take over mod_callcenter's queues, agents and tiers.",
    "prune": "Remove calls, agents' time, and events older than so many days.",
    "loadtest": "Measure throughput and latencies with invented calls.",
}
"""Each command with its first line of help. It lives in the module of its name, as `command`, but for:"""

ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "import": ("import_", "command"),
    **{name: ("upkeep", name) for name in ("export", "backup", "restore", "migrate", "prune")},
}
"""Commands that share a module or have a name that no module can have: the module, and their name in it."""


class CommandTable(click.Group):
    """A group whose commands are those of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = ELSEWHERE.get(cmd_name, (cmd_name, "command"))
        command = getattr(importlib.import_module(f"callctl.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with, or say which one was perhaps meant."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f'unknown command "{args[0]}"{did_you_mean(args[0], COMMANDS)}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def did_you_mean(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Return a question that names the one of `known` nearest to `name`, or nothing."""
    meant = difflib.get_close_matches(name, list(known), n=1)
    return f'; did you mean "{meant[0]}"?' if meant else ""
