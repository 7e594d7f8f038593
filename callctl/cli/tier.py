"""`callctl tier`: who serves which queue, and in which place."""

from __future__ import annotations

import attrs
import click
from attrs import evolve

from callctl.cli.options import config_option, json_option
from callctl.cli.output import print_rows, say
from callctl.cli.table import did_you_mean
from callctl.cli.target import edit_roster, read_roster
from callctl.config import Config
from callctl.config.defined import refuse_tier
from callctl.errors import CallctlError, UnknownQueue
from callctl.model import Tier

COLUMNS = ("queue", "agent", "level", "position")

level_option = click.option("--level", type=click.IntRange(1), help="Lower levels are offered calls first.")
position_option = click.option("--position", type=click.IntRange(1), help="The order within a level.")


@click.group()
def command() -> None:
    """List and change who serves which queue."""


@command.command("list")
@click.option("--queue", help="Only this queue.")
@click.option("--agent", help="Only this agent.")
@json_option
@config_option
def list_(config: Config, queue: str | None, agent: str | None, as_json: bool) -> None:
    """List who serves which queue.

    \b
    Example:
      callctl tier list --queue caller
    """
    tiers = read_roster(config).tiers
    rows = [
        attrs.asdict(tier) for tier in tiers if queue in (None, tier.queue) and agent in (None, tier.agent)
    ]
    print_rows(rows, COLUMNS, as_json=as_json)


@command.command()
@click.argument("queue")
@click.argument("agent")
@level_option
@position_option
@config_option
def add(config: Config, queue: str, agent: str, level: int | None, position: int | None) -> None:
    """Let an agent serve a queue.

    \b
    Example:
      callctl tier add caller 1001 --level 1 --position 1
    """
    with edit_roster(config) as keeper:
        if keeper.queue(queue) is None:
            raise UnknownQueue(f"there is no queue {queue}{did_you_mean(queue, config.queues)}")
        roster = keeper.roster()
        roster.agent(agent)
        if any((tier.queue, tier.agent) == (queue, agent) for tier in roster.tiers):
            raise CallctlError(f"agent {agent} serves queue {queue} already; callctl tier set changes it")
        keeper.put_tier(Tier(queue=queue, agent=agent, level=level or 1, position=position or 1))
    say(f"agent {agent} serves queue {queue}")


@command.command("set")
@click.argument("queue")
@click.argument("agent")
@level_option
@position_option
@config_option
def set_(config: Config, queue: str, agent: str, level: int | None, position: int | None) -> None:
    """Change an agent's place in a queue.

    \b
    Example:
      callctl tier set caller 1001 --level 2
    """
    if level is None and position is None:
        raise click.UsageError("nothing to set; give --level or --position")
    refuse_tier(config, queue, agent)
    with edit_roster(config) as keeper:
        tier = keeper.roster().tier(queue, agent)
        tier = evolve(tier, level=level or tier.level, position=position or tier.position)
        keeper.put_tier(tier)
    say(f"agent {agent} serves queue {queue} at level {tier.level}, position {tier.position}")


@command.command()
@click.argument("queue")
@click.argument("agent")
@config_option
def remove(config: Config, queue: str, agent: str) -> None:
    """Let an agent no longer serve a queue.

    \b
    Example:
      callctl tier remove caller 1001
    """
    refuse_tier(config, queue, agent)
    with edit_roster(config) as keeper:
        keeper.remove_tier(queue, agent)
    say(f"agent {agent} no longer serves queue {queue}")
