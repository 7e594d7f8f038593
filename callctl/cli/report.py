"""`callctl report`: the field's figures, each with the name of its formula and its threshold."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing

import click

from callctl.cli.options import Period, config_option, json_option, period_options
from callctl.cli.output import print_json, print_rows, text_of
from callctl.config import Config
from callctl.records.printable import csv_cell
from callctl.store.metrics import (
    ABANDONMENT_WORDS,
    AHT_WORDS,
    ASA_WORDS,
    NOT_COUNTED_WORDS,
    OCCUPANCY_WORDS,
    PERCENTILE_WORDS,
    UTILISATION_WORDS,
    AgentFigures,
    CallFigures,
    Formula,
)
from callctl.store.reports import By, Selection, report_agents, report_calls
from callctl.store.schema import open_history

BY_AGENT = "agent"
GROUPS = [*(each.value for each in By), BY_AGENT]
Row = Mapping[str, object]


@click.command()
@click.option("--queue", default="", help="Only this queue.")
@click.option("--agent", default="", help="Only calls that this agent answered.")
@click.option("--account", default="", help="Only this account.")
@period_options("From this time on: 2026-11-22, 2026-11-22T15:00Z, today.", "Before this time.")
@click.option(
    "--by",
    default="nothing",
    show_default=True,
    type=click.Choice(GROUPS),
    help="One line for each.",
)
@click.option(
    "--service-level",
    "formula",
    default=Formula.ABANDONS_AGAINST.value,
    show_default=True,
    type=click.Choice([each.value for each in Formula]),
    help="The formula of the service level.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0),
    help="T of the service level, in seconds  [default: each queue's]",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@config_option
def command(
    config: Config,
    queue: str,
    agent: str,
    account: str,
    period: Period,
    by: str,
    formula: str,
    threshold: float | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Report calls and agents.

    \b
    Example:
      callctl report --from today --by queue --service-level ignore-abandons --threshold 30
    """
    now = time.time()
    selection = Selection(
        since=period.since, until=period.until, queue=queue, agent=agent, account_id=account
    )
    with closing(open_history(config.server.database)) as connection:
        if by == BY_AGENT:
            rows = [agent_row(figures) for figures in report_agents(connection, selection, now=now)]
        else:
            figures_of_calls = report_calls(
                connection,
                selection,
                now=now,
                by=By(by),
                formula=Formula(formula),
                t_seconds=threshold,
                local_time=period.local_time,
            )
            rows = [call_row(figures) for figures in figures_of_calls]
    _print(rows, as_csv=as_csv, as_json=as_json)
    if rows and not (as_csv or as_json):
        for line in _legend(by == BY_AGENT, Formula(formula)):
            click.echo(line)


def call_row(figures: CallFigures) -> Row:
    """Return the figures of one group of calls: ratios from 0 to 1, durations in seconds."""
    return {
        "group": figures.group,
        "offered": figures.offered,
        "answered": figures.answered,
        "handled": figures.handled,
        "abandoned": figures.abandoned,
        "overflowed": figures.overflowed,
        "refused": figures.refused,
        "failed": figures.failed,
        "unfinished": figures.unfinished,
        "service_level": figures.service_level,
        "formula": figures.formula.value,
        "threshold_seconds": figures.t_seconds,
        "asa_seconds": figures.asa_seconds,
        "aht_seconds": figures.aht_seconds,
        "abandonment_rate": figures.abandonment_rate,
        "short_abandons": figures.short_abandons,
        "closed": figures.closed,
        **{f"wait_p{percent}": wait for percent, wait in figures.wait_percentile_seconds.items()},
        "wait_percentiles_of": "answered",
        "longest_wait_seconds": figures.longest_wait_seconds,
    }


def agent_row(figures: AgentFigures) -> Row:
    """Return the figures of one agent."""
    return {
        "agent": figures.agent,
        "offered": figures.offered,
        "answered": figures.answered,
        "missed": figures.missed,
        "aht_seconds": figures.aht_seconds,
        "talk_seconds": figures.talk_seconds,
        "hold_seconds": figures.hold_seconds,
        "wrap_up_seconds": figures.wrap_up_seconds,
        "logged_in_seconds": figures.logged_in_seconds,
        "break_seconds": figures.break_seconds,
        "occupancy": figures.occupancy,
        "utilisation": figures.utilisation,
    }


RATIOS = ("service_level", "abandonment_rate", "occupancy", "utilisation")


def _print(rows: Sequence[Row], *, as_csv: bool, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows(rows[:1])
        writer.writerows(map(csv_cell, row.values()) for row in rows)
    elif not rows:
        click.echo("no calls")
    else:
        print_rows([_for_people(row) for row in rows], list(_for_people(rows[0])), as_json=False)


def _for_people(row: Row) -> Row:
    """Return a row with short names and percentages; the formula stands below the table."""
    shown: dict[str, object] = {}
    for name, value in row.items():
        if name in ("formula", "wait_percentiles_of"):
            continue  # Said below the table.
        is_ratio = name in RATIOS and isinstance(value, float)
        shown[name.removesuffix("_seconds")] = f"{value:.1%}" if is_ratio else text_of(value)
    return shown


def _legend(is_by_agent: bool, formula: Formula) -> list[str]:
    """Say by which formulas the figures came about."""
    formulas = (
        {"aht": AHT_WORDS, "occupancy": OCCUPANCY_WORDS, "utilisation": UTILISATION_WORDS}
        if is_by_agent
        else {
            "service_level": f"{formula.value}: {formula.words}; T is the threshold",
            "asa": ASA_WORDS,
            "aht": AHT_WORDS,
            "abandonment_rate": ABANDONMENT_WORDS,
            "wait_p50 … p99": PERCENTILE_WORDS,
            "Not counted": NOT_COUNTED_WORDS,
        }
    )
    return ["", *(f"{name} = {words}" for name, words in formulas.items()), "Durations are in seconds."]
