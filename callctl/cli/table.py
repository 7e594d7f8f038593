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
    "call": "List and steer calls, and show what happened to one.",
    "report": "Report calls and agents.",
}
"""Each command with its first line of help. It lives in the module of its name, as `command`."""


class CommandTable(click.Group):
    """A group whose commands are those of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"callctl.cli.{_module_name(cmd_name)}")
        command = module.command
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


def _module_name(command: str) -> str:
    # "import" is a word of the language and cannot be a module's name in an import statement.
    return "import_" if command == "import" else command
