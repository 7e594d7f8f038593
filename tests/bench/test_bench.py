"""Every subject of measurement can be run, in its smallest form, and nothing went wrong while it ran.

How fast anything is, is not tested: that depends on what else the machine does.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from attrs import asdict
from click.testing import CliRunner

from tests.bench import house
from tests.bench.__main__ import SUBJECTS, command, measure_of
from tests.bench.figures import Figure, as_text, latencies, percentile
from tests.bench.subject import Size

HELPERS = {"__init__", "__main__", "counted", "figures", "house", "machine", "peer", "subject", "turnover"}
RUN_ALONE = {"streams"}
"""What is a command of its own: it needs the whole machine."""


async def test_each_subject_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, as each mostly waits."""
    monkeypatch.setattr(house, "SETTLED_SECONDS", 0.0)
    found: dict[str, list[Figure]] = {}

    async def run(subject: str) -> None:
        found[subject] = await measure_of(subject)(Size.TINY)

    async with trio.open_nursery() as nursery:
        for subject in SUBJECTS:
            nursery.start_soon(run, subject)
    for subject in SUBJECTS:
        assert found[subject], subject
        wrong = [each.what for each in found[subject] if "errors" in each.what and each.measured]
        assert not wrong, (subject, wrong)


def test_every_subject_is_in_the_list() -> None:
    modules = {path.stem for path in Path(__file__).parent.glob("*.py")}
    helpers = {name for name in modules if name.startswith(("lean_", "test_", "recorded"))}
    assert modules - helpers - HELPERS - RUN_ALONE == set(SUBJECTS)


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]


def test_a_figure_stands_beside_its_goal() -> None:
    text = as_text(latencies("wait", [0.001, 0.02], p99_goal_ms=5))
    assert [line.split()[2:] for line in text.splitlines()] == [
        ["1", "ms"],
        ["20", "ms", "≤", "5", "ms", "MISSED"],
        ["20", "ms"],
    ]


def test_the_table_of_the_readme_has_what_has_a_goal(tmp_path: Path) -> None:
    figures = [
        Figure(what="a call", measured=2.345, unit="ms", goal=3),
        Figure(what="calls", measured=1234.5, unit="/s", goal=300, more_is_better=True),
        Figure(what="by the way", measured=1, unit=""),
    ]
    run = {
        "machine": {"python": "3"},
        "size": "full",
        "figures": {"calls": [asdict(each) for each in figures]},
    }
    (tmp_path / "run.json").write_text(json.dumps(run))
    result = CliRunner().invoke(command, ["--markdown", str(tmp_path / "run.json")], catch_exceptions=False)
    assert result.output.splitlines() == [
        "| what | goal | measured | command |",
        "|---|---|---|---|",
        "| a call | ≤ 3 ms | 2.35 ms | `python -m tests.bench.calls` |",
        "| calls | ≥ 300 /s | 1,234 /s | `python -m tests.bench.calls` |",
        "",
        "Taken in full size on python 3.",
    ]
