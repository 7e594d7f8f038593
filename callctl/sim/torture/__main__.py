"""`python -m callctl.sim.torture`: many hours of a call centre with crashes, and what came of them."""

from __future__ import annotations

import sys
import time
from collections import Counter

import click

from callctl.sim.torture.hour import HourSettings, run_hour


@click.command()
@click.option("--hours", default=10, show_default=True, type=click.IntRange(1), help="How many hours.")
@click.option("--seed", default="1", show_default=True, help="Makes everything happen again.")
@click.option("--first-hour", default=0, show_default=True, help="Begin with this one, to repeat it alone.")
@click.option(
    "--crash-every", default=360.0, show_default=True, help="Seconds between two crashes, on average."
)
@click.option("--tell", default="", help="Tell the stories of violations that contain this text only.")
@click.option("--verbose", is_flag=True, help="Say a line about every hour.")
def command(hours: int, seed: str, first_hour: int, crash_every: float, tell: str, verbose: bool) -> None:
    """Run hours of a call centre in which callctl and everything around it crashes.

    \b
    Example:
      python -m callctl.sim.torture --hours 100 --seed 7
    """
    totals: Counter[str] = Counter()
    violations = 0
    began = time.monotonic()
    for hour in range(first_hour, first_hour + hours):
        result = run_hour(HourSettings(seed=f"{seed}/{hour}", crash_every=crash_every, tell=tell))
        totals.update(result.counts)
        violations += len(result.violations)
        if verbose:
            click.echo(f"hour {hour}: {dict(result.counts)} {result.digest} {time.monotonic() - began:.1f} s")
        for line in result.story:
            click.echo(line)
        for violation in result.violations:
            click.echo(f"VIOLATION in hour {hour}: {violation}")
    click.echo(f"hours {hours}, {time.monotonic() - began:.0f} s")
    for name, number in sorted(totals.items()):
        click.echo(f"{name}: {number}")
    click.echo(f"violations: {violations}")
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    command()
