"""`callctl import`: takes over the queues, agents and tiers of mod_callcenter."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from callctl.cli.callcenter import Found, Taken, read_file, read_lists, take_over
from callctl.cli.options import config_option
from callctl.cli.output import say
from callctl.cli.probe import ask
from callctl.cli.target import edit_roster
from callctl.config import Config
from callctl.errors import AgentExists, CallctlError, EslError

FILE = click.Path(path_type=Path)
LISTS = tuple(f"callcenter_config {what} list" for what in ("queue", "agent", "tier"))


@click.command()
@click.argument("file", metavar="[callcenter.conf.xml]", type=FILE, required=False)
@click.option("--from-switch", metavar="NAME", help="Ask the mod_callcenter that runs on this switch.")
@click.option(
    "--output", default="callcenter.toml", type=FILE, show_default=True, help="Where the queues go."
)
@click.option("--dry-run", is_flag=True, help="Print what would be taken over, and change nothing.")
@config_option
def command(config: Config, file: Path | None, from_switch: str | None, output: Path, dry_run: bool) -> None:
    """Take over mod_callcenter's queues, agents and tiers, and say what could not be.

    Queues are written as TOML, for callctl.toml; agents and tiers go to the server or the database. What
    is there already stays as it is.

    \b
    Example:
      callctl import /etc/freeswitch/autoload_configs/callcenter.conf.xml
      callctl import --from-switch fs1
    """
    if (file is None) == (from_switch is None):
        raise click.UsageError("give either a callcenter.conf.xml or --from-switch NAME")
    found = read_file(file) if file is not None else _read_switch(config, str(from_switch))
    taken = take_over(found, known_queues=config.queues)
    if dry_run:
        click.echo(taken.queues_as_toml(), nl=False)
    else:
        _write(config, taken, output)
    for line in taken.left_out:
        say(f"not taken over: {line}", error=True)
    counts = f"{len(taken.queues)} queues, {len(taken.agents)} agents, {len(taken.tiers)} tiers"
    say(f"{counts}; {len(taken.left_out)} things could not be taken over", error=True)


def _read_switch(config: Config, name: str) -> Found:
    for switch in config.switches:
        if switch.name == name:
            break
    else:
        names = ", ".join(switch.name for switch in config.switches)
        raise CallctlError(f"there is no switch {name}; there are {names}")
    try:
        queues, agents, tiers = trio.run(ask, switch, LISTS)
    except (EslError, OSError) as error:
        raise CallctlError(f"switch {name}: {error}") from error
    if not queues.startswith("name|"):
        raise CallctlError(f"switch {name} has no mod_callcenter: {queues}")
    return read_lists(queues, agents, tiers)


def _write(config: Config, taken: Taken, output: Path) -> None:
    if taken.queues:
        try:
            with output.open("x", encoding="utf-8") as file:
                file.write(taken.queues_as_toml())
        except FileExistsError:
            raise CallctlError(f"{output} exists already; name another file with --output") from None
        except OSError as error:
            raise CallctlError(f"cannot write {output}: {error.strerror}") from error
        say(f"wrote {output}; add it to {config.path or 'callctl.toml'}: cat {output} >> callctl.toml")
    with edit_roster(config) as keeper:
        known = {(tier.queue, tier.agent) for tier in keeper.roster().tiers}
        for name, agent in taken.agents.items():
            try:
                keeper.add_agent(agent)
            except AgentExists:
                say(f"agent {name} is there already, and stays as it is")
            else:
                keeper.set_status(name, taken.statuses[name], "", None)
        for tier in taken.tiers:
            if (tier.queue, tier.agent) not in known:
                keeper.put_tier(tier)
