"""`callctl import`: takes over the queues, agents and tiers of mod_callcenter."""

from __future__ import annotations

from pathlib import Path

import click
import trio

from callctl.api.client import RequestRefused
from callctl.cli.callcenter import Found, Taken, read_file, read_lists, take_over
from callctl.cli.options import whole_config_option
from callctl.cli.output import say
from callctl.cli.probe import ask
from callctl.cli.target import edit_roster
from callctl.config import Config
from callctl.errors import AgentExists, CallctlError, EslError

NOT_FOUND = 404

FILE = click.Path(path_type=Path)
QUESTIONS = (
    *(f"callcenter_config {what} list" for what in ("queue", "agent", "tier")),
    "xml_locate configuration configuration name callcenter.conf",
)


@click.command()
@click.argument("file", metavar="[callcenter.conf.xml]", type=FILE, required=False)
@click.option("--from-switch", metavar="NAME", help="Ask the mod_callcenter that runs on this switch.")
@click.option(
    "--output", default="callcenter.toml", type=FILE, show_default=True, help="Where the queues go."
)
@click.option(
    "--set", "variables", metavar="NAME=VALUE", multiple=True, help="What $${NAME} stands for in the file."
)
@click.option("--dry-run", is_flag=True, help="Print what would be taken over, and change nothing.")
@whole_config_option
def command(
    config: Config,
    file: Path | None,
    from_switch: str | None,
    output: Path,
    variables: tuple[str, ...],
    dry_run: bool,
) -> int:
    """Take over mod_callcenter's queues, agents and tiers, and say what could not be.

    Queues are written as TOML, for callctl.toml; agents and tiers go to the server or the database. What
    is there already stays as it is, so the command can be run again. A running server takes the tiers of a
    queue once it knows the queue.

    \b
    Example:
      callctl import /etc/freeswitch/autoload_configs/callcenter.conf.xml --set domain=example.org
      callctl import --from-switch fs1
    """
    if (file is None) == (from_switch is None):
        raise click.UsageError("give either a callcenter.conf.xml or --from-switch NAME")
    found = (
        read_file(file, _variables(variables)) if file is not None else _read_switch(config, str(from_switch))
    )
    taken = take_over(found, known_queues=config.queues)
    left_out, waiting = list(taken.left_out), list[str]()
    try:
        if dry_run:
            click.echo(taken.queues_as_toml(), nl=False)
        else:
            _write(config, taken, output, left_out, waiting)
    finally:
        # Also when something ends it half-way: what has been left out by then is known nowhere else.
        for line in taken.changed:
            say(f"changed: {line}", error=True)
        for line in left_out:
            say(f"not taken over: {line}", error=True)
    counts = f"{len(taken.queues)} queues, {len(taken.agents)} agents, {len(taken.tiers)} tiers"
    click.echo(f"{counts}; {len(left_out)} things could not be taken over", err=True)
    if waiting:
        say(
            f"{len(waiting)} tiers wait for queues that the running server does not know yet "
            f"({', '.join(sorted(set(waiting)))}): add {output} to {config.path or 'callctl.toml'}, have the "
            "server read it (systemctl reload callctl, or kill -HUP), and run this command again",
            error=True,
        )
    return int(bool(waiting))


def _variables(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (_, equals, _) in zip(texts, pairs, strict=True) if not equals]:
        raise click.UsageError(f"--set {wrong[0]}: must be NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _read_switch(config: Config, name: str) -> Found:
    for switch in config.switches:
        if switch.name == name:
            break
    else:
        names = ", ".join(switch.name for switch in config.switches)
        raise CallctlError(f"there is no switch {name}; there are {names}")
    try:
        queues, agents, tiers, configuration = trio.run(ask, switch, QUESTIONS)
    except (EslError, OSError) as error:
        raise CallctlError(f"switch {name}: {error}") from error
    if not queues.startswith("name|"):
        raise CallctlError(f"switch {name} has no mod_callcenter: {queues}")
    return read_lists(queues, agents, tiers, configuration)


def _write(config: Config, taken: Taken, output: Path, left_out: list[str], waiting: list[str]) -> None:
    """Write the queues, then agents and tiers; what is refused goes to `left_out`.

    `waiting` gets the queue of each tier that has to wait for it.
    """
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
        refused_agents: set[str] = set()
        for name, agent in taken.agents.items():
            try:
                keeper.add_agent(agent)
                keeper.set_status(name, taken.statuses[name], "", None)
            except AgentExists:
                say(f"agent {name} is there already, and stays as it is")
            except RequestRefused as refused:
                refused_agents.add(name)
                left_out.append(f"agent {name}: {refused}")
        for tier in taken.tiers:
            if (tier.queue, tier.agent) in known or tier.agent in refused_agents:
                continue
            try:
                keeper.put_tier(tier)
            except RequestRefused as refused:
                if refused.status == NOT_FOUND:  # the agent is there, so it is the queue
                    waiting.append(tier.queue)
                else:
                    left_out.append(f"tier of agent {tier.agent} in queue {tier.queue}: {refused}")
