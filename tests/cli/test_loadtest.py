"""`callctl loadtest`: small, and its figures add up."""

from __future__ import annotations

import json

from click.testing import CliRunner

from callctl.cli.loadtest import command


def test_a_small_load_on_two_switches_is_carried_and_measured() -> None:
    arguments = ["--calls", "12", "--concurrent", "6", "--agents", "6", "--rate", "40", "--switches", "2"]
    result = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    figures = json.loads(result.stdout)
    assert (figures["calls"], figures["handled"], figures["errors"]) == (12, 12, 0)
    assert figures["most_at_once"] <= 6
    assert 0 < figures["bridge"]["p50"] <= figures["bridge"]["p99"] <= figures["bridge"]["max"]
